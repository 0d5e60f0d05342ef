/* SPDX-License-Identifier: MIT */
#include "core/pace.h"

#include <stddef.h>

static bool is_over(const struct pace *pace, uint64_t now)
{
        return now - pace->since >= pace->span;
}

bool pace_take(struct pace *pace, const struct pace_limits *limits, uint64_t n, uint64_t now)
{
        if (!pace->span || (!pace->untold && is_over(pace, now)))
                *pace = (struct pace){.since = now, .span = limits->first_usec};
        if (pace->told < limits->burst) {
                pace->told++;
                return true;
        }
        pace->untold += n;
        return false;
}

uint64_t pace_sum(struct pace *pace, const struct pace_limits *limits, bool at_once, uint64_t now,
                  uint64_t *span)
{
        uint64_t n = pace->untold;

        if (!n || (!at_once && !is_over(pace, now)))
                return 0;
        if (span)
                *span = now - pace->since;
        pace->since = now;
        pace->span = pace->span < limits->longest_usec / 2 ? pace->span * 2 : limits->longest_usec;
        pace->told = limits->burst;
        pace->untold = 0;
        return n;
}

uint64_t pace_due(const struct pace *pace)
{
        return pace->untold ? pace->since + pace->span : UINT64_MAX;
}
