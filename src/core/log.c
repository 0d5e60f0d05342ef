/* SPDX-License-Identifier: MIT */
#include "core/log.h"
#include "core/marks.h"

#include <assert.h>
#include <string.h>

void log_init(struct log *log, struct store *store, struct image_log *image,
              const struct frame_spec *spec)
{
        *log = (struct log){.store = store,
                            .image = image,
                            .spec = spec,
                            .scanned = image->end,
                            .left = UINT64_MAX};
        log->end_slab = log_seek(log, SLAB_NONE, image->end);
        log->fill_slab = log->end_slab;
}

uint32_t log_seek(const struct log *log, uint32_t slab, uint64_t pos)
{
        if (slab == SLAB_NONE)
                slab = chain_head(&log->image->data);
        while (slab != SLAB_NONE && pos >= slab_limit(log->store, slab)) {
                uint32_t next = slab_next(log->store, slab);

                if (next == SLAB_NONE)
                        break;
                slab = next;
        }
        return slab;
}

/* A slab more behind the last one, or the first, at the end. */
static bool attach(struct log *log)
{
        struct image_chain *data = &log->image->data;
        uint32_t tail = chain_tail(data), slab = slab_new(log->store, IMAGE_SLAB_SIZE);

        if (slab == SLAB_NONE)
                return false;
        chain_append(log->store, data, slab,
                     tail == SLAB_NONE ? log->image->end
                                       : slab_pos(log->store, tail) + IMAGE_SLAB_SIZE);
        if (tail == SLAB_NONE)
                log->end_slab = slab;
        return true;
}

bool log_ready(struct log *log)
{
        return log->end_slab != SLAB_NONE || attach(log);
}

int log_room(struct log *log, uint64_t fill, size_t want, struct iovec *iov, int max)
{
        struct store *store = log->store;
        uint32_t slab;
        int n = 0;

        if (!log_ready(log))
                return 0;
        if (log->fill_slab == SLAB_NONE || slab_pos(store, log->fill_slab) > fill)
                log->fill_slab = log->end_slab;
        slab = log->fill_slab = log_seek(log, log->fill_slab, fill);
        while (want && n < max) {
                uint64_t from = fill - slab_pos(store, slab), room = slab_limit(store, slab) - fill;

                if (room == 0) {
                        if (slab_next(store, slab) == SLAB_NONE && !attach(log))
                                break;
                        slab = slab_next(store, slab);
                        continue;
                }
                if (room > want)
                        room = want;
                /* Slabs that a partial message brought along have as much memory as it had. */
                if (!slab_commit(store, slab, from + room))
                        break;
                iov[n++] = (struct iovec){slab_data(store, slab) + from, room};
                fill += room;
                want -= room;
        }
        return n;
}

void log_copy(const struct log *log, uint32_t slab, uint64_t pos, void *to, size_t size)
{
        unsigned char *p = to;

        while (size) {
                uint64_t n, at;

                slab = log_seek(log, slab, pos);
                at = slab_pos(log->store, slab);
                n = slab_limit(log->store, slab) - pos;
                if (n > size)
                        n = size;
                memcpy(p, slab_data(log->store, slab) + (pos - at), n);
                p += n;
                pos += n;
                size -= n;
        }
}

int log_gather(const struct log *log, uint32_t *slab, uint64_t pos, uint64_t to, size_t limit,
               struct iovec *iov, int max)
{
        int n = 0;

        if (to - pos > limit)
                to = pos + limit;
        *slab = log_seek(log, *slab, pos);
        for (uint32_t s = *slab; pos < to && n < max; s = slab_next(log->store, s)) {
                uint64_t at = slab_pos(log->store, s), end = slab_limit(log->store, s);

                if (end > to)
                        end = to;
                if (end > pos)
                        iov[n++] = (struct iovec){slab_data(log->store, s) + (pos - at), end - pos};
                pos = end > pos ? end : pos;
        }
        return n;
}

/* ---- walking ---- */

struct walk {
        uint32_t slab;
        uint64_t pos, number;
        uint64_t scanned;
        uint64_t total, declared; /* of the frame at pos, where the walk stopped in front of one */
};

enum { WALK_STEP = FRAME_BROKEN + 1 }; /* some frames further, in the same slab or the next */

static int step_over(const struct log *log, struct walk *walk, uint64_t to, uint64_t body,
                     struct frame_range stop)
{
        if (to - walk->pos < walk->total)
                return FRAME_MORE;
        if (body - stop.min <= stop.max - stop.min)
                return FRAME_WHOLE;
        walk->pos += walk->total;
        walk->number++;
        walk->slab = log_seek(log, walk->slab, walk->pos);
        walk->total = walk->declared = 0;
        return WALK_STEP;
}

