/* SPDX-License-Identifier: MIT */
#include "store/log_internal.h"

#include <assert.h>
#include <string.h>

#include "store/marks.h"

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

/* True if the bytes before `end`, the last of which is in this slab, are a delimiter. */
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

/* Returns the end of the first delimiter that stands whole between walk->pos and `to`; 0: none. */
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

/* Walks over the frames that end in the walk's slab with a delimiter of one byte, as
 * walk_delimiters(), which goes on at the first frame that is another. An empty line takes 2 ns,
 * else 50. */
static void walk_lines(const struct log *log, struct walk *walk, uint64_t to,
                       struct frame_range stop)
{
        uint64_t at = slab_pos(log->store, walk->slab), limit = slab_limit(log->store, walk->slab);
        uint64_t max = log->spec->max_message_size, span = stop.max - stop.min, n = 0;
        const unsigned char *data = slab_data(log->store, walk->slab);
        const unsigned char *p = data + (walk->pos - at);
        const unsigned char *end = data + ((limit < to ? limit : to) - at);
        unsigned char delimiter = *log->spec->delimiter;

        while (p < end) {
                const unsigned char *hit =
                        *p == delimiter ? p : memchr(p, delimiter, (size_t)(end - p));
                uint64_t body = hit ? (uint64_t)(hit - p) : UINT64_MAX;

                if (!hit || body > max || body - stop.min <= span)
                        break;
                p = hit + 1;
                n++;
        }
        walk->pos = at + (uint64_t)(p - data);
        walk->number += n;
        walk->slab = log_seek(log, walk->slab, walk->pos);
}

static int walk_delimiters(const struct log *log, struct walk *walk, uint64_t to,
                           struct frame_range stop)
{
        uint32_t slab = walk->slab, size = log->spec->delimiter_size;

        walk->declared = 0;
        if (size == 1 && walk->scanned <= walk->pos)
                walk_lines(log, walk, to, stop);
        walk->total = 0;
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

int log_walk_slab(const struct log *log, struct walk *walk, uint64_t to, struct frame_range stop)
{
        if (walk->pos == to) {
                walk->total = walk->declared = 0;
                return FRAME_MORE;
        }
        return log->spec->type == FRAME_DELIMITER ? walk_delimiters(log, walk, to, stop)
                                                  : walk_lengths(log, walk, to, stop);
}

/* Walks over committed frames: a smaller MaxMessageSize= does not make them too large. */
static int walk_committed(const struct log *log, struct walk *walk, uint64_t to,
                          struct frame_range stop)
{
        struct frame_spec any_size = *log->spec;
        struct log view = *log;
        uint64_t pos;
        uint32_t slab;
        int result;

        any_size.max_message_size = INT64_MAX;
        view.spec = &any_size;
        do {
                pos = walk->pos;
                slab = walk->slab;
                result = log_walk_slab(&view, walk, to, stop);
        } while (result == WALK_STEP && (walk->pos > pos || walk->slab != slab));
        return result;
}

struct log_place log_walk(const struct log *log, const struct image_mark *mark, uint64_t to)
{
        struct walk walk = {
                (uint32_t)(mark->where >> 32), mark->pos, mark->number, mark->pos, 0, 0};

        walk_committed(log, &walk, to, FRAME_NO_RANGE);
        return (struct log_place){walk.pos, walk.number, mark->time_usec};
}

/* Returns where a walk from this slab to `to` may end. Each slab has a mark of its own at the first
 * message that begins in the slab: only the last message of a run may go beyond the slab, and its
 * bytes, which may be a gigabyte, need no search for a delimiter. */
static uint64_t search_end(const struct log *log, uint32_t slab, uint64_t to)
{
        uint64_t limit = slab_limit(log->store, slab);

        return log->spec->type == FRAME_DELIMITER && limit < to ? limit : to;
}

struct log_place log_place(const struct log *log, uint64_t pos)
{
        const struct image_log *image = log->image;
        uint64_t hint = image->mark_first;
        const struct image_mark *mark;

        if (pos >= image->end)
                return (struct log_place){image->end, image->number, 0};
        mark = log_find_mark(log, pos, &hint);
        assert(mark);
        return log_walk(log, mark, search_end(log, (uint32_t)(mark->where >> 32), pos));
}

/* Returns the position of the first mark behind pos, or the end. */
static uint64_t next_mark(const struct log *log, uint64_t pos)
{
        uint64_t k = log->image->mark_first;

        log_find_mark(log, pos, &k);
        return k + 1 < log->image->mark_next ? marks_get(log, k + 1)->pos : log->image->end;
}

struct log_place log_step(const struct log *log, uint32_t *slab, struct log_place place)
{
        struct walk walk;

        if (*slab == SLAB_NONE) {
                uint64_t hint = log->image->mark_first;

                *slab = (uint32_t)(log_find_mark(log, place.pos, &hint)->where >> 32);
        }
        *slab = log_seek(log, *slab, place.pos);
        walk = (struct walk){*slab, place.pos, place.number, place.pos, 0, 0};
        walk_committed(log, &walk, search_end(log, *slab, log->image->end),
                       (struct frame_range){0, UINT64_MAX - 1});
        if (!walk.total) /* it goes beyond the slab */
                walk.total = next_mark(log, place.pos) - place.pos;
        return (struct log_place){place.pos + walk.total, place.number + 1, 0};
}

struct log_place log_behind(const struct log *log, struct log_place place)
{
        uint32_t slab = SLAB_NONE;

        return log_step(log, &slab, place);
}
