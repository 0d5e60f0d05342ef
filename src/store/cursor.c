/* SPDX-License-Identifier: MIT */
#include "store/cursor_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void cursor_range_pin(struct cursor *cursor, uint32_t slab, uint64_t to, bool pin)
{
        const struct store *store = cursor->log->store;

        while (slab != SLAB_NONE && slab_pos(store, slab) < to) {
                uint32_t next = slab_next(store, slab);

                if (pin)
                        log_pin(cursor->log, slab);
                else
                        log_unpin(cursor->log, slab);
                slab = next;
        }
}

uint32_t cursor_pin_for(struct cursor *cursor, uint64_t pos)
{
        struct log *log = cursor->log;
        const struct image_mark *mark;

        if (pos >= log->image->end) {
                cursor->mark = log->image->mark_next ? log->image->mark_next - 1 : 0;
                return log->end_slab;
        }
        mark = log_find_mark(log, pos, &cursor->mark);
        assert(mark);
        return (uint32_t)(mark->where >> 32);
}

/* Moves the pin of an open cursor to the slab for its position. */
static void repin(struct cursor *cursor)
{
        uint32_t pin = cursor_pin_for(cursor, cursor->image->pos);

        if (pin == cursor->pin)
                return;
        log_open(cursor->log, pin);
        log_shut(cursor->log, cursor->pin);
        cursor->pin = cursor->slab = pin;
}

/* Gives an empty log a slab: a reader must pin the slab in which the first bytes will be. */
static void pin_something(struct log *log)
{
        if (!log_ready(log))
                abort(); /* once for each log: the relay has its logs ready before any reader */
}

void cursor_init(struct cursor *cursor, struct log *log, struct image_cursor *image, bool open)
{
        struct store *store = log->store;

        pin_something(log);
        *cursor = (struct cursor){.log = log,
                                  .image = image,
                                  .slab = log->end_slab,
                                  .pin = SLAB_NONE,
                                  .open_pin = SLAB_NONE};
        store_begin(store);
        store_put(store, &image->pos, log->image->end);
        store_put(store, &image->stop, open ? IMAGE_OPEN : log->image->end);
        store_put(store, &image->stop_number, log->image->number);
        store_put(store, &image->from, log->image->end);
        store_put(store, &image->from_number, log->image->number);
        store_put(store, &image->open_from, IMAGE_OPEN);
        store_put(store, &image->open_from_number, 0);
        store_put(store, &image->extent_head, 0);
        store_put(store, &image->extent_tail, 0);
        store_put(store, &image->done_messages, 0);
        store_put(store, &image->done_bytes, 0);
        store_put(store, &image->extent_messages, 0);
        store_put(store, &image->extent_bytes, 0);
        store_commit(store);
        if (open) {
                cursor->pin = cursor_pin_for(cursor, image->pos);
                log_open(log, cursor->pin);
        }
}

void cursor_recover(struct cursor *cursor, struct log *log, struct image_cursor *image)
{
        pin_something(log);
        *cursor = (struct cursor){.log = log,
                                  .image = image,
                                  .slab = SLAB_NONE,
                                  .pin = SLAB_NONE,
                                  .open_pin = SLAB_NONE};
        cursor->slab = log_seek(log, SLAB_NONE, image->pos);
        if (cursor_is_open(cursor)) {
                cursor->pin = cursor_pin_for(cursor, image->pos);
                log_open(log, cursor->pin);
        } else if (image->pos < image->stop) {
                cursor->pin = cursor_pin_for(cursor, image->pos);
                cursor_range_pin(cursor, cursor->pin, image->stop, true);
        }
        if (image->open_from != IMAGE_OPEN) {
                cursor->open_pin = cursor_pin_for(cursor, image->open_from);
                log_open(log, cursor->open_pin);
        }
        for (uint64_t e = image->extent_head; e; e = extent_at(cursor, e)->next)
                cursor_range_pin(cursor, cursor_pin_for(cursor, extent_at(cursor, e)->from),
                                 extent_at(cursor, e)->to, true);
        if (cursor_is_open(cursor) || image->pos < image->stop) {
                struct log_place at = log_place(log, image->pos);

                cursor->told_of = image->from;
                waits_skip(&cursor->waits, at.pos, at.number);
        }
}

