/* SPDX-License-Identifier: MIT */
#include "edge/lingerer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/tcp.h"
#include "edge/timer.h"
#include "util/diag.h"

enum { READ_BYTES = 64 * 1024 };

struct lingerer {
        struct event_base *base; /* borrowed */
        struct ledger *ledger;   /* borrowed */
        lingerer_over *over;
        void *context;
        int fd;                        /* -1: none lingers */
        struct event *readable, *late; /* owned; readable: NULL while none lingers */
};

/* The word of the image falls after the end of the connection: a crash between the two leaves a
 * connection to a successor that ends at once. */
static void end(struct lingerer *lingerer, bool reset, const char *how)
{
        uint64_t epoch = lingerer->ledger->image->lingers;

        if (lingerer->readable)
                event_free(lingerer->readable);
        lingerer->readable = NULL;
        evtimer_del(lingerer->late);
        if (lingerer->fd >= 0 && reset)
                tcp_reset(lingerer->fd);
        else if (lingerer->fd >= 0)
                close(lingerer->fd);
        lingerer->fd = -1;
        ledger_linger_over(lingerer->ledger);
        diag_debug("link: the connection that lingered is over: %s", how);
        lingerer->over(lingerer->context, epoch);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct lingerer *lingerer = arg;
        char bytes[READ_BYTES];
        ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        (void)what;
        if (got == 0)
                end(lingerer, false, "closed by the peer");
        else if (got < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS &&
                 errno != ENOMEM)
                end(lingerer, false, "lost, or reset by the peer");
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        end(arg, true, "the peer did not close it in time, so it was reset");
}

struct lingerer *lingerer_new(struct event_base *base, struct ledger *ledger, lingerer_over *over,
                              void *context)
{
        struct lingerer *lingerer = calloc(1, sizeof(*lingerer));

        if (!lingerer)
                return NULL;
        *lingerer = (struct lingerer){
                .base = base, .ledger = ledger, .over = over, .context = context, .fd = -1};
        lingerer->late = evtimer_new(base, on_late, lingerer);
        if (!lingerer->late) {
                lingerer_free(lingerer);
                return NULL;
        }
        return lingerer;
}

void lingerer_free(struct lingerer *lingerer)
{
        if (!lingerer)
                return;
        if (lingerer->readable)
                event_free(lingerer->readable);
        if (lingerer->late)
                event_free(lingerer->late);
        if (lingerer->fd >= 0)
                close(lingerer->fd);
        free(lingerer);
}

static uint64_t time_left(const struct lingerer *lingerer)
{
        uint64_t now = clock_usec(), until = lingerer->ledger->image->linger_until;

        if (until <= now)
                return 0;
        return until - now < LINGER_USEC ? until - now : LINGER_USEC;
}

void lingerer_begin(struct lingerer *lingerer, int fd)
{
        lingerer->fd = fd;
        if (fd < 0) {
                end(lingerer, false, "its descriptor was not kept");
                return;
        }
        shutdown(fd, SHUT_WR); /* a predecessor may have ended before it did so */
        lingerer->readable =
                event_new(lingerer->base, fd, EV_READ | EV_PERSIST, on_readable, lingerer);
        if (!lingerer->readable || event_add(lingerer->readable, NULL) < 0) {
                end(lingerer, true, "no memory");
                return;
        }
        timer_arm(lingerer->late, time_left(lingerer));
}

bool lingerer_is_on(const struct lingerer *lingerer)
{
        return lingerer->fd >= 0;
}

void lingerer_reset(struct lingerer *lingerer)
{
        if (lingerer_is_on(lingerer))
                end(lingerer, true, "reset");
}

void lingerer_close(struct lingerer *lingerer)
{
        if (lingerer_is_on(lingerer))
                end(lingerer, false, "not waited for");
}
