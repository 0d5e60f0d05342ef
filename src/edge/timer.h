/* SPDX-License-Identifier: MIT */
#pragma once
/* Spans as libevent's timers want them. */
#include <event2/event.h>

#include "util/clock.h"

static inline struct timeval timer_span(uint64_t usec)
{
        return (struct timeval){(time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC)};
}

/* Fires so long from now, once; instead of when it would have fired. */
static inline void timer_arm(struct event *timer, uint64_t usec)
{
        struct timeval in = timer_span(usec);

        evtimer_add(timer, &in);
}
