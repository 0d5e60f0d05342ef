/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The store: the memfd with the image, transactions over its words, its slabs, chains and extents.
 *
 * A transaction notes the old value of each word in the undo list before it changes the word; one
 * 64-bit store at the end makes all changes final. After a SIGKILL in between, the successor puts
 * the old words back. So the image goes from one consistent state to the next in one store, for any
 * number of words. The kernel's counters tell what the kernel did meanwhile.
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
        bool lends;     /* pages of slabs may be lent */
        /* Derived from the image; after store_open(), by recover_image(): */
        struct store_slab {
                uint32_t prev;      /* the slab before in the chain */
                uint32_t refs;      /* pins by cursors and extents */
                uint32_t opens;     /* pins by open cursors, which need all slabs behind, too */
                uint32_t committed; /* bytes from the start with memory */
                bool used;
                bool lent; /* a receiver may have its pages: never written to again */
                bool idle; /* free, and its memory is to go back to the kernel */
        } * slab;
        uint32_t slabs; /* entries of slab[] ever used */
        uint32_t
                slab_room; /* of slab[] and of each list of slabs: to free a slab takes no memory */
        uint32_t *late; /* freed by the transaction under way: not written to before the transaction
                           is final */
        uint32_t n_late;
        uint32_t *free; /* free slabs with memory, last in first out: the last is warm */
        uint32_t n_free;
        uint32_t *cold; /* free slabs without memory, taken when free[] is empty */
        uint32_t n_cold;
        uint32_t *idle; /* free slabs whose memory goes back to the kernel, by store_tidy(); an
                           entry whose slab is not idle any more counts for nothing */
        uint32_t n_idle;
        uint64_t free_bytes;  /* memory of the slabs in free[] */
        uint64_t used_bytes;  /* memory of the slabs in use */
        uint64_t limit_bytes; /* of used_bytes; UINT64_MAX: no limit */
        uint32_t clients_ready, extents_ready, slabs_ready; /* entries of the tables with memory */
        uint32_t *free_extents, n_free_extents, extents_used;
        uint32_t free_extents_room; /* for all extents ever used: to free one takes no memory */
        uint32_t extents_most;      /* IMAGE_EXTENTS; tests set fewer */
        bool starved; /* memory was short while the image was checked: nothing is known of it */
};

/* Called after every store, for tests that look at the memory; NULL in the daemon. */
extern void (*store_hook)(void);

/* Makes a new, empty image. Returns 0 or a negative errno. Undone by store_done(). */
int store_init(struct store *store);

/*
 * Maps the image in fd, which the store owns from here on, and rolls back an unfinished
 * transaction. Before any other use, recover_image() must check the image and rebuild the tables.
 * Returns 0 or a negative errno, with fd closed; -EPROTO: no image, or an image of another version
 * or layout.
 */
int store_open(struct store *store, int fd);

/* Unmaps the image, closes the memfd and frees the tables. */
void store_done(struct store *store);

/* Begins a transaction, or a part of the transaction under way. */
void store_begin(struct store *store);

/* Changes a word of the image, from `in` on and before the slabs, in the transaction under way.
 * Aborts beyond IMAGE_UNDO words. */
void store_put(struct store *store, uint64_t *word, uint64_t value);

/* Ends a store_begin(); the outermost makes the transaction final and frees its late slabs. */
void store_commit(struct store *store);

/* Changes one word at once: a simple fact. Never amid a transaction of the word's store, whose
 * successor would roll back the words that the fact depends on, and keep the fact. */
void store_set(uint64_t *word, uint64_t value);

/* Changes one word at once, amid a transaction, too: a word that stands alone, which no transaction
 * changes and with which no other word must agree. A crash keeps the change. */
void store_set_alone(uint64_t *word, uint64_t value);

/* Adds to a word of the image in the transaction under way. */
static inline void store_add(struct store *store, uint64_t *word, uint64_t value)
{
        store_put(store, word, *word + value);
}

/* Returns a free slab, in no chain, with memory for at least `bytes`; SLAB_NONE: no memory,
 * limit_bytes reached, or all slabs in use. */
uint32_t slab_new(struct store *store, size_t bytes);