static int walk_lengths(const struct log *log, struct walk *walk, uint64_t to,
                        struct frame_range stop)
{
        size_t header = frame_header_size(log->spec);
        unsigned char bytes[FRAME_HEADER_MAX];
        uint64_t at = slab_pos(log->store, walk->slab), limit = slab_limit(log->store, walk->slab);
        enum frame_result result;

        walk->total = walk->declared = 0;
        if (limit > to)
                limit = to;
        walk->pos += frame_walk(log->spec, slab_data(log->store, walk->slab) + (walk->pos - at),
                                limit - walk->pos, stop, &walk->number);
        if (to - walk->pos < header)
                return FRAME_MORE;
        if (walk->pos == limit) {
                walk->slab = log_seek(log, walk->slab, walk->pos);
                return WALK_STEP;
        }
        log_copy(log, walk->slab, walk->pos, bytes, header);
        result = frame_measure(log->spec, bytes, &walk->total, &walk->declared);
        if (result != FRAME_WHOLE)
                return result;
        return step_over(log, walk, to, walk->total - header, stop);
}

/* Do the bytes before `end`, the last of them in this slab, end a delimiter? */
static bool ends_delimiter(const struct log *log, const struct walk *walk, uint32_t slab,
                           uint64_t end)
{
        const struct frame_spec *spec = log->spec;
        uint64_t at = slab_pos(log->store, slab), size = spec->delimiter_size;
        unsigned char bytes[FRAME_DELIMITER_MAX];

        if (end - walk->pos < size)
                return false;
        if (end - size >= at)
                return memcmp(slab_data(log->store, slab) + (end - size - at), spec->delimiter,
                              size) == 0;
        log_copy(log, walk->slab, end - size, bytes, size);
        return memcmp(bytes, spec->delimiter, size) == 0;
}

/* Where the first delimiter ends that lies whole between the walk's place and `to`; 0: nowhere. */
static uint64_t find_delimiter(const struct log *log, struct walk *walk, uint64_t to)
{
        unsigned char last = log->spec->delimiter[log->spec->delimiter_size - 1];
        uint32_t slab = log_seek(log, walk->slab, walk->scanned);

        while (walk->scanned < to) {
                uint64_t at = slab_pos(log->store, slab), limit = slab_limit(log->store, slab);
                const unsigned char *data = slab_data(log->store, slab), *hit;

                if (limit > to)
                        limit = to;
                hit = memchr(data + (walk->scanned - at), last, limit - walk->scanned);
                if (!hit) {
                        walk->scanned = limit;
                        slab = log_seek(log, slab, limit);
                        continue;
                }
                walk->scanned = at + (uint64_t)(hit - data) + 1;
                if (ends_delimiter(log, walk, slab, walk->scanned))
                        return walk->scanned;
        }
        return 0;
}

static int walk_delimiters(const struct log *log, struct walk *walk, uint64_t to,
                           struct frame_range stop)
{
        uint32_t slab = walk->slab, size = log->spec->delimiter_size;

        walk->declared = 0;
        while (walk->slab == slab) {
                uint64_t end, body;
                int result;

                if (walk->scanned < walk->pos)
                        walk->scanned = walk->pos;
                end = find_delimiter(log, walk, to);
                walk->total = end ? end - walk->pos : 0;
                body = end                     ? walk->total - size
                       : to - walk->pos < size ? 0
                                               : to - walk->pos - (size - 1);
                if (body > log->spec->max_message_size)
                        return FRAME_TOO_LARGE;
                if (!end)
                        return FRAME_MORE;
                result = step_over(log, walk, to, body, stop);
                if (result != WALK_STEP)
                        return result;
        }
        return WALK_STEP;
}

/* Over whole frames that begin in one slab, up to `to`; stops before one that is not whole, not
 * acceptable or in `stop`. */
static int walk_slab(const struct log *log, struct walk *walk, uint64_t to, struct frame_range stop)
{
        if (walk->pos == to) {
                walk->total = walk->declared = 0;
                return FRAME_MORE;
        }
        return log->spec->type == FRAME_DELIMITER ? walk_delimiters(log, walk, to, stop)
                                                  : walk_lengths(log, walk, to, stop);
}

/* ---- taking ---- */

/* A walk that leaves a mark for every slab in which frames begin. */
static int walk_and_mark(struct log *log, struct walk *walk, uint64_t to, struct frame_range stop,
                         uint64_t now, uint32_t origin, bool *no_memory)
{
        for (;;) {
                uint64_t pos = walk->pos, number = walk->number;
                uint32_t slab = walk->slab;
                int result = walk_slab(log, walk, to, stop);

                if (walk->number > number && !marks_add(log, pos, number, slab, now, origin)) {
                        *no_memory = true;
                        return FRAME_MORE;
                }
                if (result != WALK_STEP)
                        return result;
        }
}

