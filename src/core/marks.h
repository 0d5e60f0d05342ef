/* SPDX-License-Identifier: MIT */
#pragma once
/* The marks of a log: a queue of fixed entries on slabs of their own. Only log.c and recovery use
 * it. */
#include "core/log.h"

enum { MARKS_IN_SLAB = IMAGE_SLAB_SIZE / sizeof(struct image_mark) };

/* Says that messages from (pos, number) on, in this slab, came now from this origin. Part of a
 * transaction. */
bool marks_add(struct log *log, uint64_t pos, uint64_t number, uint32_t slab, uint64_t now_usec,
               uint32_t origin);

/* Forgets the marks before pos. Part of a transaction. */
void marks_trim(struct log *log, uint64_t pos);

/* Mark number k, counted since the start. */
struct image_mark *marks_get(const struct log *log, uint64_t k);
