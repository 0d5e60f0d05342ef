/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A budget of the loop's time: for what others may ask for without end, and the loop has better to
 * do. At first a burst is spent at once, and later one part in `share` of the time that passes.
 * Time comes in as an argument, in microseconds.
 */
#include <stdint.h>

struct budget {
        unsigned share;
        uint64_t burst; /* that may be spent at once */
        uint64_t debt;  /* time spent, times share, less the time that has passed */
        uint64_t as_of; /* the time of the last update of debt */
};

/* Books time that was spent. */
void budget_spend(struct budget *budget, uint64_t usec, uint64_t now);

/* Returns the time until more may be spent; 0: now. A wait ends with half of the burst to spend. */
uint64_t budget_wait(struct budget *budget, uint64_t now);
