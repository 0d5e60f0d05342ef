/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A log in a store of its own, fed as from a socket, beside a plain model of the log's content, for
 * the tests of logs and cursors.
 */
#include "store/cursor.h"
#include "store/log.h"
#include "stream.h"

struct feed {
        struct store store;
        struct frame_spec spec;
        struct log log;
        const struct log_filter *filter; /* NULL: none */
        /* The filter in the model, true for a frame that the log drops; NULL: no filter. */
        bool (*leaves_out)(const struct frame_spec *spec, const unsigned char *frame, size_t size);
        uint64_t now;       /* time of the next messages taken */
        uint32_t origin;    /* their origin */
        struct stream tail; /* received, no whole message yet */
        size_t seen;        /* bytes of the tail already searched for a whole message */
        /* The model: */
        struct stream bytes; /* all bytes committed since the start */
        struct {
                uint64_t pos, time;
        } * message;
        size_t messages, room, left_out;
};

/* Makes an empty log and model. */
void feed_start(struct feed *feed, const struct frame_spec *spec);

/* Frees the log and the model. */
void feed_done(struct feed *feed);

/* Fails the test unless all room in iov is committed memory of slabs in use. */
void check_memory(const struct store *store, const struct iovec *iov, int n);

/* Receives bytes into the log's room, without taking messages. */
void feed_receive(struct feed *feed, const void *bytes, size_t size);

/* Takes the whole messages. Returns the outcome of log_take(), and fails the test unless the log
 * took exactly the whole messages, or none without memory. */
struct log_taken feed_take(struct feed *feed);

/* feed_receive() and feed_take(). Fails the test without memory. */
struct log_taken feed_bytes(struct feed *feed, const void *bytes, size_t size);

/* feed_bytes() in pieces of at most `chunk` bytes. Returns the outcome of the last piece. */
struct log_taken feed_chunks(struct feed *feed, const void *bytes, size_t size, size_t chunk);

/* Feeds a message with a random body of `body` bytes. */
void feed_message(struct feed *feed, size_t body);

/* Fills the log with messages up to exactly pos, which is ahead by more than a frame. */
void feed_align(struct feed *feed, uint64_t pos);

/* Returns the position of message number k, or the end for a number behind the last. */
uint64_t feed_pos(const struct feed *feed, size_t k);

/* Returns the number of the message that holds pos; at the end, the number of messages. */
size_t feed_number(const struct feed *feed, uint64_t pos);

/* Reads at most `limit` bytes through the cursor, from one slab at a time or from more. Fails the
 * test unless the bytes are the model's. Returns the number of bytes. */
size_t feed_read(struct feed *feed, struct cursor *cursor, size_t limit);

/* True if the store uses no more memory than a log whose readers have read everything. */
bool feed_is_small(const struct feed *feed);

/* A feed with one open cursor since the start. */
struct follower {
        struct feed feed;
        struct cursor cursor;
};

/* Makes an empty feed and its cursor. */
void follower_start(struct follower *f, const struct frame_spec *spec);

/* Reads to the end, and frees feed and cursor. Fails the test unless the log has all of the model,
 * and its memory is free after the read. */
void follower_done(struct follower *f);
