/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How long to wait before the next round of dialling: from the first delay doubling to the largest,
 * each times a random factor. It falls back only after a connection that proved itself for longer
 * than it was waited for.
 */
#include <stdint.h>

struct backoff {
        uint64_t first_usec, max_usec, stable_usec; /* configured */
        uint64_t next_usec;                         /* of the next wait, before the random factor */
        uint64_t paid_usec;                         /* the last wait */
};

void backoff_init(struct backoff *backoff);

/* New values of the configuration; what was paid stays. */
void backoff_configure(struct backoff *backoff, uint64_t first_usec, uint64_t max_usec,
                       uint64_t stable_usec);

/* The wait before the next round; factor is from 0.5 to 1. */
uint64_t backoff_wait(struct backoff *backoff, double factor);

/* The next wait is the longest: the peer said no, and saying it again at once would make things
 * worse. */
void backoff_longest(struct backoff *backoff);

/* How long a connection must be up to prove itself. */
uint64_t backoff_stable_usec(const struct backoff *backoff);

/* After a connection that did. */
void backoff_fall(struct backoff *backoff);
