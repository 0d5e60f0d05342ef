/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * All messages of one direction, once, in the link's own frame: an append-only log on recycled
 * slabs. A position is a 64-bit count of bytes since the start. Bytes are received straight behind
 * the end; log_take() walks their headers and commits the run of whole frames by moving the end.
 * What stands behind the end is a partial message.
 *
 * Marks, one for each run of one origin in one slab and one millisecond, tell the number and the
 * time of a message.
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
        uint32_t end_slab;             /* where the end is; SLAB_NONE while there was none */
        uint32_t fill_slab;            /* a slab at or before the last place asked for */
        uint64_t scanned;              /* no delimiter begins and ends between the end and here */
        unsigned open; /* cursors that read whatever comes: they need all slabs from theirs on */
        uint32_t open_slab; /* the first that one of them is in, or SLAB_NONE */
        uint64_t left;      /* the end, when its slab lost its last reader */
        bool exact; /* times matter: they stay exact to the millisecond however much waits */
};

/* Frames that are looked at before they are committed: heartbeats, answers. */
struct log_filter {
        struct frame_range range; /* only bodies of these sizes */
        /* True: this frame is left out. Asked once a frame; `pos` and `slab` are for log_copy(). */
        bool (*drop)(void *context, uint32_t slab, uint64_t pos, uint64_t size);
        void *context;
};

struct log_taken {
        uint64_t messages, bytes; /* committed */
        enum frame_result result; /* FRAME_MORE; or what is wrong with the frame behind the end */
        uint64_t total;           /* size of the partial frame; 0: unknown, or there is none */
        uint64_t declared;        /* its length as the peer wrote it */
        bool no_memory;           /* nothing was taken */
};

/* A message boundary and how many messages stand before it. */
struct log_place {
        uint64_t pos, number;
        uint64_t time_usec; /* of the message behind it, when it was committed; 0 at the end */
};

/* On an image that is new or that was checked. */
void log_init(struct log *log, struct store *store, struct image_log *image,
              const struct frame_spec *spec);

/* Sees to it that there is a slab, for a reader to hold. False: no memory. */
bool log_ready(struct log *log);

/*
 * Room for bytes that go to position `fill` and on, up to `want`: returns how many of max iov were
 * filled in, or 0 without memory. What was room before is still the same room.
 */
int log_room(struct log *log, uint64_t fill, size_t want, struct iovec *iov, int max);

/*
 * Commits what is whole up to `*base + read`. Where the filter leaves frames out, what stands
 * behind them moves up and *base, a word of the image, falls by their size. One transaction.
 */
struct log_taken log_take(struct log *log, uint64_t *base, uint64_t read,
                          const struct log_filter *filter, uint64_t now_usec, uint32_t origin);

/* Copies size bytes that stand at pos; slab is one at or before it. */
void log_copy(const struct log *log, uint32_t slab, uint64_t pos, void *to, size_t size);

/* The other way round, into room behind the end. */
void log_write(const struct log *log, uint32_t slab, uint64_t pos, const void *from, size_t size);

/* The slab that holds pos, searching from `slab` (at or before it; SLAB_NONE: the
 * first). */
uint32_t log_seek(const struct log *log, uint32_t slab, uint64_t pos);

/*
 * What stands from pos up to `to`, at most `limit` bytes, as iov; *slab is a hint that is kept up.
 * Returns how many were filled in.
 */
int log_gather(const struct log *log, uint32_t *slab, uint64_t pos, uint64_t to, size_t limit,
               struct iovec *iov, int max);

/* The boundary of the message that holds pos, or of the one that begins there. */
struct log_place log_place(const struct log *log, uint64_t pos);

/* The boundary behind the message that begins at this one, which is before the end. Its time is not
 * told. */
struct log_place log_behind(const struct log *log, struct log_place place);

/* The same, again and again: *slab is a hint that is kept up, SLAB_NONE at first. */
struct log_place log_step(const struct log *log, uint32_t *slab, struct log_place place);

/* The last mark at or before pos, searching from mark *hint on; NULL: none (pos is the end). */
const struct image_mark *log_find_mark(const struct log *log, uint64_t pos, uint64_t *hint);

/* The last boundary at or before `to`, by walking the headers from this mark on; nothing may be
 * missing in between. */
struct log_place log_walk(const struct log *log, const struct image_mark *mark, uint64_t to);

/* One more or less reader of this slab; frees what nobody needs. */
void log_pin(struct log *log, uint32_t slab);
void log_unpin(struct log *log, uint32_t slab);

/* The same, of one that reads whatever comes. */
void log_open(struct log *log, uint32_t slab);
void log_shut(struct log *log, uint32_t slab);
void log_trim(struct log *log);

/* Cuts off what stands behind the end, for who takes the turn; returns its first slab or SLAB_NONE.
 * The end's slab stays. */
uint32_t log_cut(struct log *log);

/* Puts a chain of slabs, whose positions are set, behind the end. */
void log_join(struct log *log, uint32_t first, uint32_t last);