static void drop_slab(struct log *log, uint32_t slab)
{
        chain_remove(log->store, &log->image->data, slab);
        slab_free(log->store, slab);
        if (log->fill_slab == slab)
                log->fill_slab = log->end_slab;
}

/* May it go out of the middle? Not where it tells that the slab before it ends early. */
static bool may_go(const struct log *log, uint32_t slab)
{
        const struct store *store = log->store;
        uint32_t prev = store->slab[slab].prev;

        return !log->open && slab != log->end_slab && slab_pos(store, slab) < log->image->end &&
               slab_pos(store, prev) + IMAGE_SLAB_SIZE <= slab_pos(store, slab);
}

static void set_end(struct log *log, const struct walk *walk)
{
        uint32_t before = log->end_slab;
        uint64_t end = log->image->end;

        store_put(log->store, &log->image->end, walk->pos);
        store_put(log->store, &log->image->number, walk->number);
        log->end_slab = walk->slab;
        log->scanned = walk->scanned;
        /* Its readers were through with it while it was the end's, and nothing came behind. */
        if (before != SLAB_NONE && log->left == end && !log->store->slab[before].refs &&
            slab_limit(log->store, before) == end && before != chain_head(&log->image->data) &&
            may_go(log, before))
                drop_slab(log, before);
}

