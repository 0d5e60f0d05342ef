/* SPDX-License-Identifier: MIT */
#include "store/log_internal.h"

#include "store/marks.h"

enum {
        MANY = 2048, /* messages of a slab that are tiny: they get a mark for each PART */
        PART = 4096,
        FEW = 128, /* messages of a part that are tiny no more */
};

/* Walks in a part of the slab. */
static int walk_part(struct log *log, struct walk *walk, uint64_t to, struct frame_range stop)
{
        uint64_t number = walk->number, end = to - walk->pos > PART ? walk->pos + PART : to;
        int result = log_walk_slab(log, walk, end, stop);

        log->tiny = walk->number - number >= FEW;
        if (result != FRAME_MORE || end == to)
                return result;
        if (walk->number == number) /* a larger message */
                return log_walk_slab(log, walk, to, stop);
        walk->scanned = walk->pos;
        return WALK_STEP;
}

/* Walks as log_walk_slab(), but in parts where messages are tiny: whoever looks for a message walks
 * from a mark on, for each of thousands of readers. */
static int walk_on(struct log *log, struct walk *walk, uint64_t to, struct frame_range stop)
{
        struct walk before = *walk;
        int result;

        if (log->tiny)
                return walk_part(log, walk, to, stop);
        result = log_walk_slab(log, walk, to, stop);
        if (walk->number - before.number < MANY)
                return result;
        *walk = before;
        return walk_part(log, walk, to, stop);
}

/* Walks over whole frames up to `to`, as log_walk_slab(), and adds a mark in each slab, or in each
 * part of a slab. Without memory for a mark, sets *no_memory. */
static int walk_and_mark(struct log *log, struct walk *walk, uint64_t to, struct frame_range stop,
                         uint64_t now, uint32_t origin, bool *no_memory)
{
        for (;;) {
                uint64_t pos = walk->pos, number = walk->number;
                uint32_t slab = walk->slab;
                int result = walk_on(log, walk, to, stop);

                if (walk->number > number && !marks_add(log, pos, number, slab, now, origin)) {
                        *no_memory = true;
                        return FRAME_MORE;
                }
                if (result != WALK_STEP)
                        return result;
        }
}

static void set_end(struct log *log, const struct walk *walk)
{
        uint32_t before = log->end_slab;
        uint64_t end = log->image->end;

        store_put(log->store, &log->image->end, walk->pos);
        store_put(log->store, &log->image->number, walk->number);
        log->end_slab = walk->slab;
        log->scanned = walk->scanned;
        /* The old end's slab lost its last reader at the old end, and has no byte behind the old
         * end. */
        if (before != SLAB_NONE && log->left == end && !log->store->slab[before].refs &&
            slab_limit(log->store, before) == end && before != chain_head(&log->image->data) &&
            log_may_drop(log, before))
                log_drop(log, before);
}

/* Linked slabs, in no chain, that are filled with a copy. */
struct copy {
        uint32_t first, last;
        uint64_t pos; /* of the next byte */
        uint64_t start;
        uint64_t taken; /* up to here the filter has looked at every frame; UINT64_MAX: at all */
};

static bool copy_out(struct log *log, struct copy *copy, uint32_t slab, uint64_t from, uint64_t to)
{
        struct store *store = log->store;

        while (from < to) {
                uint64_t used = copy->last == SLAB_NONE ? IMAGE_SLAB_SIZE
                                                        : copy->pos - slab_pos(store, copy->last);
                uint64_t n;

                if (used == IMAGE_SLAB_SIZE) {
                        uint32_t more = slab_new(store, IMAGE_SLAB_SIZE);

                        if (more == SLAB_NONE)
                                return false;
                        store->image->slab[more] =
                                (struct image_slab){.pos = copy->pos, .aside_pos = copy->pos};
                        store->slab[more].prev = copy->last;
                        if (copy->last == SLAB_NONE)
                                copy->first = more;
                        else
                                store->image->slab[copy->last].next = more + 1;
                        copy->last = more;
                        used = 0;
                }
                n = IMAGE_SLAB_SIZE - used < to - from ? IMAGE_SLAB_SIZE - used : to - from;
                log_copy(log, slab, from, slab_data(store, copy->last) + used, n);
                copy->pos += n;
                from += n;
        }
        return true;
}

