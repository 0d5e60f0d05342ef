/* SPDX-License-Identifier: MIT */
#pragma once
/* Shared by store.c (transactions, slabs, chains, extents) and store_image.c (a new image, and the
 * image of a predecessor). */
#include "store/store.h"

#define DATA_OFFSET offsetof(struct image, data)
#define IMAGE_SIZE  (DATA_OFFSET + (size_t)IMAGE_SLABS * IMAGE_SLAB_SIZE)

/* Stores a word, and calls the tests' hook. */
static inline void store_put_word(uint64_t *word, uint64_t value)
{
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
        if (__builtin_expect(store_hook != NULL, 0))
                store_hook();
}

/* Forgets the transaction of a store that ends amid the transaction. */
void store_not_busy(const struct store *store);

/* Gives these bytes of the memfd memory. False: no memory. */
bool store_get_memory(struct store *store, size_t offset, size_t size);
