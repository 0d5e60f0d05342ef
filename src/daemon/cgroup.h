/* SPDX-License-Identifier: MIT */
#pragma once
/* The memory limits of the control groups of the process. Beyond a limit the kernel ends the
 * process, or stalls the process until memory is free. */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct cgroup_limit {
        uint64_t bytes;
        bool stalls;         /* beyond the limit the kernel stalls the process, and ends nothing */
        char file[PATH_MAX]; /* with the limit; without the root */
};

/* Finds the lowest memory limit of the process's own group and of the groups above, as far as the
 * groups are mounted: memory.max and memory.high of version 2, memory.limit_in_bytes of version 1.
 * root is a prefix of all paths, "" but for tests. False: no limit, or no readable one; *limit is
 * not set. */
bool cgroup_memory(const char *root, struct cgroup_limit *limit);
