/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How often something is told: the first few of a span of time one by one, the others counted and
 * told together when the span is over. While it goes on, each span is twice as long as the one
 * before, up to a limit; a span in which nothing happens ends that. Time comes in.
 */
#include <stdbool.h>
#include <stdint.h>

struct pace_limits {
        unsigned burst; /* told one by one in the first span */
        uint64_t first_usec, longest_usec;
};

/* Begins as zeroes. */
struct pace {
        uint64_t since, span; /* span 0: never yet */
        unsigned told;        /* one by one, in this span */
        uint64_t untold;
};

/* Something happened `n` times at once. Is it told now, as one thing? Else it is counted. */
bool pace_take(struct pace *pace, const struct pace_limits *limits, uint64_t n, uint64_t now);

/* How many are to be told together now, which begins the next span; 0: none. at_once: do not wait
 * for the span's end. *span, where not NULL, is set to how long they took. */
uint64_t pace_sum(struct pace *pace, const struct pace_limits *limits, bool at_once, uint64_t now,
                  uint64_t *span);

/* When pace_sum() will have something; UINT64_MAX: nothing is counted. */
uint64_t pace_due(const struct pace *pace);
