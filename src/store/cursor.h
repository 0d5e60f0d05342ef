/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A reader of a log: a range that it reads now, then the extents that were given to it, then, if it
 * is open, everything from a position on. What is queued for it is a distance; what it skips is a
 * jump. It keeps the slabs it still needs.
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
        uint32_t slab;              /* at or before its place */
        uint32_t pin;               /* the first slab that it holds */
        uint32_t open_pin;          /* held while an open cursor finishes a range */
        uint64_t mark;              /* a hint */
        uint64_t told_of;           /* where the range begins that was told last */
        struct waits waits;         /* of that one */
};

/* Opens it at the log's end (open: to read whatever comes; else it reads only the extents that it
 * is given). */
void cursor_init(struct cursor *cursor, struct log *log, struct image_cursor *image, bool open);

/* Takes up a cursor that stands in a checked image. */
void cursor_recover(struct cursor *cursor, struct log *log, struct image_cursor *image);

/* Lets go of everything. Its words are stale then. */
void cursor_done(struct cursor *cursor);

/* What it reads next, at most `limit` bytes; 0: nothing is waiting. Never crosses a jump. */
int cursor_gather(struct cursor *cursor, size_t limit, struct iovec *iov, int max);

/* So many bytes of that were read. */
void cursor_advance(struct cursor *cursor, uint64_t bytes);

/* Before that, and optional: tells this histogram how long the messages that are read whole with
 * these bytes have waited until now. */
void cursor_tell_waits(struct cursor *cursor, uint64_t bytes, uint64_t now_usec,
                       struct image_histogram *histogram);

/* Bytes waiting, of frames already begun only what is left. */
uint64_t cursor_waiting(const struct cursor *cursor);

/* Of these, what is left of the frame that it has begun. */
uint64_t cursor_begun(const struct cursor *cursor);

/* Whole frames waiting (one that is begun counts whole), and those that were read whole since it
 * was made. */
struct count cursor_queued(const struct cursor *cursor);
struct count cursor_delivered(const struct cursor *cursor);

/* When the oldest waiting message was committed; 0: nothing waits. */
uint64_t cursor_oldest(struct cursor *cursor);

/*
 * Skips what is waiting up to the boundary `to` of an open cursor, but finishes a message that is
 * begun. Returns what was skipped.
 */
struct count cursor_jump(struct cursor *cursor, uint64_t to);

/* From here on it reads what is waiting, and of what comes later only the extents that it is given.
 * -ENOMEM: nothing has changed. */
int cursor_close(struct cursor *cursor);

/* And the other way round: a closed one reads what it has, then whatever stands or comes in the log
 * from this boundary on, which is behind all that it has. */
void cursor_open(struct cursor *cursor, struct log_place from);

/* Queues the messages of [from, to), both boundaries, behind what a closed one has. -ENOMEM:
 * nothing has changed. */
int cursor_extend(struct cursor *cursor, struct log_place from, struct log_place to);

/* The same, but in the order of the log, searching behind the extent *at, which is kept up: 0 at
 * first, and stale when it has read or lost anything. */
int cursor_insert(struct cursor *cursor, struct log_place from, struct log_place to, uint64_t *at);

/* All that one has, read or not, becomes that of the heir, a closed one that never had anything.
 * The words of the first are stale then. */
void cursor_inherit(struct cursor *heir, struct cursor *cursor);

/* Messages that stand together. */
struct log_range {
        struct log_place from, to;
};

/* The first of the messages that it has not begun: one at least, else as many as stand together in
 * `most` bytes. False: there are none. */
bool cursor_first(const struct cursor *cursor, uint64_t most, struct log_range *range);

/* It won't read these, which are what cursor_first() said. -ENOMEM: nothing has changed. */
int cursor_drop(struct cursor *cursor, const struct log_range *range);
