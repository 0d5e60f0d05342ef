/* SPDX-License-Identifier: MIT */
#pragma once
/* What cursor.c (reading) and cursor_deal.c (what is given to a cursor and taken from it) have in
 * common. All but is_open() and extent_at() are parts of a transaction. */
#include "store/cursor.h"

static inline bool is_open(const struct cursor *cursor)
{
        return cursor->image->stop == IMAGE_OPEN;
}

/* By its number plus one. */
static inline struct image_extent *extent_at(const struct cursor *cursor, uint64_t number)
{
        return &cursor->log->store->image->extent[number - 1];
}

/* Holds or releases each slab of [from, to), beginning with the one given. */
void cursor_range_pin(struct cursor *cursor, uint32_t slab, uint64_t to, bool pin);

/* The slab in which the message at pos can be told from: that of its mark. */
uint32_t cursor_pin_for(struct cursor *cursor, uint64_t pos);

/* What was read of the current range counts as done. */
void cursor_range_done(struct cursor *cursor, uint64_t pos, uint64_t number);

/* A closed range lets go of the slabs it has passed, but for the one that tells where its message
 * began. */
void cursor_range_passed(struct cursor *cursor);

/* The range is read: on to the next extent, or to the open end. */
void cursor_range_next(struct cursor *cursor);
