/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which of the link's failures are news. A cause is told when it is new or comes again after
 * others, but not twice within TELLING_AGAIN_USEC; a cause that goes on is told once in
 * TELLING_HOURLY_USEC, with how many there were. So neither an outage of a night nor two addresses
 * that fail in turn, each in its way, fill the log.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

#define FAILURE_LOG_AGAIN_USEC  UINT64_C(600000000)
#define FAILURE_LOG_HOURLY_USEC UINT64_C(3600000000)

struct failure_log {
        enum link_cause last;
        struct {
                bool told;
                uint64_t told_at, untold;
        } causes[LINK_CAUSES];
};

/* Is this failure to be told? untold is then set to how many like it were not, since the last. */
bool failure_log_failure(struct failure_log *failure_log, enum link_cause cause, uint64_t now,
                         uint64_t *untold);

/* The last one was told although it was no news. */
void failure_log_told(struct failure_log *failure_log, enum link_cause cause);

/* The link proved itself: whatever fails next is news. Returns how many were not told. */
uint64_t failure_log_over(struct failure_log *failure_log);
