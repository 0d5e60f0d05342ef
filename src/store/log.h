/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A log: all messages of one direction, once, in the link's own frame, append-only, on recycled
 * slabs.
 *
 *   slabs   |                    |                    |                    |
 *   frames  [frame][frame][frame straddles a slab][frame][frame][partial m
 *   marks   ^      ^                              ^      ^      |         |
 *           each at the first message of a run                  end       fill
 *
 *   committed frames stand before `end`, a partial message behind; the next byte goes to `fill`
 *
 * A position is a 64-bit count of bytes since the start. Bytes are received straight behind the
 * end; log_take() walks the headers and commits the run of whole frames by moving the end. A mark,
 * one for each run of one origin in one slab and one millisecond, tells the number, the time and
 * the origin of messages. Slabs that no reader pins are freed, also between slabs in use.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/store.h"
#include "wire/frame.h"

struct log {
        struct store *store;           /* borrowed */
        struct image_log *image;       /* in the store */
        const struct frame_spec *spec; /* borrowed */
        uint32_t end_slab;             /* with the end; SLAB_NONE before the first slab */
        uint32_t fill_slab;            /* a hint: at or before the last `fill` of log_room() */
        uint64_t scanned;              /* no delimiter stands whole between the end and here */
        unsigned open;                 /* open cursors: each needs its slab and all slabs behind */
        uint32_t open_slab;            /* the first slab that an open cursor pins, or SLAB_NONE */
        uint64_t left;                 /* the end, when the end's slab lost its last reader */
        bool tiny;                     /* the last messages taken were tiny: many stand in a slab */
        bool exact; /* times of messages stay exact to the millisecond in a long log, too */
};

/* Frames to look at before they are committed: heartbeats, answers. */
struct log_filter {
        struct frame_range range; /* only bodies of these sizes */
        /* True: the frame is left out. Called once a frame; `pos` and `slab` are for log_copy(). */
        bool (*drop)(void *context, uint32_t slab, uint64_t pos, uint64_t size);
        void *context;
        uint64_t most; /* frames to look at in one log_take(); 0: any number */
};

struct log_taken {
        uint64_t messages, bytes; /* committed */
        bool more;                /* the filter has looked at `most` frames: take again */
        enum frame_result result; /* FRAME_MORE; or the fault of the frame behind the end */
        uint64_t total;           /* size of the partial frame; 0: unknown, or no frame */
        uint64_t declared;        /* the partial frame's length as the peer wrote it */
        bool no_memory; /* no memory for what stands behind the messages committed: `result`
                           and the fields behind it are 0 */
};

/* A message boundary and the number of messages before it. */
struct log_place {
        uint64_t pos, number;
        uint64_t time_usec; /* when the message behind was committed; 0: not told, or at the end */
};

/* Returns the boundary at the end of the log, with time 0. */
static inline struct log_place log_end(const struct log *log)
{
        return (struct log_place){log->image->end, log->image->number, 0};
}

/* Sets up a log on an image that is new, or that recover_image() checked. */
void log_init(struct log *log, struct store *store, struct image_log *image,
              const struct frame_spec *spec);

/* Gives the log a first slab, for a reader to pin. False: no memory. */
bool log_ready(struct log *log);

/*
 * Points iov to room for `want` bytes, or fewer, from position `fill` on. Returns the number of
 * entries filled in, at most max; 0 without memory. Repeated calls give the same room.
 */
int log_room(struct log *log, uint64_t fill, size_t want, struct iovec *iov, int max);

/*
 * Commits the whole frames up to position `*base + read`. Where the filter (or NULL) leaves frames
 * out, the bytes behind move up and *base, a word of the image, falls by the size left out. Marks
 * get now_usec and origin (a client slot plus one, or 0). Runs in a transaction of its own (two,
 * where frames are left out) or in the caller's. Stops in front of the frame that the filter may
 * not look at any more: what stands behind it stays received, as a partial message does.
 */
struct log_taken log_take(struct log *log, uint64_t *base, uint64_t read,
                          const struct log_filter *filter, uint64_t now_usec, uint32_t origin);

/* Copies the `size` bytes at `pos` to `to`. slab: at or before pos; SLAB_NONE: the first slab. */
void log_copy(const struct log *log, uint32_t slab, uint64_t pos, void *to, size_t size);

/* True if the `size` bytes at `pos` are these. slab: as for log_copy(). */
bool log_is_same(const struct log *log, uint32_t slab, uint64_t pos, const void *bytes,
                 size_t size);

/* Copies `size` bytes into the room at `pos`, behind the end. slab: as for log_copy(). */
void log_write(const struct log *log, uint32_t slab, uint64_t pos, const void *from, size_t size);

/* Returns the slab that holds pos, searching from `slab` (at or before pos; SLAB_NONE: the first
 * slab); the last slab where pos is behind all. SLAB_NONE: the log has no slab. */
uint32_t log_seek(const struct log *log, uint32_t slab, uint64_t pos);

/*
 * Points iov to the bytes from pos up to `to`, at most `limit` bytes. *slab is a hint, at or before
 * pos or SLAB_NONE, and is kept up to date. Returns the number of entries filled in, at most max.
 */
int log_gather(const struct log *log, uint32_t *slab, uint64_t pos, uint64_t to, size_t limit,
               struct iovec *iov, int max);

/* Returns the boundary in front of the message that holds pos or begins at pos; or the end. */
struct log_place log_place(const struct log *log, uint64_t pos);

/* Returns the boundary behind the message that begins at `place`, which is before the end; without
 * a time. */
struct log_place log_behind(const struct log *log, struct log_place place);

/* As log_behind(), for repeated calls: *slab is a hint, SLAB_NONE at first, and is kept up. */
struct log_place log_step(const struct log *log, uint32_t *slab, struct log_place place);

/* Returns the last mark at or before pos, searching from mark number *hint on, and sets *hint to
 * its number. NULL: no mark stands there. */
const struct image_mark *log_find_mark(const struct log *log, uint64_t pos, uint64_t *hint);

/* Returns the last boundary at or before `to`, by a walk over the headers from `mark` on; the log
 * must have all slabs in between. The time is the mark's. */
struct log_place log_walk(const struct log *log, const struct image_mark *mark, uint64_t to);

/* Counts one reader more in this slab (SLAB_NONE: nothing). */
void log_pin(struct log *log, uint32_t slab);

/* Counts one reader less in this slab, and frees the slabs that no reader needs any more. */
void log_unpin(struct log *log, uint32_t slab);

/* Pins this slab for an open cursor, which needs all slabs behind, too. */
void log_open(struct log *log, uint32_t slab);

/* Undoes a log_open(), and frees slabs that no reader needs any more. */
void log_shut(struct log *log, uint32_t slab);

/* Frees the slabs before the first that is pinned or has the end, and their marks. */
void log_trim(struct log *log);

/* Cuts off the slabs behind the end's slab, for a writer that takes the turn. Returns the first of
 * them, still linked, which the caller owns; SLAB_NONE: none. */
uint32_t log_cut(struct log *log);

/* Puts linked slabs, from first to last, with positions set, behind the end's slab. */
void log_join(struct log *log, uint32_t first, uint32_t last);
