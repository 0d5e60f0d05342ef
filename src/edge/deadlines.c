/* SPDX-License-Identifier: MIT */
#include "edge/deadlines.h"

#include <stdlib.h>

#include "edge/timer.h"
#include "util/clock.h"

enum { TELL_USEC = 2000 }; /* then the next pass goes on with the deadlines that are left */

/* A heap, the earliest first. */
struct deadlines {
        struct event *timer;
        void (*tell)(struct due *due, uint64_t at);
        struct due **heap;
        size_t n, room, subjects;
        uint64_t armed; /* when the timer fires; 0: the timer is off */
};

static void put(struct deadlines *deadlines, size_t index, struct due *due)
{
        deadlines->heap[index] = due;
        due->index = index;
}

static void rise(struct deadlines *deadlines, size_t index, struct due *due)
{
        for (; index > 0 && due->at < deadlines->heap[(index - 1) / 2]->at; index = (index - 1) / 2)
                put(deadlines, index, deadlines->heap[(index - 1) / 2]);
        put(deadlines, index, due);
}

static void sink(struct deadlines *deadlines, size_t index, struct due *due)
{
        size_t child;

        while ((child = 2 * index + 1) < deadlines->n) {
                if (child + 1 < deadlines->n &&
                    deadlines->heap[child + 1]->at < deadlines->heap[child]->at)
                        child++;
                if (due->at <= deadlines->heap[child]->at)
                        break;
                put(deadlines, index, deadlines->heap[child]);
                index = child;
        }
        put(deadlines, index, due);
}

static void mend(struct deadlines *deadlines, struct due *due)
{
        rise(deadlines, due->index, due);
        sink(deadlines, due->index, due);
}

static void take_out(struct deadlines *deadlines, struct due *due)
{
        struct due *last = deadlines->heap[--deadlines->n];

        due->at = 0;
        if (last == due)
                return;
        put(deadlines, due->index, last);
        mend(deadlines, last);
}

/* An armed timer is not moved back when its deadline is removed: firing early does no harm. */
static void arm(struct deadlines *deadlines)
{
        uint64_t at = deadlines->n ? deadlines->heap[0]->at : 0, now;

        if (!at || (deadlines->armed && deadlines->armed <= at))
                return;
        now = clock_usec();
        deadlines->armed = at;
        timer_arm(deadlines->timer, at > now ? at - now : 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct deadlines *deadlines = arg;
        uint64_t now = clock_usec(), until = now + TELL_USEC;

        (void)fd;
        (void)what;
        while (deadlines->n && deadlines->heap[0]->at <= now) {
                struct due *due = deadlines->heap[0];
                uint64_t at = due->at;

                take_out(deadlines, due);
                deadlines->tell(due, at);
                if (deadlines->n && deadlines->heap[0]->at <= now && clock_usec() >= until)
                        break; /* armed below, at once */
        }
        deadlines->armed = 0;
        arm(deadlines);
}

struct deadlines *deadlines_new(struct event_base *base, void (*tell)(struct due *due, uint64_t at))
{
        struct deadlines *deadlines = calloc(1, sizeof(*deadlines));

        if (!deadlines)
                return NULL;
        deadlines->tell = tell;
        deadlines->timer = evtimer_new(base, on_timer, deadlines);
        if (!deadlines->timer) {
                deadlines_free(deadlines);
                return NULL;
        }
        return deadlines;
}

void deadlines_free(struct deadlines *deadlines)
{
        if (!deadlines)
                return;
        if (deadlines->timer)
                event_free(deadlines->timer);
        free(deadlines->heap);
        free(deadlines);
}

bool deadlines_add(struct deadlines *deadlines, struct due *due)
{
        if (deadlines->subjects == deadlines->room) {
                size_t room = deadlines->room * 2 + 64;
                struct due **heap = reallocarray(deadlines->heap, room, sizeof(*heap));

                if (!heap)
                        return false;
                deadlines->heap = heap;
                deadlines->room = room;
        }
        deadlines->subjects++;
        *due = (struct due){0, 0};
        return true;
}

void deadlines_remove(struct deadlines *deadlines, struct due *due)
{
        if (due->at)
                take_out(deadlines, due);
        deadlines->subjects--;
}

void deadlines_set(struct deadlines *deadlines, struct due *due, uint64_t at)
{
        bool new = !due->at;

        due->at = at ? at : 1;
        if (new)
                put(deadlines, deadlines->n++, due);
        mend(deadlines, due);
        arm(deadlines);
}
