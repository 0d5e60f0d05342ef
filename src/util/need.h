/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Memory for fixed bookkeeping, which nobody outside can make grow: the program ends without the
 * memory. Memory at the request of a peer is no case for need(): the request fails softly, at the
 * cost of the peer.
 */
#include <stddef.h>
#include <stdlib.h>

/* Returns pointer, or ends the program if pointer is NULL: need(strdup(text)). */
static inline void *need(void *pointer)
{
        if (!pointer)
                abort();
        return pointer;
}

/*
 * Returns items, moved if necessary, with room for an element more behind n elements of size
 * bytes, or ends the program. For lists that grow by one element: doubles the room each time n is a
 * power of two.
 */
static inline void *need_room(void *items, size_t n, size_t size)
{
        if (n & (n - 1))
                return items;
        return need(reallocarray(items, n ? 2 * n : 1, size));
}
