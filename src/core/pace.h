/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The rate of reports of a repeated thing: the first few things of a span of time are reported one
 * by one, the others are counted and reported together at the end of the span. While things go on,
 * each span is twice as long as the span before, up to a limit; a span without a thing ends the
 * series. Time comes in as an argument, in microseconds.
 */
#include <stdbool.h>
#include <stdint.h>

struct pace_limits {
        unsigned burst; /* reported one by one in the first span */
        uint64_t first_usec, longest_usec;
};

/* Begins as zeroes. */
struct pace {
        uint64_t since, span; /* begin and length of the span; span 0: no thing yet */
        unsigned told;        /* reported one by one in the first span; burst later */
        uint64_t untold;      /* things counted in the span */
};

/* Notes that a thing happened `n` times at once. Returns true if the caller is to report the n now,
 * which count as one thing; else counts n as untold. */
bool pace_take(struct pace *pace, const struct pace_limits *limits, uint64_t n, uint64_t now);

/* Returns the number of untold things to report together now, and begins the next span; 0: nothing
 * to report. at_once: do not wait for the end of the span. Sets *span, if span is not NULL, to the
 * time in which the things happened. */
uint64_t pace_sum(struct pace *pace, const struct pace_limits *limits, bool at_once, uint64_t now,
                  uint64_t *span);

/* Returns the time when pace_sum() will return untold things; UINT64_MAX: nothing is counted. */
uint64_t pace_due(const struct pace *pace);