/* Copies the rest of the tail from `from` on, where the walk stands at a frame that the filter may
 * not look at any more. */
static void leave_rest(struct log *log, const struct walk *walk, uint32_t slab, uint64_t from,
                       uint64_t fill, struct copy *copy, bool *no_memory)
{
        *no_memory = !copy_out(log, copy, slab, from, walk->pos);
        copy->taken = copy->pos;
        *no_memory = *no_memory || !copy_out(log, copy, walk->slab, walk->pos, fill);
}

/*
 * Copies the tail behind the frame at walk.pos, which is left out, to slabs of the copy, in one
 * walk, without other frames that the filter drops: a crash in between leaves the received bytes
 * as they were. `looks`: how often the filter may still look. Returns the enum frame_result at the
 * end of the tail.
 */
static int filter_tail(struct log *log, struct walk walk, uint64_t fill,
                       const struct log_filter *filter, uint64_t looks, struct copy *copy,
                       bool *no_memory)
{
        walk.pos += walk.total;
        walk.slab = log_seek(log, walk.slab, walk.pos);
        for (;;) {
                uint64_t from = walk.pos;
                uint32_t slab = walk.slab;
                int result = log_walk_slab(log, &walk, fill, filter->range);
                uint64_t to = result == FRAME_MORE ? fill : walk.pos;

                if (result == FRAME_WHOLE && !looks--) {
                        leave_rest(log, &walk, slab, from, fill, copy, no_memory);
                        return FRAME_MORE;
                }
                if (result == FRAME_WHOLE &&
                    !filter->drop(filter->context, walk.slab, walk.pos, walk.total))
                        to = walk.pos + walk.total;
                if (!copy_out(log, copy, slab, from, to)) {
                        *no_memory = true;
                        return FRAME_MORE;
                }
                if (result == FRAME_TOO_LARGE ||
                    result == FRAME_BROKEN) { /* the bytes explain the fault */
                        *no_memory = !copy_out(log, copy, walk.slab, walk.pos, fill);
                        return result;
                }
                if (result == FRAME_MORE)
                        return result;
                if (result == FRAME_WHOLE) {
                        walk.pos += walk.total;
                        walk.slab = log_seek(log, walk.slab, walk.pos);
                }
        }
}

/* Returns the slab behind which put_tail() replaces the chain: the walk's slab, or the slab before
 * if the walk's slab would become empty and has no reader. */
static uint32_t kept_slab(struct log *log, const struct walk *walk)
{
        uint32_t slab = walk->slab, prev = log->store->slab[slab].prev;

        if (walk->pos > slab_pos(log->store, slab) || log->store->slab[slab].refs ||
            prev == SLAB_NONE || slab_pos(log->store, prev) + IMAGE_SLAB_SIZE < walk->pos)
                return slab;
        if (log->end_slab == slab)
                log->end_slab = prev;
        return prev;
}

/* Puts the copy of filter_tail() in the place of the received bytes and commits its frames. Without
 * memory for marks, restores the received bytes and sets *no_memory. */
static int put_tail(struct log *log, struct walk *walk, const struct copy *copy, uint64_t now,
                    uint32_t origin, bool *no_memory)
{
        uint64_t to = copy->taken < copy->pos ? copy->taken : copy->pos;
        struct image_chain *data = &log->image->data;
        uint32_t kept, last = chain_tail(data), tail;
        int result;

        walk->scanned = walk->pos;
        walk->total = walk->declared = 0;
        if (copy->first == SLAB_NONE)
                return FRAME_MORE;
        kept = log->fill_slab = kept_slab(log, walk);
        tail = chain_cut(log->store, data, kept);
        chain_join(log->store, data, copy->first, copy->last);
        walk->slab = log_seek(log, kept, walk->pos);
        result = walk_and_mark(log, walk, to, FRAME_NO_RANGE, now, origin, no_memory);
        if (!*no_memory) {
                slabs_free(log->store, tail);
                return result;
        }
        slabs_free(log->store, chain_cut(log->store, data, kept));
        if (tail != SLAB_NONE)
                chain_join(log->store, data, tail, last);
        return result;
}

