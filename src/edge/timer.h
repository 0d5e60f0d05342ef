/* SPDX-License-Identifier: MIT */
#pragma once
/* Time spans in microseconds for libevent's timers. */
#include <event2/event.h>

#include "util/clock.h"

static inline struct timeval timer_span(uint64_t usec)
{
        return (struct timeval){(time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC)};
}

/* Arms the timer to fire once, usec from now, in place of an earlier time. */
static inline void timer_arm(struct event *timer, uint64_t usec)
{
        struct timeval in = timer_span(usec);

        evtimer_add(timer, &in);
}
