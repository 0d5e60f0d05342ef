/* SPDX-License-Identifier: MIT */
#include "core/failure_log.h"

bool failure_log_add(struct failure_log *failure_log, enum link_cause cause, uint64_t now,
                     uint64_t *untold)
{
        bool changed = cause != failure_log->last;
        uint64_t quiet = changed ? FAILURE_LOG_AGAIN_USEC : FAILURE_LOG_HOURLY_USEC;

        failure_log->last = cause;
        if (failure_log->causes[cause].told && now - failure_log->causes[cause].told_at < quiet) {
                failure_log->causes[cause].untold++;
                return false;
        }
        *untold = failure_log->causes[cause].untold;
        failure_log->causes[cause].told = true;
        failure_log->causes[cause].told_at = now;
        failure_log->causes[cause].untold = 0;
        return true;
}

void failure_log_told(struct failure_log *failure_log, enum link_cause cause)
{
        failure_log->causes[cause].untold--;
}

uint64_t failure_log_over(struct failure_log *failure_log)
{
        uint64_t untold = 0;

        for (int i = 0; i < LINK_CAUSES; i++)
                untold += failure_log->causes[i].untold;
        *failure_log = (struct failure_log){0};
        return untold;
}
