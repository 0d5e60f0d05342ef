/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A fed log and many cursors, each beside a plain model of the ranges that the cursor must read,
 * for the tests of cursors.
 */
#include "feed.h"
#include "store/cursor.h"

enum { READERS = 12, RANGES = 4096 };

/* A cursor beside its model: ranges of positions in the order of reading. */
struct reader {
        struct cursor cursor;
        bool there;
        struct {
                uint64_t from, to; /* UINT64_MAX: open */
        } range[RANGES];
        size_t first, n;
        struct count delivered, skipped;
};

struct scene {
        struct feed feed;
        struct reader reader[READERS];
};

/* Makes an empty log without readers, freed with scene_free(). */
struct scene *scene_new(const struct frame_spec *spec);

/* Closes the readers and frees the scene. Fails the test if memory is left in use. */
void scene_free(struct scene *s);

/* Reader number i joins; open: reads all messages from now on. */
void reader_open(struct scene *s, int i, bool open);

/* Closes the reader's cursor. */
void reader_close(struct reader *r);

/* Returns the count of the messages from the message that holds `from` up to the message that holds
 * `to`, without the latter. */
struct count whole_between(const struct feed *feed, uint64_t from, uint64_t to);

/* Reads at most `limit` bytes, and fails the test unless the bytes are the next of the model.
 * Returns the number of bytes. */
size_t reader_read(struct scene *s, struct reader *r, size_t limit);

/* Fails the test unless the cursor's counts and the age of its oldest message are the model's. */
void reader_check(struct scene *s, struct reader *r);

/* Opens the image as a successor does. Fails the test unless recover_image() accepts the image, and
 * every recovered cursor has the same counts and age. */
void scene_recovers(struct scene *s);

/* Feeds n random messages of at most `largest` bytes, at random cut in two within a message. */
void feed_some(struct scene *s, int n, uint64_t largest);
