/* SPDX-License-Identifier: MIT */
#pragma once
/* The limits of the process: descriptors, memory, file size. */
#include "config/config.h"

/* Raises the limit of descriptors as far as allowed, and warns if the limit is too low for
 * MaxClients=; at the start and after a reload. */
void limits_raise(const struct config *config);

/* Warns if a memory limit of the control groups is too low for what messages may take together; at
 * the start and after a reload. root: as of cgroup_memory(). */
void limits_tell_memory(const struct config *config, const char *root);

/* Logs why the store can't be made, with the limit to change. error is an errno. */
void limits_tell_no_store(int error);
