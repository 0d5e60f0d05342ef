/* SPDX-License-Identifier: MIT */
#include "core/failure_reports.h"

bool failure_reports_add(struct failure_reports *failure_reports, enum link_cause cause,
                         uint64_t now, uint64_t *untold)
{
        bool changed = cause != failure_reports->last;
        uint64_t quiet = changed ? FAILURE_REPORTS_AGAIN_USEC : FAILURE_REPORTS_HOURLY_USEC;

        failure_reports->last = cause;
        if (failure_reports->causes[cause].told &&
            now - failure_reports->causes[cause].told_at < quiet) {
                failure_reports->causes[cause].untold++;
                return false;
        }
        *untold = failure_reports->causes[cause].untold;
        failure_reports->causes[cause].told = true;
        failure_reports->causes[cause].told_at = now;
        failure_reports->causes[cause].untold = 0;
        return true;
}

void failure_reports_told(struct failure_reports *failure_reports, enum link_cause cause)
{
        failure_reports->causes[cause].untold--;
}

uint64_t failure_reports_over(struct failure_reports *failure_reports)
{
        uint64_t untold = 0;

        for (int i = 0; i < LINK_CAUSES; i++)
                untold += failure_reports->causes[i].untold;
        *failure_reports = (struct failure_reports){0};
        return untold;
}
