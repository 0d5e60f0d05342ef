/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The wait before the next round of dialling: doubles from the first delay to the largest, times a
 * random factor. The wait falls back to the first delay only after a connection that was up for
 * stable_usec, and for as long as the last wait.
 */
#include <stdint.h>

struct backoff {
        uint64_t first_usec, max_usec, stable_usec; /* configured */
        uint64_t next_usec;                         /* the next wait, before the random factor */
        uint64_t paid_usec;                         /* the last wait, with the random factor */
};

/* Zeroes the backoff; backoff_configure() is to follow. */
void backoff_init(struct backoff *backoff);

/* Sets new values of the configuration; keeps paid_usec, and next_usec within the new limits. */
void backoff_configure(struct backoff *backoff, uint64_t first_usec, uint64_t max_usec,
                       uint64_t stable_usec);

/* Returns the wait before the next round, and doubles the wait after it. factor is random, from 0.5
 * to 1. */
uint64_t backoff_wait(struct backoff *backoff, double factor);

/* Makes the next wait the longest, after a peer that refused the greeting: an early new attempt
 * would only make things worse. */
void backoff_longest(struct backoff *backoff);

/* Returns the time for which a connection must be up to prove itself: stable_usec, or the last wait
 * if longer. */
uint64_t backoff_stable_usec(const struct backoff *backoff);

/* Makes the next wait the first delay, after a connection that proved itself. */
void backoff_fall(struct backoff *backoff);