void cursor_done(struct cursor *cursor)
{
        struct log *log = cursor->log;
        struct image_cursor *image = cursor->image;

        store_begin(log->store);
        if (cursor_is_open(cursor))
                log_shut(log, cursor->pin);
        else if (cursor->pin != SLAB_NONE)
                cursor_range_pin(cursor, cursor->pin, image->stop, false);
        if (cursor->open_pin != SLAB_NONE)
                log_shut(log, cursor->open_pin);
        for (uint64_t e = image->extent_head, next; e; e = next) {
                next = extent_at(cursor, e)->next;
                cursor_range_pin(cursor, cursor_pin_for(cursor, extent_at(cursor, e)->from),
                                 extent_at(cursor, e)->to, false);
                extent_free(log->store, (uint32_t)e - 1);
        }
        store_put(log->store, &image->extent_head, 0);
        store_put(log->store, &image->extent_tail, 0);
        store_commit(log->store);
        log_trim(log);
        cursor->pin = cursor->open_pin = SLAB_NONE;
}

/* Adds extents behind a range that is gathered whole, as far as they fit: messages dealt one by one
 * still go in one system call. */
static int gather_extents(struct cursor *cursor, size_t limit, struct iovec *iov, int max)
{
        uint64_t hint = cursor->mark;
        int n = 0;

        for (uint64_t e = cursor->image->extent_head; e && limit && n < max;
             e = extent_at(cursor, e)->next) {
                const struct image_extent *extent = extent_at(cursor, e);
                uint64_t size = extent->to - extent->from;
                uint32_t slab =
                        (uint32_t)(log_find_mark(cursor->log, extent->from, &hint)->where >> 32);
                int more = log_gather(cursor->log, &slab, extent->from, extent->to, limit, iov + n,
                                      max - n);

                for (int i = 0; i < more; i++)
                        size -= iov[n + i].iov_len;
                n += more;
                if (size)
                        break;
                limit -= extent->to - extent->from;
        }
        return n;
}

int cursor_gather(struct cursor *cursor, size_t limit, struct iovec *iov, int max)
{
        const struct image_cursor *image = cursor->image;
        uint64_t to = cursor_is_open(cursor) ? cursor->log->image->end : image->stop;
        uint64_t left = to - image->pos;
        int n;

        if (!left)
                return 0;
        /* The pinned slab may be before the slab of pos: log_gather() seeks from there. */
        if (cursor->slab == SLAB_NONE)
                cursor->slab = cursor->pin;
        n = log_gather(cursor->log, &cursor->slab, image->pos, to, limit, iov, max);
        if (!image->extent_head || left >= limit)
                return n;
        for (int i = 0; i < n; i++)
                left -= iov[i].iov_len;
        return left ? n : n + gather_extents(cursor, limit - (to - image->pos), iov + n, max - n);
}

void cursor_range_next(struct cursor *cursor)
{
        struct image_cursor *image = cursor->image;
        struct log *log = cursor->log;
        struct store *store = log->store;

        if (image->extent_head) {
                uint64_t e = image->extent_head;
                const struct image_extent *extent = extent_at(cursor, e);

                store_put(store, &image->pos, extent->from);
                store_put(store, &image->stop, extent->to);
                store_put(store, &image->stop_number, extent->to_number);
                store_put(store, &image->from, extent->from);
                store_put(store, &image->from_number, extent->from_number);
                store_put(store, &image->extent_messages,
                          image->extent_messages - (extent->to_number - extent->from_number));
                store_put(store, &image->extent_bytes,
                          image->extent_bytes - (extent->to - extent->from));
                store_put(store, &image->extent_head, extent->next);
                if (!extent->next)
                        store_put(store, &image->extent_tail, 0);
                cursor->slab = cursor->pin = cursor_pin_for(cursor, extent->from);
                extent_free(store, (uint32_t)e - 1);
        } else if (image->open_from != IMAGE_OPEN) {
                store_put(store, &image->pos, image->open_from);
                store_put(store, &image->stop, IMAGE_OPEN);
                store_put(store, &image->from, image->open_from);
                store_put(store, &image->from_number, image->open_from_number);
                store_put(store, &image->open_from, IMAGE_OPEN);
                cursor->slab = cursor->pin = cursor->open_pin;
                cursor->open_pin = SLAB_NONE;
        }
}

