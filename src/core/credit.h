/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A credit: for how long somebody may keep others waiting. Use consumes it; while nobody uses it,
 * it grows at a twentieth of real time, up to `most`, an argument of each function. Several may use
 * a credit at the same time, which consumes it once. Time comes in as an argument, in microseconds.
 */
#include <stdbool.h>
#include <stdint.h>

struct credit {
        uint64_t left, at; /* microseconds left at the time `at` */
        uint64_t forgiven; /* no time before is forgiven again */
        unsigned users;    /* that use it now */
};

/* Returns the microseconds left now. */
uint64_t credit_left(const struct credit *credit, uint64_t most, uint64_t now);

/* Somebody uses the credit from now on. */
void credit_use(struct credit *credit, uint64_t most, uint64_t now);

/* Somebody who used the credit does so no more. */
void credit_rest(struct credit *credit, uint64_t most, uint64_t now);

/* Consumes `usec` at once, or what is left. */
void credit_charge(struct credit *credit, uint64_t most, uint64_t usec, uint64_t now);

/* Returns the time at which the credit is consumed if its use goes on; UINT64_MAX: never, as it is
 * not used or `most` has no end. */
uint64_t credit_end(const struct credit *credit, uint64_t most);

/* A time of `late` microseconds that ended now was no use: nobody could have ended it. Called for
 * the same time by each user of the credit. */
void credit_forgive(struct credit *credit, uint64_t late, uint64_t now);
