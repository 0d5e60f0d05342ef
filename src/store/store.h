/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The one memfd: transactions over its words, and its slabs.
 *
 * A transaction writes down what each word was before it changes it; the one 64-bit store that ends
 * it makes all its changes final. After a SIGKILL in between, the successor puts the old words
 * back. So the image goes from one consistent state to the next in one store, whatever the number
 * of words; what the kernel did meanwhile, its counters tell.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/image.h"

#define SLAB_NONE UINT32_MAX

struct store {
        int fd; /* owned */
        struct image *image;
        size_t mapped;
        unsigned depth; /* of nested transactions */
        bool lends;     /* slabs may be lent */
        /* Derived from the image, anew by store_recover(): */
        struct store_slab {
                uint32_t prev;      /* in its chain */
                uint32_t refs;      /* cursors and extents that are in it */
                uint32_t opens;     /* those of them that need all slabs behind it, too */
                uint32_t committed; /* bytes that surely have memory */
                bool used;
                bool lent; /* its memory may be in somebody's hands: it is never written to again */
        } * slab;
        uint32_t slabs; /* entries of slab[], ever used */
        uint32_t *late; /* freed by the transaction under way: not to be written to before it is
                           final */
        uint32_t n_late, late_room;
        uint32_t *free; /* slabs to use again, last in first out: what was used last is warm */
        uint32_t n_free, free_room;
        uint32_t *cold; /* slabs without memory, used when there is none of the others */
        uint32_t n_cold, cold_room;
        uint64_t free_bytes;  /* committed in them */
        uint64_t used_bytes;  /* committed in slabs in use */
        uint64_t limit_bytes; /* of used_bytes; UINT64_MAX: no limit */
        uint32_t clients_ready, extents_ready,
                slabs_ready; /* entries of the tables that have memory */
        uint32_t *free_extents, n_free_extents, free_extents_room, extents_used;
};

/* Tests look at the memory after every store through this. NULL in life. */
extern void (*store_hook)(void);

/* A new, empty image. Returns 0 or a negative errno; done with store_done(). */
int store_init(struct store *store);

/*
 * Maps the image in fd, which is the store's from here on, and puts back the words of an unfinished
 * transaction. The tables behind it are recover_image()'s to check and to rebuild. -EPROTO: not an
 * image, or one of another layout.
 */
int store_open(struct store *store, int fd);
void store_done(struct store *store);

void store_begin(struct store *store);
void store_put(struct store *store, uint64_t *word, uint64_t value);
void store_commit(struct store *store);

/* A simple fact: one store, no transaction. */
void store_set(uint64_t *word, uint64_t value);

static inline void store_add(struct store *store, uint64_t *word, uint64_t value)
{
        store_put(store, word, *word + value);
}

/* A free slab with memory for at least `bytes`; SLAB_NONE without memory. It is in no chain. */
uint32_t slab_new(struct store *store, size_t bytes);

/* Gives it memory up to `bytes`; false without memory. */
bool slab_commit(struct store *store, uint32_t slab, size_t bytes);
void slab_free(struct store *store, uint32_t slab);

/*
 * These bytes of a slab are given away as they stand in its pages, not copied. What they say must
 * not change any more; when the slab is free, its pages are given up, and it gets others. Returns
 * where they are in the store's file. Only where the store lends.
 */
off_t slab_lend(struct store *store, const void *bytes);
bool slab_is_lent(const struct store *store, const void *bytes);

/* What a predecessor has lent is not known: it counts as all of it. */
void store_disown(struct store *store);

static inline unsigned char *slab_data(const struct store *store, uint32_t slab)
{
        return store->image->data + (size_t)slab * IMAGE_SLAB_SIZE;
}

static inline uint64_t slab_pos(const struct store *store, uint32_t slab)
{
        return store->image->slab[slab].pos;
}

/* The slab behind it in its chain, or SLAB_NONE. */
static inline uint32_t slab_next(const struct store *store, uint32_t slab)
{
        return (uint32_t)store->image->slab[slab].next - 1;
}

/* Chains. A slab that is given is in no chain yet; positions grow along a chain. */
static inline uint32_t chain_head(const struct image_chain *chain)
{
        return (uint32_t)chain->head - 1;
}

static inline uint32_t chain_tail(const struct image_chain *chain)
{
        return (uint32_t)chain->tail - 1;
}

/* Where the bytes of this slab end: where the next begins, or with its room. */
uint64_t slab_limit(const struct store *store, uint32_t slab);

void chain_append(struct store *store, struct image_chain *chain, uint32_t slab, uint64_t pos);
void chain_remove(struct store *store, struct image_chain *chain, uint32_t slab);

/* Takes off everything behind `slab` (SLAB_NONE: everything) and returns its first slab, or
 * SLAB_NONE. */
uint32_t chain_cut(struct store *store, struct image_chain *chain, uint32_t slab);

/* Takes off everything before `slab`. */
void chain_behead(struct store *store, struct image_chain *chain, uint32_t slab);

/* Appends slabs already linked to each other, from first to last, with their positions set. */
void chain_join(struct store *store, struct image_chain *chain, uint32_t first, uint32_t last);

/* Frees linked slabs that are in no chain any more. */
void slabs_free(struct store *store, uint32_t first);

/* An extent's number, or UINT32_MAX without memory; its words are the caller's to put. */
uint32_t extent_new(struct store *store);
void extent_free(struct store *store, uint32_t extent);

/* Makes sure that this entry of the client table has memory. */
bool store_client_ready(struct store *store, uint32_t slot);
