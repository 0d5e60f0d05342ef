/* SPDX-License-Identifier: MIT */
#pragma once
/* A log that is filled with messages of a test's own, in frames of 4 bytes of length. */
#include "store/log.h"

/* Commits messages of `size` bytes each, with their frames, until so many bytes are in: at most
 * 16 MiB a message. */
void fill_log(struct log *log, size_t size, size_t bytes);