/*
 * Copies a tail of at most a slab back to the place where it was received, without the frames that
 * were left out. The bytes overlap the old ones, so the frames before and the move are committed
 * first: a successor repeats the move. Leaves a new transaction open.
 */
static void move_back(struct log *log, struct walk *walk, const struct copy *copy)
{
        struct image_log *image = log->image;
        struct store *store = log->store;
        uint64_t size = copy->pos - copy->start;

        walk->scanned = walk->pos;
        set_end(log, walk);
        store_put(store, &image->move.pos, walk->pos);
        store_put(store, &image->move.size, size);
        store_put(store, &image->move.slab, copy->first + 1);
        store_commit(store);
        log_write(log, log->end_slab, walk->pos, slab_data(store, copy->first), size);
        store_begin(store);
        store_put(store, &image->move.slab, 0);
        slab_free(store, copy->first);
        walk->slab = log_seek(log, log->end_slab, walk->pos);
}

struct log_taken log_take(struct log *log, uint64_t *base, uint64_t read,
                          const struct log_filter *filter, uint64_t now_usec, uint32_t origin)
{
        struct image_log *image = log->image;
        struct walk walk = {log->end_slab, image->end, image->number, log->scanned, 0, 0};
        struct frame_range range = filter ? filter->range : FRAME_NO_RANGE;
        struct log_taken taken = {0};
        uint64_t fill = *base + read, to = fill, marks = image->mark_next;
        uint64_t number = image->number, end = image->end;
        uint64_t looks = filter && filter->most ? filter->most : UINT64_MAX;
        int result;

        if (fill == image->end)
                return taken;
        walk.slab = log_seek(log, walk.slab, walk.pos);
        store_begin(log->store);
        for (;;) {
                result = walk_and_mark(log, &walk, to, range, now_usec, origin, &taken.no_memory);
                if (result != FRAME_WHOLE)
                        break;
                if (!looks--) {
                        taken.more = true;
                        walk.scanned = walk.pos; /* its delimiter is to be found again */
                        walk.total = walk.declared = 0;
                        result = FRAME_MORE;
                        break;
                }
                if (filter->drop(filter->context, walk.slab, walk.pos, walk.total)) {
                        struct copy copy = {SLAB_NONE, SLAB_NONE, walk.pos, walk.pos, UINT64_MAX};

                        result = filter_tail(log, walk, fill, filter, looks, &copy,
                                             &taken.no_memory);
                        if (taken.no_memory) {
                                slabs_free(log->store, copy.first);
                                break;
                        }
                        if (copy.first != SLAB_NONE && copy.first == copy.last &&
                            log->store->depth == 1) {
                                store_put(log->store, base, *base - (fill - copy.pos));
                                move_back(log, &walk, &copy);
                                marks = image->mark_next;
                                fill = to = copy.pos;
                                if (copy.taken < to)
                                        to = copy.taken;
                                taken.more = to < fill;
                                range = FRAME_NO_RANGE;
                                continue;
                        }
                        result = put_tail(log, &walk, &copy, now_usec, origin, &taken.no_memory);
                        if (!taken.no_memory)
                                store_put(log->store, base, *base - (fill - copy.pos));
                        taken.more = copy.taken < copy.pos;
                        break;
                }
                if (!marks_add(log, walk.pos, walk.number, walk.slab, now_usec, origin)) {
                        taken.no_memory = true;
                        break;
                }
                walk.pos += walk.total;
                walk.number++;
                walk.slab = log_seek(log, walk.slab, walk.pos);
        }
        if (taken.no_memory) {
                taken.more = false;
                store_put(log->store, &image->mark_next, marks);
        } else {
                taken.result = (enum frame_result)result;
                taken.total = walk.total;
                taken.declared = walk.declared;
                set_end(log, &walk);
        }
        taken.messages = image->number - number; /* without memory: those before a move back */
        taken.bytes = image->end - end;
        store_commit(log->store);
        return taken;
}
