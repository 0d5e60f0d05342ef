/* SPDX-License-Identifier: MIT */
#include "edge/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/clock.h"

enum {
        AT_ONCE = 256,
        LOOK_USEC = 2000,           /* then the next pass goes on with the subjects that are left */
        OVER = EPOLLHUP | EPOLLERR, /* epoll tells these always */
};

struct poller {
        int epoll;
        struct event *readable;
        const struct poller_ops *ops;
        struct epoll_event events[AT_ONCE]; /* what epoll told; from `at` on not told yet */
        int n, at;
};

/* epoll would report a gone subject in every pass. With EPOLLONESHOT, a gone subject without wants
 * is reported once more, which tell() ignores, and then never again. The subject stays in the set,
 * so a later change of its wants cannot fail. */
static int control(struct poller *poller, int op, struct polled *polled)
{
        bool quiet = polled->gone && !polled->wants;
        struct epoll_event event = {.events = quiet ? EPOLLONESHOT : polled->wants,
                                    .data.ptr = polled};

        return epoll_ctl(poller->epoll, op, polled->fd, &event) < 0 ? -errno : 0;
}

static bool wants(const struct polled *polled, unsigned what)
{
        return polled->fd >= 0 && (polled->wants & what);
}

static void tell(struct poller *poller, struct polled *polled, uint32_t what)
{
        if (polled->fd >= 0 && (what & OVER) && !polled->gone) {
                polled->gone = true;
                if (!polled->wants)
                        control(poller, EPOLL_CTL_MOD, polled);
                poller->ops->gone(polled);
        }
        if ((what & (EPOLLOUT | OVER)) && wants(polled, POLLER_WRITE))
                poller->ops->writable(polled);
        if ((what & (EPOLLIN | OVER)) && wants(polled, POLLER_READ))
                poller->ops->readable(polled);
}

/* Epoll tells the same subjects in the same order in each pass. So the subjects left by the pass
 * before come first: else the last subjects would never be told. */
static void look(evutil_socket_t fd, short what, void *arg)
{
        struct poller *poller = arg;
        uint64_t until = 0;

        (void)what;
        if (poller->at >= poller->n) {
                poller->n = epoll_wait(fd, poller->events, AT_ONCE, 0);
                poller->at = 0;
        }
        if (poller->at + 1 < poller->n)
                until = clock_usec() + LOOK_USEC;
        while (poller->at < poller->n) {
                const struct epoll_event *event = &poller->events[poller->at++];

                if (event->data.ptr)
                        tell(poller, event->data.ptr, event->events);
                if (poller->at < poller->n && clock_usec() >= until)
                        return;
        }
}

struct poller *poller_new(struct event_base *base, const struct poller_ops *ops)
{
        struct poller *poller = calloc(1, sizeof(*poller));

        if (!poller)
                return NULL;
        poller->ops = ops;
        poller->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (poller->epoll >= 0)
                poller->readable =
                        event_new(base, poller->epoll, EV_READ | EV_PERSIST, look, poller);
        if (!poller->readable || event_add(poller->readable, NULL) < 0) {
                poller_free(poller);
                return NULL;
        }
        return poller;
}

void poller_free(struct poller *poller)
{
        if (!poller)
                return;
        if (poller->readable)
                event_free(poller->readable);
        if (poller->epoll >= 0)
                close(poller->epoll);
        free(poller);
}

int poller_add(struct poller *poller, struct polled *polled, int fd, unsigned wants_now)
{
        int result;

        *polled = (struct polled){.fd = fd, .wants = (uint8_t)wants_now};
        result = control(poller, EPOLL_CTL_ADD, polled);
        if (result < 0)
                polled->fd = -1;
        return result;
}

void poller_want(struct poller *poller, struct polled *polled, unsigned wants_now)
{
        if (polled->fd < 0 || polled->wants == wants_now)
                return;
        polled->wants = (uint8_t)wants_now;
        control(poller, EPOLL_CTL_MOD, polled);
}

void poller_remove(struct poller *poller, struct polled *polled)
{
        for (int i = poller->at; i < poller->n; i++)
                if (poller->events[i].data.ptr == polled)
                        poller->events[i].data.ptr = NULL;
        if (polled->fd >= 0)
                epoll_ctl(poller->epoll, EPOLL_CTL_DEL, polled->fd, NULL);
        polled->fd = -1;
}
