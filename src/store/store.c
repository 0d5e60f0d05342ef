/* SPDX-License-Identifier: MIT */
#include "store/store_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096u

/* The store with a transaction under way, or NULL. Where several stores have one, as copies in
 * tests do, the last that began; NULL again once that one has ended. */
static const struct store *busy;

void store_not_busy(const struct store *store)
{
        if (busy == store)
                busy = NULL;
}

/* True if the word is of the store with a transaction under way. */
static bool is_busy(const uint64_t *word)
{
        return busy && (uintptr_t)word - (uintptr_t)busy->image < busy->mapped;
}

void store_set(uint64_t *word, uint64_t value)
{
        assert(!is_busy(word));
        store_put_word(word, value);
}

/* True if the transaction under way has changed the word. */
static bool is_changed(const uint64_t *word)
{
        const struct image *image = busy ? busy->image : NULL;
        uint64_t n = is_busy(word) ? image->undo.count : 0;

        while (n && image->undo.entry[n - 1].offset != (uintptr_t)word - (uintptr_t)image)
                n--;
        return n > 0;
}

void store_set_alone(uint64_t *word, uint64_t value)
{
        if (__builtin_expect(store_hook == NULL, 1)) { /* a long list: only where tests look */
                __atomic_store_n(word, value, __ATOMIC_RELEASE);
                return;
        }
        assert(!is_changed(word));
        store_put_word(word, value);
}

void store_begin(struct store *store)
{
        if (!store->depth++)
                busy = store;
}

/* True if one of the last four entries of the undo list has this word. A run of slabs that leave
 * a chain, of any length, takes as many entries as one slab. */
static bool is_noted(const struct image_undo *undo, uint64_t offset)
{
        uint64_t n = undo->count;

        for (uint64_t back = 1; back <= n && back <= 4; back++)
                if (undo->entry[n - back].offset == offset)
                        return true;
        return false;
}

void store_put(struct store *store, uint64_t *word, uint64_t value)
{
        struct image_undo *undo = &store->image->undo;
        uint64_t n = undo->count;
        uint64_t offset = (uint64_t)((unsigned char *)word - (unsigned char *)store->image);

        assert(store->depth > 0);
        if (*word == value)
                return;
        if (!is_noted(undo, offset)) {
                /* store_open() refuses any other word in the undo list. */
                assert(offset - offsetof(struct image, in) <
                       DATA_OFFSET - offsetof(struct image, in));
                if (n == IMAGE_UNDO)
                        abort(); /* fixed bookkeeping: no transaction grows with a peer's
                                    choice */
                undo->entry[n].offset = offset;
                undo->entry[n].old = *word;
                store_put_word(&undo->count, n + 1);
        }
        store_put_word(word, value);
}

static bool grow(uint32_t **items, uint32_t room)
{
        uint32_t *more = reallocarray(*items, room, sizeof(*more));

        if (more)
                *items = more;
        return more;
}

bool store_slab_room(struct store *store, uint32_t slabs)
{
        uint32_t room = (slabs + 1023) / 1024 * 1024;
        void *table;

        if (slabs <= store->slab_room)
                return true;
        table = reallocarray(store->slab, room, sizeof(*store->slab));
        if (table)
                store->slab = table;
        if (!table || !grow(&store->late, room) || !grow(&store->free, room) ||
            !grow(&store->cold, room) || !grow(&store->idle, room))
                return false;
        store->slab_room = room;
        return true;
}

bool store_extent_room(struct store *store, uint64_t extents)
{
        uint32_t room = store->free_extents_room * 2;

        if (extents <= store->free_extents_room)
                return true;
        if (room < extents)
                room = (uint32_t)extents + 63;
        if (!grow(&store->free_extents, room))
                return false;
        store->free_extents_room = room;
        return true;
}

/* The lists of slabs have room for each slab once. */
static inline void push(uint32_t *items, uint32_t *n, uint32_t item)
{
        items[(*n)++] = item;
}

