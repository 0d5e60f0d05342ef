/* SPDX-License-Identifier: MIT */
#pragma once
/* What store.c (transactions, slabs, chains, extents) and store_image.c (a new image, and that of a
 * predecessor) have in common. */
#include "store/store.h"

#define DATA_OFFSET offsetof(struct image, data)
#define IMAGE_SIZE  (DATA_OFFSET + (size_t)IMAGE_SLABS * IMAGE_SLAB_SIZE)

static inline void put_word(uint64_t *word, uint64_t value)
{
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
        if (__builtin_expect(store_hook != NULL, 0))
                store_hook();
}

/* Gives memory to these bytes of the memfd; false without memory. */
bool store_has_memory(struct store *store, size_t offset, size_t size);