void cursor_range_passed(struct cursor *cursor)
{
        const struct image_cursor *image = cursor->image;
        const struct store *store = cursor->log->store;
        uint32_t keep = image->pos < image->stop ? cursor_pin_for(cursor, image->pos) : SLAB_NONE;

        while (cursor->pin != SLAB_NONE && cursor->pin != keep &&
               slab_pos(store, cursor->pin) < image->stop) {
                uint32_t next = slab_next(store, cursor->pin);

                log_unpin(cursor->log, cursor->pin);
                cursor->pin = next;
        }
        if (keep == SLAB_NONE)
                cursor->pin = SLAB_NONE;
        cursor->slab = cursor->pin;
}

void cursor_range_done(struct cursor *cursor, uint64_t pos, uint64_t number)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;

        store_put(store, &image->done_messages,
                  image->done_messages + (number - image->from_number));
        store_put(store, &image->done_bytes, image->done_bytes + (pos - image->from));
        store_put(store, &image->from, pos);
        store_put(store, &image->from_number, number);
}

/* Advances in a closed range by at most `bytes`. Returns how many bytes the range had. */
static uint64_t range_advance(struct cursor *cursor, uint64_t bytes)
{
        struct image_cursor *image = cursor->image;
        uint64_t left = image->stop - image->pos, n = bytes < left ? bytes : left;

        store_put(cursor->log->store, &image->pos, image->pos + n);
        if (n == left)
                cursor_range_done(cursor, image->stop, image->stop_number);
        cursor_range_passed(cursor);
        if (n == left)
                cursor_range_next(cursor);
        return n;
}

void cursor_advance(struct cursor *cursor, uint64_t bytes)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;

        store_begin(store);
        while (!cursor_is_open(cursor) && bytes) {
                assert(image->pos < image->stop);
                bytes -= range_advance(cursor, bytes);
        }
        if (bytes) {
                store_put(store, &image->pos, image->pos + bytes);
                repin(cursor);
        }
        store_commit(store);
}

/* Tells the histogram of the range that begins at `from`, up to pos. */
static void tell_range(struct cursor *cursor, struct log_place from, uint64_t pos, uint64_t number,
                       uint64_t now, struct image_histogram *histogram)
{
        if (cursor->told_of != from.pos || cursor->waits.pos < from.pos) {
                cursor->told_of = cursor->waits.pos = from.pos;
                cursor->waits.number = from.number;
        }
        waits_pass(&cursor->waits, cursor->log, pos, number, now, histogram);
}

void cursor_tell_waits(struct cursor *cursor, uint64_t bytes, uint64_t now_usec,
                       struct image_histogram *histogram)
{
        const struct image_cursor *image = cursor->image;
        const struct image_log *log = cursor->log->image;
        struct log_place from = {.pos = image->from, .number = image->from_number};
        uint64_t pos = image->pos, stop = image->stop, stop_number = image->stop_number;

        for (uint64_t e = image->extent_head; stop != IMAGE_OPEN && bytes;) {
                uint64_t n = bytes < stop - pos ? bytes : stop - pos;

                tell_range(cursor, from, pos + n, n == stop - pos ? stop_number : WAITS_UNKNOWN,
                           now_usec, histogram);
                bytes -= n;
                if (e) {
                        const struct image_extent *extent = extent_at(cursor, e);

                        from = (struct log_place){.pos = extent->from,
                                                  .number = extent->from_number};
                        stop = extent->to;
                        stop_number = extent->to_number;
                        e = extent->next;
                } else {
                        from = (struct log_place){.pos = image->open_from,
                                                  .number = image->open_from_number};
                        stop = IMAGE_OPEN;
                }
                pos = from.pos;
        }
        if (bytes)
                tell_range(cursor, from, pos + bytes,
                           pos + bytes == log->end ? log->number : WAITS_UNKNOWN, now_usec,
                           histogram);
}

uint64_t cursor_waiting(const struct cursor *cursor)
{
        const struct image_cursor *image = cursor->image;
        uint64_t end = cursor->log->image->end;

        if (cursor_is_open(cursor))
                return end - image->pos;
        return image->stop - image->pos + image->extent_bytes +
               (image->open_from != IMAGE_OPEN ? end - image->open_from : 0);
}

/* True if the range has bytes, and the message at pos has to be found to count its messages. */
static bool has_range(const struct cursor *cursor)
{
        return cursor_is_open(cursor) || cursor->image->pos < cursor->image->stop;
}