/* Leaves each idle slab in the list once. */
static void idle_sort_out(struct store *store)
{
        uint32_t kept = 0;

        for (uint32_t i = 0; i < store->n_idle; i++) {
                struct store_slab *s = &store->slab[store->idle[i]];

                if (!s->idle)
                        continue;
                s->idle = false; /* a further entry counts for nothing */
                store->idle[kept++] = store->idle[i];
        }
        for (uint32_t i = 0; i < kept; i++)
                store->slab[store->idle[i]].idle = true;
        store->n_idle = kept;
}

static void idle_push(struct store *store, uint32_t slab)
{
        if (store->n_idle == store->slab_room)
                idle_sort_out(store);
        push(store->idle, &store->n_idle, slab);
        store->slab[slab].idle = true;
}

/* Free slabs keep at most this much memory; more goes back to the kernel. */
enum { FREE_KEEP = 8 << 20 };

/* One store_tidy() punches so many holes, for so many slabs. A hole takes 150 us, and 250 us more
 * for each MiB. */
enum { TIDY_CALLS = 8, TIDY_SLABS = 64 };

static bool punch_hole(struct store *store, size_t offset, size_t size)
{
        return fallocate(store->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                         (off_t)size) == 0;
}

static void free_now(struct store *store, uint32_t slab)
{
        struct store_slab *s = &store->slab[slab];

        assert(store->used_bytes >= s->committed);
        store->used_bytes -= s->committed;
        s->used = false;
        if (s->lent || (s->committed && store->free_bytes + s->committed > FREE_KEEP)) {
                idle_push(store, slab);
                return;
        }
        store->free_bytes += s->committed;
        if (s->committed)
                push(store->free, &store->n_free, slab);
        else
                push(store->cold, &store->n_cold, slab);
}

/* Punches one hole for an idle slab and the idle slabs around, at most TIDY_SLABS: one call for
 * many slabs takes a tenth of the time. Without a hole, a lent slab is never used again. */
static uint32_t tidy_run(struct store *store, uint32_t slab)
{
        uint32_t from = slab, to = slab + 1;
        bool punched;

        while (from > 0 && store->slab[from - 1].idle && to - from < TIDY_SLABS)
                from--;
        while (to < store->slabs && store->slab[to].idle && to - from < TIDY_SLABS)
                to++;
        punched = punch_hole(store, DATA_OFFSET + (size_t)from * IMAGE_SLAB_SIZE,
                             (size_t)(to - from) * IMAGE_SLAB_SIZE);
        for (uint32_t i = from; i < to; i++) {
                struct store_slab *s = &store->slab[i];

                s->idle = false;
                if (punched)
                        s->committed = 0;
                else if (s->lent)
                        continue;
                s->lent = false;
                push(store->cold, &store->n_cold, i);
        }
        return to - from;
}

bool store_tidy(struct store *store)
{
        uint32_t slabs = 0;

        for (int calls = 0; store->n_idle && calls < TIDY_CALLS && slabs < TIDY_SLABS;) {
                uint32_t slab = store->idle[--store->n_idle];

                if (!store->slab[slab].idle)
                        continue; /* tidied with a neighbour, or used again */
                slabs += tidy_run(store, slab);
                calls++;
        }
        return store->n_idle > 0;
}

/* Not inlined: most commits free nothing, and are the shorter for it. */
static __attribute__((noinline)) void free_late(struct store *store)
{
        while (store->n_late)
                free_now(store, store->late[--store->n_late]);
}

void store_commit(struct store *store)
{
        assert(store->depth > 0);
        if (--store->depth)
                return;
        busy = NULL;
        if (store->image->undo.count)
                store_put_word(&store->image->undo.count, 0);
        if (store->n_late)
                free_late(store);
}

/* Touches the pages. fallocate() would ignore MADV_NOHUGEPAGE, and leave each page to a fault of
 * its own: a third of the price of fresh memory. */
bool store_get_memory(struct store *store, size_t offset, size_t size)
{
        size_t ahead = offset % PAGE;
        unsigned char *from = (unsigned char *)store->image + (offset - ahead);

        if (madvise(from, ahead + size, MADV_POPULATE_WRITE) == 0)
                return true;
        if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
                return false;
        store->image->small = store->lends = false; /* before Linux 5.14, or forbidden */
        return fallocate(store->fd, 0, (off_t)offset, (off_t)size) == 0;
}

