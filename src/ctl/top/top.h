/* SPDX-License-Identifier: MIT */
#pragma once
/* What `ftcpctl top` knows at one moment, and how it is drawn. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "ctl/show/rates.h"

enum {
        TOP_HISTORY = 512,
        TOP_DOWN = 96,
        TOP_INTERVAL_MIN_USEC = 100 * 1000,
        TOP_INTERVAL_MAX_USEC = 60 * 1000 * 1000,
};

struct canvas;

/* The last values, the newest last; less than 0 where there was none. */
struct top_history {
        double values[TOP_HISTORY];
        size_t n;
};

enum top_sort { TOP_ID, TOP_PROGRAM, TOP_IN, TOP_OUT, TOP_QUEUED, TOP_DROPPED, TOP_SORTS };

/* A client; `program` is borrowed from the reply that it was read from. */
struct top_row {
        int64_t id, pid; /* pid: -1 where it has none */
        const char *program;
        double in, out; /* messages a second; less than 0: not known yet */
        uint64_t queued, limit, dropped;
};

/* Replies and what was made from them; what could not be had is NULL. */
struct top {
        json_t *status, *clients, *latency;
        struct top_row *rows;
        size_t n_rows;
        size_t first, page; /* of the rows, the first that is shown, and how many have room */
        struct rates rates;
        struct top_history in, out, rtt;
        enum top_sort sort;
        bool reverse;
        uint64_t interval_usec;
        uint64_t taken;      /* when the replies came */
        char down[TOP_DOWN]; /* for how long the link is not up, as event_down() says; or empty */
        char trouble[512];   /* why the daemon can't be asked; empty: it can */
};

/* Takes the references to the replies of one moment; latency may be NULL. */
void top_take(struct top *top, json_t *status, json_t *clients, json_t *latency);

/* The daemon is away: what is known of it grows old, and no rate follows from it. */
void top_lost(struct top *top, const char *why);

void top_done(struct top *top);

/* Sorts the rows as is asked for. */
void top_arrange(struct top *top);

/* The letter that sorts by it, and what it is called. */
char top_sort_key(enum top_sort sort);
const char *top_sort_name(enum top_sort sort);

/* What was typed: letters, and the sequences of cursor keys. False: the last key is among them. */
bool top_keys(struct top *top, const char *keys, size_t n);

/* The screen, from its first line to its last; utf8: it can show blocks. Takes care that the first
 * row that is shown is one that there is. */
void top_draw(FILE *to, struct top *top, int rows, int columns, bool colour, bool utf8);

/* The part of the screen that tells of the clients. */
void top_table(struct canvas *canvas, struct top *top);

/* The same in one line of a pipe. */
void top_line(FILE *to, const struct top *top);
