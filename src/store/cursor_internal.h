/* SPDX-License-Identifier: MIT */
#pragma once
/* Shared by cursor.c (reading) and cursor_deal.c (giving and dropping messages). Unpinning
 * and the last three functions are parts of a transaction. */
#include "store/cursor.h"

static inline bool cursor_is_open(const struct cursor *cursor)
{
        return cursor->image->stop == IMAGE_OPEN;
}

/* Returns the extent with this number plus one. */
static inline struct image_extent *extent_at(const struct cursor *cursor, uint64_t number)
{
        return &cursor->log->store->image->extent[number - 1];
}

/* Pins or unpins each slab from `slab` up to position `to`. */
void cursor_range_pin(struct cursor *cursor, uint32_t slab, uint64_t to, bool pin);

/* Returns the slab to pin for a message at pos, where the last mark at or before pos stands; at the
 * end, the end's slab. */
uint32_t cursor_pin_for(struct cursor *cursor, uint64_t pos);

/* Books the current range up to this boundary as read. */
void cursor_range_done(struct cursor *cursor, uint64_t pos, uint64_t number);

/* Unpins the slabs before pos of a closed range, but for the slab with the mark of the message at
 * pos. */
void cursor_range_passed(struct cursor *cursor);

/* Makes the next extent the range or, without extents, opens the cursor from open_from on. */
void cursor_range_next(struct cursor *cursor);
