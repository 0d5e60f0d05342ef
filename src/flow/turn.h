/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Many writers, one log: the turn says whose bytes grow behind the out log's end. Messages enter
 * the log whole, the messages of each writer in order. When another writer's bytes come, the
 * holder's partial message is set aside, and grows there until the message is whole:
 *
 *   out log  [ ... | frame | frame | partial message of the holder ...
 *                                  ^end, moved by log_take() over whole frames
 *   aside    [ partial message of writer B ]              up to a slab: copied behind the end
 *   aside    [ partial message  |  of writer  |  C ]      larger: the slabs join the log
 *
 * So no byte is copied more than twice.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/log.h"

struct turn {
        struct log *log;          /* borrowed */
        struct image_turn *image; /* in the store */
        struct writer *holder;    /* NULL: no writer's bytes stand behind the end */
        bool discard; /* whole messages are counted as dropped for link_down and left out */
};

struct writer {
        struct turn *turn;          /* borrowed */
        struct image_client *image; /* in the store */
        uint32_t slot;              /* of the client table */
        uint64_t total, declared;   /* of the partial frame; 0 while unknown */
        uint64_t aside_scanned;     /* bytes of the chain aside in which no delimiter ends */
};

/* Begins on an empty or a checked image. `log` is the out log, borrowed. */
void turn_init(struct turn *turn, struct log *log, struct image_turn *image);

/* Begins or recovers the writer of entry `slot` of the client table. */
void writer_init(struct writer *writer, struct turn *turn, uint32_t slot);

/* Fills iov with room for the writer's next bytes, up to `want`: behind the end or aside. Returns
 * how many of max iov were filled in; 0: no memory. May set the holder aside and take the turn. */
int turn_room(struct writer *writer, size_t want, struct iovec *iov, int max);

/* `bytes` bytes were read into the room: commits whole messages, with the writer as their origin.
 * The result is as of log_take(); no_memory: no message was committed. */
struct log_taken turn_take(struct writer *writer, uint64_t bytes, uint64_t now_usec);

/* Returns the number of bytes of the writer's partial message; 0: none. */
uint64_t writer_partial(const struct writer *writer);

/* Copies the first bytes of the writer's partial message, at most `size`; returns how many. */
size_t writer_peek(const struct writer *writer, void *to, size_t size);

/* Ends the writer and discards its partial message. */
void writer_done(struct writer *writer);