/* Gives the first `bytes` of a slab memory. False: no memory, or limit_bytes reached. */
bool slab_commit(struct store *store, uint32_t slab, size_t bytes);

/* Frees a slab, which the caller takes out of its chain: at once, or at the end of the transaction
 * under way. Memory beyond what free slabs keep waits for store_tidy(). */
void slab_free(struct store *store, uint32_t slab);

/* Gives memory of free slabs back to the kernel, as much as takes some milliseconds: a call for
 * each slab would stop the loop for seconds after a message of a gigabyte. Returns true if more is
 * to be given back. */
bool store_tidy(struct store *store);

/*
 * Marks the slab of these bytes as lent, for a caller that hands its pages to the kernel without a
 * copy. The bytes must not change any more; a hole is punched after the slab is freed, and before
 * fresh pages follow. Returns the offset of the bytes in the memfd. Only where the store lends.
 */
off_t slab_lend(struct store *store, const void *bytes);

/* True if the slab of these bytes is lent. */
bool slab_is_lent(const struct store *store, const void *bytes);

/* Marks all slabs as lent, since nobody knows which a predecessor has lent, and punches a hole
 * behind the last known slab. */
void store_lend_all(struct store *store);

/* Returns the bytes of a slab. */
static inline unsigned char *slab_data(const struct store *store, uint32_t slab)
{
        return store->image->data + (size_t)slab * IMAGE_SLAB_SIZE;
}

/* Returns the position of a slab's first byte. */
static inline uint64_t slab_pos(const struct store *store, uint32_t slab)
{
        return store->image->slab[slab].pos;
}

/* Returns the slab behind in the chain, or SLAB_NONE. */
static inline uint32_t slab_next(const struct store *store, uint32_t slab)
{
        return (uint32_t)store->image->slab[slab].next - 1;
}

/* Chains: linked slabs, with positions that grow along the chain. */

/* Returns the first slab, or SLAB_NONE. */
static inline uint32_t chain_head(const struct image_chain *chain)
{
        return (uint32_t)chain->head - 1;
}

/* Returns the last slab, or SLAB_NONE. */
static inline uint32_t chain_tail(const struct image_chain *chain)
{
        return (uint32_t)chain->tail - 1;
}

/* Returns where the bytes of a slab end: at the next slab's position, or where the slab is full. */
uint64_t slab_limit(const struct store *store, uint32_t slab);

/* Appends a slab, in no chain, at this position. */
void chain_append(struct store *store, struct image_chain *chain, uint32_t slab, uint64_t pos);

/* Takes a slab out of its chain. */
void chain_remove(struct store *store, struct image_chain *chain, uint32_t slab);

/* Cuts off the slabs behind `slab` (SLAB_NONE: all slabs). Returns the first of the slabs cut off,
 * still linked; SLAB_NONE: none. */
uint32_t chain_cut(struct store *store, struct image_chain *chain, uint32_t slab);

/* Cuts off the slabs before `slab`, which the caller frees. */
void chain_behead(struct store *store, struct image_chain *chain, uint32_t slab);

/* Appends slabs linked to each other, from first to last, with positions set, in no chain. */
void chain_join(struct store *store, struct image_chain *chain, uint32_t first, uint32_t last);

/* Frees linked slabs, in no chain, from `first` on (SLAB_NONE: none). */
void slabs_free(struct store *store, uint32_t first);

/* Returns the number of a free extent, whose words the caller puts; UINT32_MAX: no memory. */
uint32_t extent_new(struct store *store);

/* Makes room for this many slabs in the tables of the process. False: no memory. */
bool store_slab_room(struct store *store, uint32_t slabs);

/* Makes room for the return of this many extents. False: no memory. */
bool store_extent_room(struct store *store, uint64_t extents);

/* Returns true if `n` calls of extent_new() in a row will succeed; gets the memory for them. */
bool extent_room(struct store *store, uint64_t n);

/* Frees an extent, in no list. */
void extent_free(struct store *store, uint32_t extent);

/* Gives this entry of the client table memory. False: no memory, or no such entry. */
bool store_client_ready(struct store *store, uint32_t slot);