/* at: the boundary at or before pos, where has_range(). */
static struct count queued_at(const struct cursor *cursor, struct log_place at)
{
        const struct image_cursor *image = cursor->image;
        const struct image_log *log = cursor->log->image;
        struct count queued = {image->extent_messages, image->extent_bytes};
        bool open = cursor_is_open(cursor);

        if (has_range(cursor)) {
                queued.messages += (open ? log->number : image->stop_number) - at.number;
                queued.bytes += (open ? log->end : image->stop) - at.pos;
        }
        if (image->open_from != IMAGE_OPEN) {
                queued.messages += log->number - image->open_from_number;
                queued.bytes += log->end - image->open_from;
        }
        return queued;
}

static struct count delivered_at(const struct cursor *cursor, struct log_place at)
{
        const struct image_cursor *image = cursor->image;
        struct count done = {image->done_messages, image->done_bytes};

        if (has_range(cursor)) {
                done.messages += at.number - image->from_number;
                done.bytes += at.pos - image->from;
        }
        return done;
}

static struct log_place place_of(const struct cursor *cursor)
{
        return has_range(cursor) ? log_place(cursor->log, cursor->image->pos)
                                 : (struct log_place){0};
}

struct count cursor_queued(const struct cursor *cursor)
{
        return queued_at(cursor, place_of(cursor));
}

struct count cursor_delivered(const struct cursor *cursor)
{
        return delivered_at(cursor, place_of(cursor));
}

void cursor_counts(const struct cursor *cursor, struct count *delivered, struct count *queued)
{
        struct log_place at = place_of(cursor);

        *delivered = delivered_at(cursor, at);
        *queued = queued_at(cursor, at);
}

uint64_t cursor_oldest(struct cursor *cursor)
{
        const struct image_cursor *image = cursor->image;
        uint64_t to = cursor_is_open(cursor) ? cursor->log->image->end : image->stop;

        /* A closed range is empty only where no extent and no open_from waits. */
        return image->pos < to ? log_find_mark(cursor->log, image->pos, &cursor->mark)->time_usec
                               : 0;
}

/* Closes the range behind the message that is begun, at `end`, and goes on from `to`. */
static void finish_then(struct cursor *cursor, struct log_place end, struct log_place to)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;

        store_put(store, &image->stop, end.pos);
        store_put(store, &image->stop_number, end.number);
        store_put(store, &image->open_from, to.pos);
        store_put(store, &image->open_from_number, to.number);
        cursor_range_pin(cursor, cursor->pin, end.pos, true);
        cursor->open_pin = cursor_pin_for(cursor, to.pos);
        log_open(cursor->log, cursor->open_pin);
        log_shut(cursor->log, cursor->pin);
}

/* Moves open_from to the boundary `to`. Returns the messages in between. */
static struct count open_later(struct cursor *cursor, struct log_place to)
{
        struct image_cursor *image = cursor->image;
        struct log *log = cursor->log;
        struct count skipped = {to.number - image->open_from_number, to.pos - image->open_from};
        uint32_t pin = cursor_pin_for(cursor, to.pos);

        store_put(log->store, &image->open_from, to.pos);
        store_put(log->store, &image->open_from_number, to.number);
        log_open(log, pin);
        log_shut(log, cursor->open_pin);
        cursor->open_pin = pin;
        return skipped;
}

struct count cursor_jump(struct cursor *cursor, uint64_t to)
{
        struct image_cursor *image = cursor->image;
        struct log *log = cursor->log;
        struct count skipped = {0, 0};
        struct log_place target, at, begun;

        /* Slabs behind the cursor may be gone, where log_place() can't walk. */
        if (to <= (cursor_is_open(cursor) ? image->pos : image->open_from))
                return skipped;
        target = log_place(log, to);
        store_begin(log->store);
        if (image->open_from != IMAGE_OPEN) {
                skipped = open_later(cursor, target);
        } else {
                at = log_place(log, image->pos);
                begun = at.pos < image->pos ? log_behind(log, at) : at;
                if (begun.pos < to)
                        skipped = (struct count){target.number - begun.number, to - begun.pos};
                if (at.pos == image->pos) {
                        cursor_range_done(cursor, at.pos, at.number);
                        store_put(log->store, &image->pos, target.pos);
                        store_put(log->store, &image->from, target.pos);
                        store_put(log->store, &image->from_number, target.number);
                        repin(cursor);
                } else if (begun.pos < to) {
                        finish_then(cursor, begun, target);
                }
        }
        store_commit(log->store);
        return skipped;
}
