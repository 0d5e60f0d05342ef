/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A fed log and many cursors, each beside a plain model of what it must read, for the tests of
 * cursors.
 */
#include "feed.h"
#include "store/cursor.h"

enum { READERS = 12, RANGES = 4096 };

/* A cursor beside what it must do: ranges in the order in which they are read. */
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

/* Freed with scene_free(), which fails the test where memory is left. */
struct scene *scene_new(const struct frame_spec *spec);
void scene_free(struct scene *s);

/* Reader number i comes; open: to what comes from now on. */
void reader_open(struct scene *s, int i, bool open);
void reader_close(struct reader *r);

/* Messages of one range that begin between two places of it, with their bytes. */
struct count whole_between(const struct feed *feed, uint64_t from, uint64_t to);

/* Reads at most so many bytes; each must be the one that is next. Returns how many. */
size_t reader_read(struct scene *s, struct reader *r, size_t limit);

/* Fails the test unless its counts and ages are the model's. */
void reader_check(struct scene *s, struct reader *r);

/* What a successor makes of the image: it is trusted, and every reader is where it was. */
void scene_recovers(struct scene *s);

/* Some messages, with a part of one behind them now and then. */
void feed_some(struct scene *s, int n, uint64_t largest);
