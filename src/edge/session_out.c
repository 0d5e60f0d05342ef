/* SPDX-License-Identifier: MIT */
#include "edge/session_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "edge/tcp.h"
#include "edge/timer.h"
#include "util/socket.h"

enum {
        WRITE_IOV = 20,
        WRITES = 64, /* in a row: a peer may read as fast as ftcpd writes */
        EARLY_USEC =
                1000, /* a message's time is exact to the millisecond: expires early, not late */
        /* Bytes written from one question for acknowledgements to the next, if the timer does not
         * come first. Four times as much is as fast, and keeps half a MiB more. */
        ASK_BYTES = SESSION_WRITE_SIZE,
        ACK_USEC = 50000,
        HURRY_USEC = 1000,      /* at first; doubled while nothing is acknowledged */
        TRY_BYTES = 256 * 1024, /* added to the out log since the kernel's queue was full: within a
                                   long pass the queue may have room again */
        RTT_USEC = 900000,      /* once a second, also where heartbeats alone are acknowledged */
};

/* Drops messages older than MessageTTL= that are not begun. */
static void expire(struct session *session)
{
        struct ledger *ledger = session->setup.ledger;
        uint64_t ttl = session->setup.config->message_ttl_usec, now;

        if (ttl == CONFIG_INFINITY || ledger_written(ledger) == ledger->log->image->end)
                return;
        now = clock_usec();
        if (now + EARLY_USEC > ttl)
                ledger_expire(ledger, now + EARLY_USEC - ttl);
}

static bool may_begin(const struct session *session)
{
        return !session->greeting && !session->awaits &&
               (!session->closing || session->closing_all);
}

bool session_has_unsent(const struct session *session)
{
        const struct ledger *ledger = session->setup.ledger;

        if (may_begin(session))
                return ledger_pending(ledger, false);
        return ledger_pending(ledger, true) || ledger_in_message(ledger);
}

bool session_has_waiting(const struct session *session)
{
        const struct image_session *image = session->setup.ledger->image;

        return image->acked != image->written || session_has_unsent(session);
}

/* Samples the kernel's round-trip time, which changes only when bytes are acknowledged. */
static void sample_rtt(struct session *session, uint64_t now)
{
        struct image *image = session->setup.in->store->image;
        struct tcp_state state;

        if (session->rtt_at && now - session->rtt_at < RTT_USEC)
                return;
        session->rtt_at = now;
        if (tcp_look(session->fd, &state) && state.rtt_usec)
                histogram_add(&image->latency[LATENCY_RTT], state.rtt_usec, 1);
}

void session_note_waiting(struct session *session, uint64_t now)
{
        bool began = !session->was_waiting;

        session->was_waiting = session_has_waiting(session);
        if (began && session->was_waiting) {
                session->last_progress = now;
                session_look_after(session);
        }
}

void session_poll_acks(struct session *session)
{
        struct ledger *ledger = session->setup.ledger;
        uint64_t acked;

        if (session->fd < 0 || session->fin_sent || ledger->image->acked == ledger->image->written)
                return;
        session->asked_at = ledger->image->written;
        acked = tcp_acked(session->fd, ledger->image->written);
        if (acked <= ledger->image->acked)
                return;
        session->last_progress = clock_usec();
        session->hurry_usec = HURRY_USEC;
        sample_rtt(session, session->last_progress);
        ledger_acked(ledger, acked);
        session_note_waiting(session, session->last_progress);
}

void session_hurry(struct session *session, bool hurry)
{
        if (hurry == session->hurry || session->fd < 0)
                return;
        session->hurry = hurry;
        session->hurry_usec = HURRY_USEC;
        evtimer_del(session->acks);
        session_arm_acks(session);
}

void session_arm_acks(struct session *session)
{
        if (session->setup.ledger->image->acked != session->setup.ledger->image->written &&
            !evtimer_pending(session->acks, NULL))
                timer_arm(session->acks, session->closing ? SESSION_CLOSING_USEC
                                         : session->hurry ? session->hurry_usec
                                                          : ACK_USEC);
}

static void set_blocked(struct session *session, bool blocked)
{
        if (blocked == session->blocked)
                return;
        session->blocked = blocked;
        if (blocked)
                event_add(session->writable, NULL);
        else
                event_del(session->writable);
}

/* The host has no memory for a send. The socket has room, so no event would wait. Where nothing is
 * under way, the pause does not count as the peer's. */
static void write_later(struct session *session)
{
        const struct image_session *image = session->setup.ledger->image;

        session->blocked = true;
        event_del(session->writable);
        timer_arm(session->retry, SOCKET_RETRY_USEC);
        if (image->acked == image->written)
                session->last_progress = clock_usec();
}

static void write_out(struct session *session, size_t least)
{
        struct ledger *ledger = session->setup.ledger;
        uint64_t before = ledger_written(ledger);

        if (session->drains)
                return; /* it would fail again */
        session->tried = ledger->log->image->end;
        for (int writes = 1; session->fd >= 0 && !session->fin_sent; writes++) {
                struct iovec iov[WRITE_IOV];
                struct msghdr message = {.msg_iov = iov};
                size_t size = 0;
                ssize_t sent;
                int n;

                expire(session);
                n = ledger_gather(ledger, SESSION_WRITE_SIZE, !may_begin(session), iov, WRITE_IOV);
                message.msg_iovlen = (size_t)n;
                if (n == 0) {
                        set_blocked(session, false);
                        break;
                }
                for (int i = 0; i < n; i++)
                        size += iov[i].iov_len;
                if (size < least)
                        break;
                sent = sendmsg(session->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent < 0 && socket_is_short(errno)) {
                        write_later(session);
                        break;
                }
                if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                        session_write_failed(session, errno);
                        return;
                }
                if (sent > 0) {
                        session->last_sent = clock_usec();
                        ledger_tell_waits(ledger, (uint64_t)sent, session->last_sent);
                        ledger_sent(ledger, (uint64_t)sent);
                }
                if (sent < (ssize_t)size || writes == WRITES) {
                        set_blocked(session, true);
                        break;
                }
        }
        if (session->fd < 0)
                return;
        /* Only the out log counts as progress: a heartbeat in the near kernel's queue is no sign
         * that the peer takes anything. */
        if (ledger_written(ledger) != before)
                session->last_progress = session->last_given = session->last_sent;
        if (ledger->image->written - session->asked_at >= ASK_BYTES)
                session_poll_acks(session);
        if (session->fd < 0)
                return;
        if (!session->was_waiting && session_has_waiting(session))
                session_note_waiting(session, clock_usec());
        session_arm_acks(session);
}

void session_write(struct session *session)
{
        if (!session->blocked)
                write_out(session, 0);
}

void session_write_early(struct session *session)
{
        if (!session->blocked ||
            session->setup.ledger->log->image->end >= session->tried + TRY_BYTES)
                write_out(session, SESSION_WRITE_SIZE);
}

bool session_is_blocked(const struct session *session)
{
        return session->blocked;
}

bool session_inject(struct session *session, const struct config_bytes *frame)
{
        struct iovec iov = {frame->data, frame->size};

        return ledger_inject(session->setup.ledger, &iov, 1);
}

void session_on_writable(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        session_poll_acks(session);
        write_out(session, 0);
}

void session_on_retry(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        session->blocked = false;
        session_on_writable(fd, what, session);
}

void session_on_acks(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        session->hurry_usec *= 2;
        if (session->hurry_usec > ACK_USEC)
                session->hurry_usec = ACK_USEC;
        session_poll_acks(session);
        if (session->fd >= 0)
                session_arm_acks(session);
}
