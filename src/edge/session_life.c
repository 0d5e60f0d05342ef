/* SPDX-License-Identifier: MIT */
#include "edge/session_internal.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "core/liveness.h"
#include "core/stall.h"
#include "edge/tcp.h"
#include "edge/timer.h"
#include "util/units.h"
#include "wire/verdict.h"

enum { CATCH_UP_USEC = 2000 };
enum { UNREAD_USEC = 1000000 }; /* while reading is paused, looks for the first byte as often */

static void ask_kernel(struct session *session, uint64_t now, struct tcp_state *state)
{
        if (!tcp_look(session->fd, state))
                return;
        session->last_ack = now > state->since_ack_usec ? now - state->since_ack_usec : 1;
        session->window_closed = state->window_closed;
}

static struct liveness judge(struct session *session, uint64_t now)
{
        const struct config *config = session->setup.config;
        const struct liveness_limits limits = {
                .interval_usec = session->setup.wire_messages->heartbeat.data
                                         ? config->heartbeat_interval_usec
                                         : 0,
                .silence_usec = config->heartbeat_timeout_usec,
                .path_usec = config->path_timeout_usec,
                .stall_usec = config->stall_timeout_usec,
                .speaking_usec = config->stall_speaking_usec,
                .frame_usec = config->frame_timeout_usec,
        };
        const struct liveness_seen seen = {
                .now = now,
                .last_byte = session->last_byte,
                .last_ack = session->last_ack,
                .limits_since = session->limits_since,
                .last_sent = session->last_sent,
                .last_progress = session->last_progress,
                .paused = !session_reads(session),
                .greeting = session->greeting,
                .silence_known = session->silent || session->awaits, /* GreetingTimeout= */
                .waiting = session->was_waiting,
                .unsent = session_has_unsent(session) || session->closing,
                .window_closed = session->window_closed,
                .partial = session_partial(session) != 0,
        };

        return liveness_judge(&limits, &seen);
}

static void unfinished(struct session *session, uint64_t now)
{
        unsigned char first[SESSION_EXPLAIN];
        uint64_t partial = session_partial(session);
        size_t n = partial < sizeof(first) ? (size_t)partial : sizeof(first);
        char text[320];

        log_copy(session->setup.in, session->setup.in->end_slab, session->setup.in->image->end,
                 first, n);
        verdict_unfinished(&session->setup.config->frame, partial, session->partial_total,
                           now - session->last_byte, first, n, text, sizeof(text));
        session_end(session, CAUSE_FRAMING, text);
}

static uint64_t since_heard(const struct session *session, uint64_t now)
{
        return now -
               (session->last_ack > session->last_byte ? session->last_ack : session->last_byte);
}

/* Writes the reason of silence. A peer whose kernel does not answer either is not silent by nature.
 */
static void explain_silence(struct session *session, uint64_t now, char *text, size_t size)
{
        uint64_t silence = now - session->last_byte;
        struct tcp_state state = {0};

        ask_kernel(session, now, &state);
        if ((state.sent_again || state.unanswered > 1) && since_heard(session, now) > silence / 2)
                snprintf(text, size,
                         "no byte for %s, nor an acknowledgement for %s: its host or the path is "
                         "gone",
                         units_span_words(silence).text,
                         units_span_words(since_heard(session, now)).text);
        else
                snprintf(text, size,
                         "no byte for %s: if this peer is silent by nature see [Heartbeat] "
                         "Timeout=, if it does not know the empty message see Interval=",
                         units_span_words(silence).text);
}

static void silent(struct session *session, uint64_t now)
{
        const struct config *config = session->setup.config;
        char text[240];

        explain_silence(session, now, text, sizeof(text));
        if (config->on_silence == SILENCE_RECONNECT) {
                session_end(session, CAUSE_SILENT, text);
                return;
        }
        session->silent = true;
        session->setup.ops->silent(session->setup.context, true, text);
}

static void dead_path(struct session *session, uint64_t now)
{
        char text[240];

        snprintf(text, sizeof(text), "neither a byte nor an acknowledgement for %s (PathTimeout=)",
                 units_span_words(since_heard(session, now)).text);
        session_end(session, CAUSE_PATH, text);
}