/* Slabs that are being filled with a copy. */
struct copy {
        uint32_t first, last;
        uint64_t pos; /* of the next byte */
        uint64_t start;
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
                                (struct image_slab){.pos = copy->pos, .own = copy->pos};
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

/*
 * From a frame on that is left out: what is wanted of the rest goes into slabs of its own, in one
 * pass, so that a crash in the middle finds the received bytes as they were. Returns how the rest
 * ends.
 */
static int filter_rest(struct log *log, struct walk walk, uint64_t fill,
                       const struct log_filter *filter, struct copy *copy, bool *no_memory)
{
        walk.pos += walk.total;
        walk.slab = log_seek(log, walk.slab, walk.pos);
        for (;;) {
                uint64_t from = walk.pos;
                uint32_t slab = walk.slab;
                int result = walk_slab(log, &walk, fill, filter->range);
                uint64_t to = result == FRAME_MORE ? fill : walk.pos;

                if (result == FRAME_WHOLE &&
                    !filter->drop(filter->context, walk.slab, walk.pos, walk.total))
                        to = walk.pos + walk.total;
                if (!copy_out(log, copy, slab, from, to)) {
                        *no_memory = true;
                        return FRAME_MORE;
                }
                if (result == FRAME_TOO_LARGE ||
                    result == FRAME_BROKEN) { /* its bytes explain it */
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

/* What put_rest() replaces; a slab that would become empty goes too, unless somebody is in it. */
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

/* Puts what filter_rest() kept in the place of what was received. Without memory for its marks,
 * all is as it was. */
static int put_rest(struct log *log, struct walk *walk, const struct copy *copy, uint64_t now,
                    uint32_t origin, bool *no_memory)
{
        struct image_chain *data = &log->image->data;
        uint32_t kept, last = chain_tail(data), rest;
        int result;

        walk->scanned = walk->pos;
        walk->total = walk->declared = 0;
        if (copy->first == SLAB_NONE)
                return FRAME_MORE;
        kept = log->fill_slab = kept_slab(log, walk);
        rest = chain_cut(log->store, data, kept);
        chain_join(log->store, data, copy->first, copy->last);
        walk->slab = log_seek(log, kept, walk->pos);
        result = walk_and_mark(log, walk, copy->pos, FRAME_NO_RANGE, now, origin, no_memory);
        if (!*no_memory) {
                slabs_free(log->store, rest);
                return result;
        }
        slabs_free(log->store, chain_cut(log->store, data, kept));
        if (rest != SLAB_NONE)
                chain_join(log->store, data, rest, last);
        return result;
}

struct log_taken log_take(struct log *log, uint64_t *base, uint64_t read,
                          const struct log_filter *filter, uint64_t now_usec, uint32_t origin)
{
        struct image_log *image = log->image;
        struct walk walk = {log->end_slab, image->end, image->number, log->scanned, 0, 0};
        struct frame_range range = filter ? filter->range : FRAME_NO_RANGE;
        struct log_taken taken = {0};
        uint64_t fill = *base + read, marks = image->mark_next;
        int result;

        if (fill == image->end)
                return taken;
        walk.slab = log_seek(log, walk.slab, walk.pos);
        store_begin(log->store);
        for (;;) {
                result = walk_and_mark(log, &walk, fill, range, now_usec, origin, &taken.no_memory);
                if (result != FRAME_WHOLE)
                        break;
                if (filter->drop(filter->context, walk.slab, walk.pos, walk.total)) {
                        struct copy copy = {SLAB_NONE, SLAB_NONE, walk.pos, walk.pos};

                        result = filter_rest(log, walk, fill, filter, &copy, &taken.no_memory);
                        if (taken.no_memory) {
                                slabs_free(log->store, copy.first);
                                break;
                        }
                        result = put_rest(log, &walk, &copy, now_usec, origin, &taken.no_memory);
                        if (!taken.no_memory)
                                store_put(log->store, base, *base - (fill - copy.pos));
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
                store_put(log->store, &image->mark_next, marks);
        } else {
                taken.result = (enum frame_result)result;
                taken.total = walk.total;
                taken.declared = walk.declared;
                taken.messages = walk.number - image->number;
                taken.bytes = walk.pos - image->end;
                set_end(log, &walk);
        }
        store_commit(log->store);
        return taken;
}

/* ---- places ---- */

/* What was accepted stays so, whatever a reload says of the largest size. */
static int walk_committed(const struct log *log, struct walk *walk, uint64_t to,
                          struct frame_range stop)
{
        struct frame_spec any_size = *log->spec;
        struct log view = *log;
        int result;

        any_size.max_message_size = INT64_MAX;
        view.spec = &any_size;
        do
                result = walk_slab(&view, walk, to, stop);
        while (result == WALK_STEP);
        return result;
}

struct log_place log_walk(const struct log *log, const struct image_mark *mark, uint64_t to)
{
        struct walk walk = {
                (uint32_t)(mark->where >> 32), mark->pos, mark->number, mark->pos, 0, 0};

        walk_committed(log, &walk, to, FRAME_NO_RANGE);
        return (struct log_place){walk.pos, walk.number, mark->time_usec};
}

struct log_place log_place(const struct log *log, uint64_t pos)
{
        const struct image_log *image = log->image;
        uint64_t hint = image->mark_first;
        const struct image_mark *mark;

        if (pos >= image->end)
                return (struct log_place){image->end, image->number, 0};
        mark = log_mark(log, pos, &hint);
        assert(mark);
        return log_walk(log, mark, pos);
}

struct log_place log_behind(const struct log *log, struct log_place place)
{
        uint64_t hint = log->image->mark_first;
        const struct image_mark *mark = log_mark(log, place.pos, &hint);
        uint32_t slab = log_seek(log, (uint32_t)(mark->where >> 32), place.pos);
        struct walk walk = {slab, place.pos, place.number, place.pos, 0, 0};

        walk_committed(log, &walk, log->image->end, (struct frame_range){0, UINT64_MAX - 1});
        return (struct log_place){place.pos + walk.total, place.number + 1, 0};
}

/* ---- slabs ---- */

void log_hold(struct log *log, uint32_t slab)
{
        if (slab != SLAB_NONE)
                log->store->slab[slab].refs++;
}

void log_release(struct log *log, uint32_t slab)
{
        if (slab == SLAB_NONE)
                return;
        assert(log->store->slab[slab].refs > 0);
        if (--log->store->slab[slab].refs)
                return;
        if (slab == log->end_slab)
                log->left = log->image->end;
        if (!log->store->slab[chain_head(&log->image->data)].refs)
                log_trim(log);
        else if (may_go(log, slab))
                drop_slab(log, slab);
}

void log_trim(struct log *log)
{
        struct image_chain *data = &log->image->data;
        uint32_t keep = chain_head(data);

        if (keep == SLAB_NONE || keep == log->end_slab || log->store->slab[keep].refs)
                return;
        /* However many they are, it is one word that changes. */
        store_begin(log->store);
        while (keep != log->end_slab && !log->store->slab[keep].refs) {
                uint32_t next = slab_next(log->store, keep);

                if (log->fill_slab == keep)
                        log->fill_slab = log->end_slab;
                slab_free(log->store, keep);
                keep = next;
        }
        chain_behead(log->store, data, keep);
        marks_trim(log, slab_pos(log->store, keep));
        store_commit(log->store);
}

uint32_t log_cut(struct log *log)
{
        if (log->end_slab == SLAB_NONE)
                return SLAB_NONE;
        log->fill_slab = log->end_slab;
        log->scanned = log->image->end;
        return chain_cut(log->store, &log->image->data, log->end_slab);
}

void log_join(struct log *log, uint32_t first, uint32_t last)
{
        chain_join(log->store, &log->image->data, first, last);
        if (log->end_slab == SLAB_NONE)
                log->end_slab = first;
        log->fill_slab = log->end_slab;
        log->scanned = log->image->end;
}
