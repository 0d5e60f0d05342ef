/* SPDX-License-Identifier: MIT */
#include "daemon/timers.h"

#include <stdlib.h>

static void on_nothing(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        (void)arg;
}

bool timers_reserve(struct event_base *base, size_t n)
{
        const struct timeval later = {3600, 0};
        struct event **timers = calloc(n, sizeof(struct event *));
        bool good = timers != NULL;

        for (size_t i = 0; good && i < n; i++) {
                timers[i] = evtimer_new(base, on_nothing, NULL);
                good = timers[i] && evtimer_add(timers[i], &later) == 0;
        }
        for (size_t i = 0; timers && i < n; i++)
                if (timers[i])
                        event_free(timers[i]);
        free(timers);
        return good;
}
