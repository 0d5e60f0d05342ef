/* SPDX-License-Identifier: MIT */
#pragma once
/* The model of `ftcpctl top`: the last replies of the daemon and the rows and rates made from them;
 * and the functions that draw the model. A *look* is one round of calls. */
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

/* The last values, the newest last; less than 0: no value at that look. */
struct top_history {
        double values[TOP_HISTORY];
        size_t n;
};

enum top_sort { TOP_ID, TOP_PROGRAM, TOP_IN, TOP_OUT, TOP_QUEUED, TOP_DROPPED, TOP_SORTS };

/* A client. */
struct top_row {
        int64_t id, pid;     /* pid: -1 if unknown */
        const char *program; /* borrowed from top.clients */
        double in, out;      /* messages a second; less than 0: not known yet */
        uint64_t queued, limit, dropped;
};

/* The replies, owned, and the values made from them. A missing reply is NULL. */
struct top {
        json_t *status, *clients, *latency;
        struct top_row *rows;
        size_t n_rows;
        size_t first, page; /* the index of the first row shown, and the number that fits */
        struct rates rates;
        struct top_history in, out, rtt;
        enum top_sort sort;
        bool reverse;
        uint64_t interval_usec;
        uint64_t taken;      /* the time of the replies, of clock_usec() */
        char down[TOP_DOWN]; /* how long the link is down, from event_down_text(); or empty */
        char trouble[512];   /* why the daemon does not answer; empty: no trouble */
};

/* Takes the replies of one look over and makes rows, rates and histories. latency may be NULL. */
void top_take(struct top *top, json_t *status, json_t *clients, json_t *latency);

/* Notes that the daemon does not answer, and why. The replies stay, the rates become unknown. */
void top_lost(struct top *top, const char *why);

/* Frees the replies and the rows. */
void top_done(struct top *top);

/* Sorts the rows by top->sort and top->reverse. */
void top_arrange(struct top *top);

/* The key that chooses sort. */
char top_sort_key(enum top_sort sort);

/* The name of sort for people. */
const char *top_sort_name(enum top_sort sort);

/* Obeys n characters of typed keys: letters and the sequences of cursor keys. False: a key quits.
 */
bool top_keys(struct top *top, const char *keys, size_t n);

/* Draws the whole screen. utf8: the terminal can show block characters. Limits top->first to the
 * existing rows. */
void top_draw(FILE *to, struct top *top, int rows, int columns, bool colour, bool utf8);

/* Draws the table of clients, and sets top->page. */
void top_table(struct canvas *canvas, struct top *top);

/* Prints a look as one line, for output that is no terminal. */
void top_line(FILE *to, const struct top *top);
