/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Many writers, one log: whose bytes grow behind the out log's end. Messages go in whole, each
 * writer's in its order. When another one's bytes come first, a partial message is set aside on
 * slabs of its own, where it goes on until it is whole: up to a slab it is then copied back, larger
 * ones join the log as they stand. So no byte is copied more than twice.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "store/log.h"

struct turn {
        struct log *log;          /* borrowed */
        struct image_turn *image; /* in the store */
        struct writer *holder;    /* NULL: nobody's bytes stand behind the end */
        bool discard; /* whole messages are counted as dropped for link_down and left out */
};

struct writer {
        struct turn *turn;          /* borrowed */
        struct image_client *image; /* in the store */
        uint32_t slot;              /* of the client table */
        uint64_t total, declared;   /* of its partial frame; 0 while unknown */
        uint64_t aside_scanned;     /* bytes of its own chain known to end no delimiter */
};

void turn_init(struct turn *turn, struct log *log, struct image_turn *image);
void writer_init(struct writer *writer, struct turn *turn, uint32_t slot);

/* Room for what this writer sends next: returns how many of max iov were filled in; 0: no memory.
 * May take the turn. */
int turn_room(struct writer *writer, size_t want, struct iovec *iov, int max);

/* So many bytes were read into that room. What is whole is committed, with its origin; one
 * transaction. */
struct log_taken turn_take(struct writer *writer, uint64_t bytes, uint64_t now_usec);

/* Bytes of its partial message; 0: none. */
uint64_t writer_partial(const struct writer *writer);

/* Copies its first bytes, at most size; returns how many. */
size_t writer_peek(const struct writer *writer, void *to, size_t size);

/* The writer ends; its partial message is discarded. */
void writer_done(struct writer *writer);
