/* SPDX-License-Identifier: MIT */
#pragma once
/* The marks of a log: a queue of entries of fixed size, numbered since the start, on a chain of
 * slabs (image_log.marks). */
#include "store/log.h"

enum { MARKS_IN_SLAB = IMAGE_SLAB_SIZE / sizeof(struct image_mark) };

/* Notes that the messages from (pos, number) on, in this slab, came now from this origin: adds a
 * mark, or extends the run of the last mark. False: no memory. Part of a transaction. */
bool marks_add(struct log *log, uint64_t pos, uint64_t number, uint32_t slab, uint64_t now_usec,
               uint32_t origin);

/* Removes the marks before pos and frees their slabs. Part of a transaction. */
void marks_trim(struct log *log, uint64_t pos);

/* Returns mark number k, which must be kept still. */
struct image_mark *marks_get(const struct log *log, uint64_t k);

/* Returns the mark behind `mark`, which is number k; NULL: `mark` is the last. */
static inline const struct image_mark *marks_behind(const struct log *log,
                                                    const struct image_mark *mark, uint64_t k)
{
        size_t at = (size_t)((const unsigned char *)(mark + 1) - log->store->image->data);

        if (k + 1 >= log->image->mark_next)
                return NULL;
        return at % IMAGE_SLAB_SIZE ? mark + 1 : marks_get(log, k + 1);
}
