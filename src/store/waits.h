/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How long the messages of a log waited for a reader: from the time of their mark until the reader
 * has passed them whole. The price is one look at each mark, not at each message: the messages of a
 * run are told to the histogram when the reader has passed the whole run, or has caught up with the
 * log. Messages not told yet are forgotten with the process.
 */
#include <stdint.h>

#include "store/histogram.h"
#include "store/log.h"

struct waits {
        uint64_t pos, number; /* a boundary: messages before were told */
        uint64_t mark;        /* a hint for log_find_mark() */
};

/* A message number for waits_pass(), where a position's number is not known. */
#define WAITS_UNKNOWN UINT64_MAX

/* Moves on to this boundary: the messages before, if not told yet, were not passed and stay untold.
 */
void waits_skip(struct waits *waits, uint64_t pos, uint64_t number);

/*
 * Tells the histogram of the messages before pos, at or before the log's end, which the reader has
 * passed: up to pos where pos is a boundary with this number, else (WAITS_UNKNOWN) up to the last
 * mark at or before pos. To be called before the reader unpins the slabs.
 */
void waits_pass(struct waits *waits, const struct log *log, uint64_t pos, uint64_t number,
                uint64_t now_usec, struct image_histogram *histogram);