/* Gives memory to the entries of a table up to `index`, some at a time. */
static bool table_ready(struct store *store, size_t offset, size_t item, uint32_t *ready,
                        uint32_t index)
{
        uint32_t more = (uint32_t)(16384 / item + 1);

        while (*ready <= index) {
                if (!store_get_memory(store, offset + *ready * item, more * item))
                        return false;
                *ready += more;
        }
        return true;
}

bool store_client_ready(struct store *store, uint32_t slot)
{
        return slot < IMAGE_CLIENTS &&
               table_ready(store, offsetof(struct image, client), sizeof(struct image_client),
                           &store->clients_ready, slot);
}

/* Takes the last idle slab, which still has its memory, unless it is lent. */
static bool idle_take(struct store *store, uint32_t *slab)
{
        while (store->n_idle && !store->slab[store->idle[store->n_idle - 1]].idle)
                store->n_idle--;
        if (!store->n_idle || store->slab[store->idle[store->n_idle - 1]].lent)
                return false;
        *slab = store->idle[--store->n_idle];
        store->slab[*slab].idle = false;
        return true;
}

static uint32_t slab_take(struct store *store)
{
        uint32_t slab = store->slabs;

        if (store->n_free) {
                slab = store->free[--store->n_free];
                assert(store->free_bytes >= store->slab[slab].committed);
                store->free_bytes -= store->slab[slab].committed;
                return slab;
        }
        if (idle_take(store, &slab))
                return slab;
        if (slab == IMAGE_SLABS)
                store_tidy(store);
        if (store->n_cold)
                return store->cold[--store->n_cold];
        if (slab == IMAGE_SLABS ||
            !table_ready(store, offsetof(struct image, slab), sizeof(struct image_slab),
                         &store->slabs_ready, slab) ||
            !store_slab_room(store, slab + 1))
                return SLAB_NONE;
        store->slab[slab] = (struct store_slab){.prev = SLAB_NONE};
        store->slabs++;
        return slab;
}

uint32_t slab_new(struct store *store, size_t bytes)
{
        uint32_t slab = slab_take(store);
        struct store_slab *s;

        if (slab == SLAB_NONE)
                return slab;
        s = &store->slab[slab];
        s->prev = SLAB_NONE;
        s->refs = s->opens = 0;
        s->used = true;
        store->used_bytes += s->committed;
        store->image->slab[slab] = (struct image_slab){0, 0, 0};
        if (store->used_bytes > store->limit_bytes || !slab_commit(store, slab, bytes)) {
                free_now(store, slab);
                return SLAB_NONE;
        }
        return slab;
}

/* Where memory is short, idle slabs give theirs back at once. */
static bool get_memory_or_tidy(struct store *store, size_t offset, size_t size)
{
        while (!store_get_memory(store, offset, size)) {
                if (!store->n_idle)
                        return false;
                store_tidy(store);
        }
        return true;
}

/* Gives the slab memory for `want` bytes, whole pages, where it has less. */
static __attribute__((noinline)) bool commit_more(struct store *store, uint32_t slab, size_t want)
{
        struct store_slab *s = &store->slab[slab];
        size_t at = DATA_OFFSET + (size_t)slab * IMAGE_SLAB_SIZE + s->committed;
        size_t more = want - s->committed;

        if (store->used_bytes + more > store->limit_bytes || !get_memory_or_tidy(store, at, more))
                return false;
        store->used_bytes += more;
        s->committed += (uint32_t)more;
        return true;
}

bool slab_commit(struct store *store, uint32_t slab, size_t bytes)
{
        if (bytes <= store->slab[slab].committed)
                return true;
        return commit_more(store, slab, (bytes + PAGE - 1) / PAGE * PAGE);
}

void slab_free(struct store *store, uint32_t slab)
{
        assert(store->slab[slab].used);
        if (!store->depth) {
                free_now(store, slab);
                return;
        }
        push(store->late, &store->n_late, slab);
}

static uint32_t slab_of(const struct store *store, const void *bytes)
{
        return (uint32_t)((size_t)((const unsigned char *)bytes - store->image->data) /
                          IMAGE_SLAB_SIZE);
}

