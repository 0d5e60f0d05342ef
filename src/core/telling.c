/* SPDX-License-Identifier: MIT */
#include "core/telling.h"

bool telling_failure(struct telling *telling, enum link_cause cause, uint64_t now, uint64_t *untold)
{
        bool changed = cause != telling->last;
        uint64_t quiet = changed ? TELLING_AGAIN_USEC : TELLING_HOURLY_USEC;

        telling->last = cause;
        if (telling->causes[cause].told && now - telling->causes[cause].told_at < quiet) {
                telling->causes[cause].untold++;
                return false;
        }
        *untold = telling->causes[cause].untold;
        telling->causes[cause].told = true;
        telling->causes[cause].told_at = now;
        telling->causes[cause].untold = 0;
        return true;
}

void telling_told(struct telling *telling, enum link_cause cause)
{
        telling->causes[cause].untold--;
}

uint64_t telling_over(struct telling *telling)
{
        uint64_t untold = 0;

        for (int i = 0; i < LINK_CAUSES; i++)
                untold += telling->causes[i].untold;
        *telling = (struct telling){0};
        return untold;
}
