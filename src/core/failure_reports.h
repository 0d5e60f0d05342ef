/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which failures of the link diag reports. A cause is reported when new or back after other causes,
 * but not twice within FAILURE_LOG_AGAIN_USEC; a cause that repeats is reported once in
 * FAILURE_LOG_HOURLY_USEC, with the number of failures in between. Neither an outage of a night,
 * nor two addresses that fail alternately with different causes, flood diag.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

#define FAILURE_REPORTS_AGAIN_USEC  UINT64_C(600000000)
#define FAILURE_REPORTS_HOURLY_USEC UINT64_C(3600000000)

struct failure_reports {
        enum link_cause last;
        struct {
                bool told;
                uint64_t told_at, untold;
        } causes[LINK_CAUSES];
};

/* Notes a failure. Returns true if the failure is to be reported, and sets *untold to the number of
 * failures with the same cause since the last report. Returns false if not to be reported, counts
 * the failure as untold, and leaves *untold alone. now: microseconds. */
bool failure_reports_add(struct failure_reports *failure_reports, enum link_cause cause,
                         uint64_t now, uint64_t *untold);

/* The caller reported the last failure of cause although failure_reports_add() returned false: the
 * failure counts as untold no more. */
void failure_reports_told(struct failure_reports *failure_reports, enum link_cause cause);

/* The link proved itself: the next failure, of any cause, is to be reported. Returns the number of
 * untold failures. */
uint64_t failure_reports_over(struct failure_reports *failure_reports);