off_t slab_lend(struct store *store, const void *bytes)
{
        store->slab[slab_of(store, bytes)].lent = true;
        return (off_t)((const unsigned char *)bytes - (const unsigned char *)store->image);
}

bool slab_is_lent(const struct store *store, const void *bytes)
{
        return store->slab[slab_of(store, bytes)].lent;
}

void store_lend_all(struct store *store)
{
        size_t known = DATA_OFFSET + (size_t)store->slabs * IMAGE_SLAB_SIZE;

        for (uint32_t slab = 0; slab < store->slabs; slab++)
                store->slab[slab].lent = true;
        punch_hole(store, known, IMAGE_SIZE - known);
}

void slabs_free(struct store *store, uint32_t first)
{
        while (first != SLAB_NONE) {
                uint32_t next = slab_next(store, first);

                slab_free(store, first);
                first = next;
        }
}

uint64_t slab_limit(const struct store *store, uint32_t slab)
{
        uint32_t next = slab_next(store, slab);
        uint64_t room = slab_pos(store, slab) + IMAGE_SLAB_SIZE;

        if (next == SLAB_NONE || slab_pos(store, next) > room)
                return room;
        return slab_pos(store, next);
}

void chain_append(struct store *store, struct image_chain *chain, uint32_t slab, uint64_t pos)
{
        store->image->slab[slab] = (struct image_slab){.pos = pos, .aside_pos = pos};
        chain_join(store, chain, slab, slab);
}

void chain_join(struct store *store, struct image_chain *chain, uint32_t first, uint32_t last)
{
        uint32_t tail = chain_tail(chain);

        store_begin(store);
        if (tail == SLAB_NONE)
                store_put(store, &chain->head, first + 1);
        else
                store_put(store, &store->image->slab[tail].next, first + 1);
        store_put(store, &chain->tail, last + 1);
        store->slab[first].prev = tail;
        store_commit(store);
}

void chain_remove(struct store *store, struct image_chain *chain, uint32_t slab)
{
        uint32_t prev = store->slab[slab].prev, next = slab_next(store, slab);

        store_begin(store);
        if (prev == SLAB_NONE)
                store_put(store, &chain->head, next + 1);
        else
                store_put(store, &store->image->slab[prev].next, next + 1);
        if (next == SLAB_NONE)
                store_put(store, &chain->tail, prev + 1);
        else
                store->slab[next].prev = prev;
        store_commit(store);
}

uint32_t chain_cut(struct store *store, struct image_chain *chain, uint32_t slab)
{
        uint32_t first = slab == SLAB_NONE ? chain_head(chain) : slab_next(store, slab);

        store_begin(store);
        if (slab == SLAB_NONE)
                store_put(store, &chain->head, 0);
        else
                store_put(store, &store->image->slab[slab].next, 0);
        store_put(store, &chain->tail, slab + 1);
        store_commit(store);
        if (first != SLAB_NONE)
                store->slab[first].prev = SLAB_NONE;
        return first;
}

void chain_behead(struct store *store, struct image_chain *chain, uint32_t slab)
{
        store_begin(store);
        store_put(store, &chain->head, slab + 1);
        store_commit(store);
        store->slab[slab].prev = SLAB_NONE;
}

uint32_t extent_new(struct store *store)
{
        if (store->n_free_extents)
                return store->free_extents[--store->n_free_extents];
        if (store->extents_used >= store->extents_most ||
            !store_extent_room(store, (uint64_t)store->extents_used + 1) ||
            !table_ready(store, offsetof(struct image, extent), sizeof(struct image_extent),
                         &store->extents_ready, store->extents_used))
                return UINT32_MAX;
        return store->extents_used++;
}

bool extent_room(struct store *store, uint64_t n)
{
        uint64_t more = n > store->n_free_extents ? n - store->n_free_extents : 0;
        uint64_t last = store->extents_used + more;

        if (!more)
                return true;
        return last <= store->extents_most && store_extent_room(store, last) &&
               table_ready(store, offsetof(struct image, extent), sizeof(struct image_extent),
                           &store->extents_ready, (uint32_t)last - 1);
}

void extent_free(struct store *store, uint32_t extent)
{
        store->free_extents[store->n_free_extents++] = extent;
}
