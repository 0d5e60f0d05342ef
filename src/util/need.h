/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * For fixed bookkeeping that nobody outside can make grow: without the memory for it there is no
 * program. What a peer can make us ask for fails softly instead, and costs that peer.
 */
#include <stddef.h>
#include <stdlib.h>

/* Returns pointer, or ends the program where it is NULL: need(strdup(text)). */
static inline void *need(void *pointer)
{
        if (!pointer)
                abort();
        return pointer;
}

/*
 * Room for one element of size bytes more behind the n that items holds, for lists that grow by
 * one: it doubles each time n reaches a power of two. Returns where items now is.
 */
static inline void *need_room(void *items, size_t n, size_t size)
{
        if (n & (n - 1))
                return items;
        return need(reallocarray(items, n ? 2 * n : 1, size));
}
