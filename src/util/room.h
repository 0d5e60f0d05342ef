/* SPDX-License-Identifier: MIT */
#pragma once
/* Room in lists that grow by one element. */
#include <stddef.h>
#include <stdlib.h>

/*
 * Returns items, moved if necessary, with room for an element more behind n elements of size
 * bytes; NULL without memory: items stays as it was, and is the caller's still. Doubles the room
 * each time n is a power of two.
 */
static inline void *room_for_one(void *items, size_t n, size_t size)
{
        if (n & (n - 1))
                return items;
        return reallocarray(items, n ? 2 * n : 1, size);
}
