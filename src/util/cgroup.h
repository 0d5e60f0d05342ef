/* SPDX-License-Identifier: MIT */
#pragma once
/* The memory limits of the control groups that hold the process: beyond a limit the kernel ends the
 * process, or lets it run no faster than it finds memory elsewhere. */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct cgroup_limit {
        uint64_t bytes;
        bool stalls;         /* beyond it the kernel slows the process down, and does not end it */
        char file[PATH_MAX]; /* where the limit stands, without the root */
};

/* Finds the lowest memory limit of the process's own group and of the groups above it, as far as
 * they are mounted: memory.max and memory.high of version 2, memory.limit_in_bytes of version 1.
 * root is a prefix of all paths, "" but for tests. False: there is no limit, or none that can be
 * read; *limit is not set. */
bool cgroup_memory(const char *root, struct cgroup_limit *limit);
