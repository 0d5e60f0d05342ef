/* SPDX-License-Identifier: MIT */
/*
 * The connection that lingers: the link gave the connection up, and its path lives. The sending
 * side is shut down and all input is thrown away, so the peer's program can read what the peer's
 * kernel holds, up to the end of the stream. A reset would make many programs throw those messages
 * away, which the books call delivered. The end comes with the peer's end of the stream, with a
 * reset, or after SESSION_LINGER_USEC. The epoch of the connection and its deadline stand in the
 * image, so that a successor goes on.
 */
#include "edge/link_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/tcp.h"
#include "edge/timer.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/socket.h"

enum { READ_BYTES = 64 * 1024 };

/* The word of the image falls after the end of the connection: a crash between the two leaves a
 * successor a connection that ends at once. */
static void end(struct link *link, bool reset, const char *how)
{
        uint64_t epoch = link->ledger->image->lingers;

        if (link->linger.readable)
                event_free(link->linger.readable);
        link->linger.readable = NULL;
        evtimer_del(link->linger.timer);
        if (link->linger.fd >= 0 && reset)
                tcp_reset(link->linger.fd);
        else if (link->linger.fd >= 0)
                close(link->linger.fd);
        link->linger.fd = -1;
        ledger_linger_over(link->ledger);
        diag_debug("link: the connection that lingered is over: %s", how);
        link->ops->forget(link->context, epoch);
        if (link->stopping && !link->session)
                timer_arm(link->reaper, 0);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct link *link = arg;
        char bytes[READ_BYTES];
        ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        (void)what;
        if (got == 0) {
                end(link, false, "closed by the peer");
        } else if (got < 0 && socket_is_short(errno)) {
                event_del(link->linger.readable); /* until on_timer() */
                timer_arm(link->linger.timer, SOCKET_RETRY_USEC);
        } else if (got < 0 && errno != EAGAIN && errno != EINTR) {
                end(link, false, "lost, or reset by the peer");
        }
}

static uint64_t time_left(const struct link *link)
{
        uint64_t now = clock_usec(), until = link->ledger->image->linger_until;

        if (until <= now)
                return 0;
        return until - now < SESSION_LINGER_USEC ? until - now : SESSION_LINGER_USEC;
}

/* Reads up to the deadline. */
static void go_on(struct link *link)
{
        if (event_add(link->linger.readable, NULL) < 0)
                end(link, true, "no memory");
        else
                timer_arm(link->linger.timer, time_left(link));
}

/* The deadline, or the end of a shortage of memory. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct link *link = arg;

        (void)fd;
        (void)what;
        if (time_left(link))
                go_on(link);
        else
                end(link, true, "the peer did not close it in time, so it was reset");
}

bool link_linger_init(struct link *link)
{
        link->linger.fd = -1;
        link->linger.timer = evtimer_new(link->base, on_timer, link);
        return link->linger.timer != NULL;
}

void link_linger_done(struct link *link)
{
        if (link->linger.readable)
                event_free(link->linger.readable);
        if (link->linger.timer)
                event_free(link->linger.timer);
        if (link->linger.fd >= 0)
                close(link->linger.fd);
}

void link_linger(struct link *link, int fd)
{
        link->linger.fd = fd;
        if (fd < 0) {
                end(link, false, "its descriptor was not kept");
                return;
        }
        shutdown(fd, SHUT_WR); /* a predecessor may have ended before its own call */
        link->linger.readable = event_new(link->base, fd, EV_READ | EV_PERSIST, on_readable, link);
        if (link->linger.readable)
                go_on(link);
        else
                end(link, true, "no memory");
}

bool link_lingers(const struct link *link)
{
        return link->linger.fd >= 0;
}

void link_linger_reset(struct link *link)
{
        if (link_lingers(link))
                end(link, true, "reset");
}

bool link_linger_delays_stop(struct link *link)
{
        uint64_t now = clock_usec();

        if (!link_lingers(link))
                return false;
        if (now < link->stop_by) {
                timer_arm(link->reaper, link->stop_by - now);
                return true;
        }
        end(link, false, "not waited for");
        evtimer_del(link->reaper);
        return false;
}
