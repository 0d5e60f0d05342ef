/* SPDX-License-Identifier: MIT */
#pragma once
/* The marks of a log: a queue of fixed entries on slabs of their own. Only log.c and recovery use
 * it. */
#include "store/log.h"

enum { MARKS_IN_SLAB = IMAGE_SLAB_SIZE / sizeof(struct image_mark) };

/* Says that messages from (pos, number) on, in this slab, came now from this origin. Part of a
 * transaction. */
bool marks_add(struct log *log, uint64_t pos, uint64_t number, uint32_t slab, uint64_t now_usec,
               uint32_t origin);

/* Forgets the marks before pos. Part of a transaction. */
void marks_trim(struct log *log, uint64_t pos);

/* Mark number k, counted since the start. */
struct image_mark *marks_get(const struct log *log, uint64_t k);

/* The one behind this one, which is number k; NULL: that is the last. */
static inline const struct image_mark *marks_behind(const struct log *log,
                                                    const struct image_mark *mark, uint64_t k)
{
        size_t at = (size_t)((const unsigned char *)(mark + 1) - log->store->image->data);

        if (k + 1 >= log->image->mark_next)
                return NULL;
        return at % IMAGE_SLAB_SIZE ? mark + 1 : marks_get(log, k + 1);
}
