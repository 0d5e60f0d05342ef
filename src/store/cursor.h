/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A cursor: a reader's position in a log. The reader reads a range, then the extents given to the
 * cursor, then, with open_from, the log from there on.
 *
 *              from    pos         stop    extent    extent    open_from       log's end
 *   log   -----|=======|>>>>>>>>>>>|-------[>>>>>]---[>>>]-----[>>>>>>>>>>>>>>>|...
 *               read    range       jump           jump         also all that comes later
 *
 *   open       stop is IMAGE_OPEN: the range goes on with the log, no extents, no open_from;
 *              pins the slab of pos for itself and, by log_open(), all slabs behind
 *   closed     pins each slab of the range and of the extents; log_open() for open_from
 *
 * The cursor does not pin a slab that is all under "read" or "jump", but for the slab in which the
 * message at pos begins. The queue is a sum of distances. A drop moves pos, an extent's beginning
 * or open_from to a later boundary, or splits the range. pos may stand inside a message, the other
 * positions are boundaries.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/books.h"
#include "store/log.h"
#include "store/waits.h"

struct cursor {
        struct log *log;            /* borrowed */
        struct image_cursor *image; /* in the store */
        uint32_t slab;              /* a hint: at or before pos */
        uint32_t pin;               /* the first slab pinned for the range, or SLAB_NONE */
        uint32_t open_pin;          /* the slab pinned for open_from, or SLAB_NONE */
        uint64_t mark;              /* a hint for log_find_mark() */
        uint64_t told_of;           /* the beginning of the range that `waits` is for */
        struct waits waits;         /* what cursor_tell_waits() told of the range */
};

/* Sets up a cursor at the log's end: open, or closed, for extents only. Aborts without memory for a
 * first slab of the log. */
void cursor_init(struct cursor *cursor, struct log *log, struct image_cursor *image, bool open);

/* Recovers a cursor from a checked image, and pins its slabs. */
void cursor_recover(struct cursor *cursor, struct log *log, struct image_cursor *image);

/* Unpins all slabs and frees the extents. The words in the image are stale then. */
void cursor_done(struct cursor *cursor);

/* Points iov to the bytes to read next, at most `limit`: of the range, then of the extents, not yet
 * from open_from on. Returns the number of entries filled in, at most max; 0: nothing waits. */
int cursor_gather(struct cursor *cursor, size_t limit, struct iovec *iov, int max);

/* Moves the position over the `bytes` that the reader read. */
void cursor_advance(struct cursor *cursor, uint64_t bytes);

/* Optional, before cursor_advance() by the same bytes: adds to the histogram how long the messages
 * that are whole with these bytes have waited until now. */
void cursor_tell_waits(struct cursor *cursor, uint64_t bytes, uint64_t now_usec,
                       struct image_histogram *histogram);

/* Returns the bytes waiting; of a message that is begun, only the remainder. */
uint64_t cursor_waiting(const struct cursor *cursor);

/* Returns the bytes of the remainder of a message that is begun; 0: at a boundary. */
uint64_t cursor_begun(const struct cursor *cursor);

/* Returns the messages waiting; a message that is begun counts whole. */
struct count cursor_queued(const struct cursor *cursor);

/* Returns the messages read whole since cursor_init(). */
struct count cursor_delivered(const struct cursor *cursor);

/* As cursor_delivered() and cursor_queued(), for half the price of both. */
void cursor_counts(const struct cursor *cursor, struct count *delivered, struct count *queued);

/* Returns when the oldest waiting message was committed; 0: nothing waits. */
uint64_t cursor_oldest(struct cursor *cursor);

/*
 * Skips the waiting messages up to the boundary `to`, for an open cursor or one with open_from; a
 * message that is begun stays to be finished. Returns the messages skipped.
 */
struct count cursor_jump(struct cursor *cursor, uint64_t to);

/* Closes a cursor: the reader gets the waiting messages, and later ones only as extents. -ENOMEM:
 * nothing has changed. */
int cursor_close(struct cursor *cursor);

/* Opens a closed cursor: behind the waiting messages, the reader gets the log from this boundary
 * on, which is behind all of them. Nothing to do where the cursor is open, or has open_from. */
void cursor_open(struct cursor *cursor, struct log_place from);

/* Queues the messages of [from, to), both boundaries, behind the messages of a closed cursor.
 * -ENOMEM: nothing has changed. */
int cursor_extend(struct cursor *cursor, struct log_place from, struct log_place to);

/* Returns true if cursor_extend() of messages from this position on needs no extent: all messages
 * of the cursor are read, or the last one ends here. */
bool cursor_grows(const struct cursor *cursor, uint64_t from);

/* Queues the messages of [from, to), both boundaries, in a closed cursor without open_from, in the
 * order of the log. *at is a hint, the number plus one of an extent before `from`: 0 at first, kept
 * up to date, and stale when the cursor reads or drops. -ENOMEM: the same messages wait as before.
 */
int cursor_insert(struct cursor *cursor, struct log_place from, struct log_place to, uint64_t *at);

/* Moves all words and pins of `cursor`, counts included, to `heir`, a closed cursor that never had
 * a message. The words of `cursor` are stale then. */
void cursor_inherit(struct cursor *heir, struct cursor *cursor);

/* Messages that stand together, between two boundaries. */
struct log_range {
        struct log_place from, to;
};

/* Sets *range to the first waiting messages that are not begun: at least one message, and more as
 * far as they stand together in `most` bytes. False: no message. */
bool cursor_first(const struct cursor *cursor, uint64_t most, struct log_range *range);

/* Drops the messages of a range that cursor_first() set. -ENOMEM: nothing has changed. */
int cursor_drop(struct cursor *cursor, const struct log_range *range);