static void stalled(struct session *session, uint64_t now)
{
        const struct image_session *image = session->setup.ledger->image;
        struct stall_seen seen = {.stalled_usec = now - session->last_progress};
        struct tcp_state state = {0};
        enum stall_place place;
        char text[240];

        ask_kernel(session, now, &state);
        seen.heard_usec = since_heard(session, now);
        seen.under_way = image->written - image->acked - state.unsent;
        seen.unanswered = state.unanswered;
        seen.window_closed = state.window_closed;
        seen.sent_again = state.sent_again;
        place = stall_judge(&seen);
        stall_text(&seen, place, text, sizeof(text));
        session_end(session, place == STALL_PATH ? CAUSE_PATH : CAUSE_STALLED, text);
}

static void send_heartbeat(struct session *session)
{
        struct ledger *ledger = session->setup.ledger;

        if (!session_inject(session, &session->setup.wire_messages->heartbeat))
                return;
        store_set(&ledger->totals->heartbeats_sent, ledger->totals->heartbeats_sent + 1);
        session_write(session);
        /* No time is taken of an unsent heartbeat: a byte received before the send is no answer. */
        if (!session->beat_at && session->fd >= 0 && !ledger_injected(ledger))
                session->beat_at = session->last_sent;
}

/* The end of the bytes that the socket has now, in the count of image.rx_read: later ones do not
 * count, as a peer may send without end. */
static uint64_t there_now(const struct session *session)
{
        int there = 0;

        if (ioctl(session->fd, SIOCINQ, &there) < 0 || there < 0)
                there = 0;
        return session->setup.ledger->image->rx_read + (uint64_t)there;
}

bool session_catch_up(struct session *session)
{
        const struct image_session *image = session->setup.ledger->image;
        uint64_t until = clock_usec() + CATCH_UP_USEC;
        bool more;

        if (!session->catch_up_to)
                session->catch_up_to = there_now(session);
        session->read_size = SESSION_READ_LEAST; /* the readable event may follow in this pass */
        do
                more = session_reads(session) && session_read(session);
        while (more && (session->more || image->rx_read < session->catch_up_to) &&
               clock_usec() < until);
        if (more && (session->more || image->rx_read < session->catch_up_to))
                return false;
        session->catch_up_to = 0;
        return true;
}

void session_on_tick(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;
        struct tcp_state state;
        struct liveness life;
        uint64_t now;

        (void)fd;
        (void)what;
        if (!session_catch_up(session)) {
                timer_arm(session->tick, 0);
                return;
        }
        if (session->fd < 0)
                return;
        session_poll_acks(session);
        if (session->fd < 0 || !session_hear_unread(session))
                return;
        now = clock_usec();
        session_note_waiting(session, now);
        if (session->closing) {
                session_close_on(session, now);
                return;
        }
        if (session->setup.config->path_timeout_usec)
                ask_kernel(session, now, &state);
        life = judge(session, now);
        switch (life.verdict) {
        case LIVENESS_SILENT: silent(session, now); break;
        case LIVENESS_PATH: dead_path(session, now); break;
        case LIVENESS_STALLED: stalled(session, now); break;
        case LIVENESS_PARTIAL: unfinished(session, now); break;
        case LIVENESS_GOOD: break;
        }
        if (session->fd < 0)
                return;
        if (life.heartbeat)
                send_heartbeat(session);
        session_look_after(session);
}

void session_look_after(struct session *session)
{
        uint64_t now = clock_usec(), wait;
        struct liveness life;

        if (session->fd < 0)
                return;
        if (session->closing) {
                timer_arm(session->tick, SESSION_CLOSING_USEC);
                return;
        }
        life = judge(session, now);
        if (life.verdict != LIVENESS_GOOD || life.next <= now)
                wait = 1000;
        else
                wait = life.next - now + 500;
        if (session->unheard && session->paused && wait > UNREAD_USEC)
                wait = UNREAD_USEC;
        if (wait > 3600 * USEC_PER_SEC)
                wait = 3600 * USEC_PER_SEC;
        timer_arm(session->tick, wait);
}
