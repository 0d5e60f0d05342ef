/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A log in a store of its own that is fed as a socket would feed it, beside a plain model of what
 * must be in it, for the tests of logs and cursors.
 */
#include "store/cursor.h"
#include "store/log.h"
#include "stream.h"

struct feed {
        struct store store;
        struct frame_spec spec;
        struct log log;
        const struct log_filter *filter; /* NULL: none */
        /* The model's view of that filter; NULL: nothing is left out. */
        bool (*leaves_out)(const struct frame_spec *spec, const unsigned char *frame, size_t size);
        uint64_t now;       /* given to what is taken next */
        uint32_t origin;    /* the same */
        struct stream tail; /* received, and no whole message yet */
        size_t seen;        /* so much of it is known not to be one */
        /* The model: */
        struct stream bytes; /* all that was committed since the start */
        struct {
                uint64_t pos, time;
        } * message;
        size_t messages, room, left_out;
};

void feed_start(struct feed *feed, const struct frame_spec *spec);

/* Lets go of everything. */
void feed_done(struct feed *feed);

/* Fails the test where room that was given has no memory of its own. */
void check_memory(const struct store *store, const struct iovec *iov, int n);

/* Receives these bytes, and no more. */
void feed_receive(struct feed *feed, const void *bytes, size_t size);

/* Fails the test unless exactly what is whole is taken, or nothing without memory. */
struct log_taken feed_take(struct feed *feed);

/* Both, with memory. */
struct log_taken feed_bytes(struct feed *feed, const void *bytes, size_t size);

/* The same in pieces of at most `chunk` bytes; the last one's outcome. */
struct log_taken feed_chunks(struct feed *feed, const void *bytes, size_t size, size_t chunk);

/* A message of random bytes with this body. */
void feed_message(struct feed *feed, size_t body);

/* Fills the log with messages so that it ends exactly at pos, some way ahead. */
void feed_align(struct feed *feed, uint64_t pos);

/* Where message number k begins; behind the last one: the end. */
uint64_t feed_pos(const struct feed *feed, size_t k);

/* The number of the message that holds pos; at the end, the number of messages. */
size_t feed_number(const struct feed *feed, uint64_t pos);

/* Reads at most `limit` bytes of what waits, with as few as one slab at a time; fails the test
 * where they are not the model's. Returns how many. */
size_t feed_read(struct feed *feed, struct cursor *cursor, size_t limit);

/* Is no more memory in use than a log needs whose readers have read everything? */
bool feed_is_small(const struct feed *feed);

/* A feed with one open cursor, there since the start. */
struct follower {
        struct feed feed;
        struct cursor cursor;
};

void follower_start(struct follower *f, const struct frame_spec *spec);

/* Fails the test unless all that the model has is there and its memory goes when it was read. */
void follower_done(struct follower *f);
