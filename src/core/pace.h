/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The rate of reports of an event that repeats: the first few events of a span of time are reported
 * one by one, the others are counted and reported together at the end of the span. While events go
 * on, each span is twice as long as the span before, up to a limit; a span without an event ends
 * the series. Time comes in as an argument, in microseconds.
 */
#include <stdbool.h>
#include <stdint.h>

struct pace_limits {
        unsigned burst; /* reported one by one in the first span */
        uint64_t first_usec, longest_usec;
};

/* Begins as zeroes. */
struct pace {
        uint64_t since, span; /* begin and length of the span; span 0: no event yet */
        unsigned told;        /* reported one by one in the first span; burst later */
        uint64_t untold;      /* events counted in the span */
};

/* Notes that an event happened `n` times at once. Returns true if the caller is to report the n
 * now, which count as one event; else counts n as untold. */
bool pace_take(struct pace *pace, const struct pace_limits *limits, uint64_t n, uint64_t now);

/* Returns the number of untold events to report together now, and begins the next span; 0: nothing
 * to report. at_once: do not wait for the end of the span. Sets *span, if span is not NULL, to the
 * time in which the events happened. */
uint64_t pace_sum(struct pace *pace, const struct pace_limits *limits, bool at_once, uint64_t now,
                  uint64_t *span);

/* Returns the time when pace_sum() will return untold events; UINT64_MAX: nothing is counted. */
uint64_t pace_due(const struct pace *pace);
