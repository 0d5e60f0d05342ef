/* SPDX-License-Identifier: MIT */
#include "edge/agenda.h"

#include <stdlib.h>

#include "edge/timer.h"
#include "util/clock.h"

/* A heap, the earliest first. */
struct agenda {
        struct event *timer;
        void (*tell)(struct due *due, uint64_t at);
        struct due **heap;
        size_t n, room, subjects;
        uint64_t armed; /* when the timer fires; 0: it does not */
};

static void put(struct agenda *agenda, size_t place, struct due *due)
{
        agenda->heap[place] = due;
        due->place = place;
}

static void rise(struct agenda *agenda, size_t place, struct due *due)
{
        for (; place > 0 && due->at < agenda->heap[(place - 1) / 2]->at; place = (place - 1) / 2)
                put(agenda, place, agenda->heap[(place - 1) / 2]);
        put(agenda, place, due);
}

static void sink(struct agenda *agenda, size_t place, struct due *due)
{
        size_t child;

        while ((child = 2 * place + 1) < agenda->n) {
                if (child + 1 < agenda->n && agenda->heap[child + 1]->at < agenda->heap[child]->at)
                        child++;
                if (due->at <= agenda->heap[child]->at)
                        break;
                put(agenda, place, agenda->heap[child]);
                place = child;
        }
        put(agenda, place, due);
}

static void mend(struct agenda *agenda, struct due *due)
{
        rise(agenda, due->place, due);
        sink(agenda, due->place, due);
}

static void take_out(struct agenda *agenda, struct due *due)
{
        struct due *last = agenda->heap[--agenda->n];

        due->at = 0;
        if (last == due)
                return;
        put(agenda, due->place, last);
        mend(agenda, last);
}

/* A timer that fires early, as nothing is due any more at its time, does no harm. */
static void arm(struct agenda *agenda)
{
        uint64_t at = agenda->n ? agenda->heap[0]->at : 0, now;

        if (!at || (agenda->armed && agenda->armed <= at))
                return;
        now = clock_usec();
        agenda->armed = at;
        timer_arm(agenda->timer, at > now ? at - now : 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct agenda *agenda = arg;
        uint64_t now = clock_usec();

        (void)fd;
        (void)what;
        while (agenda->n && agenda->heap[0]->at <= now) {
                struct due *due = agenda->heap[0];
                uint64_t at = due->at;

                take_out(agenda, due);
                agenda->tell(due, at);
        }
        agenda->armed = 0;
        arm(agenda);
}

struct agenda *agenda_new(struct event_base *base, void (*tell)(struct due *due, uint64_t at))
{
        struct agenda *agenda = calloc(1, sizeof(*agenda));

        if (!agenda)
                return NULL;
        agenda->tell = tell;
        agenda->timer = evtimer_new(base, on_timer, agenda);
        if (!agenda->timer) {
                agenda_free(agenda);
                return NULL;
        }
        return agenda;
}

void agenda_free(struct agenda *agenda)
{
        if (!agenda)
                return;
        if (agenda->timer)
                event_free(agenda->timer);
        free(agenda->heap);
        free(agenda);
}

bool agenda_add(struct agenda *agenda, struct due *due)
{
        if (agenda->subjects == agenda->room) {
                size_t room = agenda->room * 2 + 64;
                struct due **heap = reallocarray(agenda->heap, room, sizeof(*heap));

                if (!heap)
                        return false;
                agenda->heap = heap;
                agenda->room = room;
        }
        agenda->subjects++;
        *due = (struct due){0, 0};
        return true;
}

void agenda_remove(struct agenda *agenda, struct due *due)
{
        if (due->at)
                take_out(agenda, due);
        agenda->subjects--;
}

void agenda_set(struct agenda *agenda, struct due *due, uint64_t at)
{
        bool new = !due->at;

        due->at = at ? at : 1;
        if (new)
                put(agenda, agenda->n++, due);
        mend(agenda, due);
        arm(agenda);
}
