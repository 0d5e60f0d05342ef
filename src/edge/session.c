/* SPDX-License-Identifier: MIT */
#include "edge/session.h"
#include "core/liveness.h"
#include "core/store.h"
#include "edge/tcp.h"
#include "util/clock.h"
#include "wire/verdict.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
        READ_SIZE = 256 * 1024, /* 4 K cost 55 ns a message of 64 B, 64 K 26, 256 K 23 */
        WRITE_SIZE = 1024 * 1024,
        IOV_MAX_OURS = 20,
        ASK_BYTES = 256 * 1024, /* acknowledgements are asked for when so much was sent since, or
                                    by the timer */
        ACK_USEC = 50000,
        HURRY_USEC = 1000,
        CLOSE_USEC = 5000,
        COURTESY_USEC = 250000, /* for the peer's end, when all is acknowledged: a close with unread
                                   data would reset */
        EXPLAIN = 256,          /* bytes that a verdict looks at */
        ANSWERS_MAX = 64 * 1024 /* answers that the peer has not taken; what it asks behind them
                                   gets none */
};

struct session {
        struct session_setup setup;
        int fd; /* -1: closed */
        struct event *begin, *readable, *writable, *tick, *acks;
        uint64_t since, last_byte, last_ack, last_sent, last_progress, partial_since, asked_at;
        uint64_t partial_total, declared;
        bool window_closed, was_waiting, paused, silent, got_byte, hurry, blocked;
        bool greeting, wrong_answer; /* waits for the answer */
        bool greeted;                /* the greetings are under way */
        size_t wrong_size;
        bool closing, closing_all, fin_sent;
        enum link_cause close_cause;
        char close_text[160];
        uint64_t close_deadline;
};

static void end(struct session *session, enum link_cause cause, const char *text);
static void look_after(struct session *session);

static uint64_t received_to(const struct session *session)
{
        const struct image_session *image = session->setup.ledger->image;

        return image->rx_base + image->rx_read;
}

static uint64_t partial_size(const struct session *session)
{
        return received_to(session) - session->setup.in->image->end;
}

static struct timeval span(uint64_t usec)
{
        return (struct timeval){(time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC)};
}

static void arm(struct event *timer, uint64_t usec)
{
        struct timeval in = span(usec);

        evtimer_add(timer, &in);
}

/* ---- writing ---- */

static bool holds_log(const struct session *session)
{
        return session->greeting || (session->closing && !session->closing_all);
}

static bool is_unsent(const struct session *session)
{
        const struct ledger *ledger = session->setup.ledger;

        if (!holds_log(session))
                return ledger_pending(ledger, false);
        return ledger_pending(ledger, true) || ledger_in_message(ledger);
}

static bool is_waiting(const struct session *session)
{
        const struct image_session *image = session->setup.ledger->image;

        return image->acked != image->written || is_unsent(session);
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
        ledger_acked(ledger, acked);
        session->was_waiting = is_waiting(session);
        session->setup.ops->acked(session->setup.context);
}

static void arm_acks(struct session *session)
{
        if (session->setup.ledger->image->acked != session->setup.ledger->image->written &&
            !evtimer_pending(session->acks, NULL))
                arm(session->acks, session->closing ? CLOSE_USEC
                                   : session->hurry ? HURRY_USEC
                                                    : ACK_USEC);
}

/* What the kernel still has to give is read before the end is judged: bytes before a reset are
 * valid messages. */
static void write_failed(struct session *session, int error);

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

void session_flush(struct session *session)
{
        struct ledger *ledger = session->setup.ledger;
        uint64_t before = ledger_written(ledger);
        bool any = false;

        while (session->fd >= 0 && !session->fin_sent) {
                struct iovec iov[IOV_MAX_OURS];
                int n = ledger_gather(ledger, WRITE_SIZE, holds_log(session), iov, IOV_MAX_OURS);
                struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};
                size_t size = 0;
                ssize_t sent;

                if (n == 0) {
                        set_blocked(session, false);
                        break;
                }
                for (int i = 0; i < n; i++)
                        size += iov[i].iov_len;
                sent = sendmsg(session->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                        write_failed(session, errno);
                        return;
                }
                if (sent > 0) {
                        ledger_sent(ledger, (uint64_t)sent);
                        any = true;
                }
                if (sent < (ssize_t)size) {
                        set_blocked(session, true);
                        break;
                }
        }
        if (session->fd < 0)
                return;
        if (any)
                session->last_sent = clock_usec();
        /* A heartbeat that fits into our own kernel is no sign that the peer takes anything. */
        if (ledger_written(ledger) != before)
                session->last_progress = session->last_sent;
        if (ledger->image->written - session->asked_at >= ASK_BYTES)
                session_poll_acks(session);
        if (session->fd < 0)
                return;
        if (!session->was_waiting && is_waiting(session)) {
                session->was_waiting = true;
                session->last_progress = clock_usec();
                look_after(session);
        }
        arm_acks(session);
}

static bool inject(struct session *session, const struct config_bytes *frame)
{
        struct iovec iov = {frame->data, frame->size};

        return ledger_inject(session->setup.ledger, &iov, 1);
}

/* ---- reading ---- */

static bool is_one_of(const struct session *session, uint32_t slab, uint64_t pos, uint64_t size)
{
        const struct phrases *phrases = session->setup.phrases;

        for (size_t i = 0; i < phrases->n_received; i++) {
                unsigned char bytes[4096];
                const struct config_bytes *frame = &phrases->received[i];
                size_t at = 0;

                if (frame->size != size)
                        continue;
                while (at < size) {
                        size_t n = size - at < sizeof(bytes) ? size - at : sizeof(bytes);

                        log_copy(session->setup.in, slab, pos + at, bytes, n);
                        if (memcmp(bytes, frame->data + at, n) != 0)
                                break;
                        at += n;
                }
                if (at == size)
                        return true;
        }
        return false;
}

/* The first message that is no heartbeat answers all greetings. */
static void judge_answer(struct session *session, uint32_t slab, uint64_t pos, uint64_t size)
{
        const struct config *config = session->setup.config;
        const struct config_bytes *expect = &config->greeting_expect;
        unsigned char *frame = malloc(size + 1);
        const unsigned char *message;
        size_t length = 0;

        if (frame) {
                log_copy(session->setup.in, slab, pos, frame, size);
                frame_message(&config->frame, frame, size, &message, &length);
                if (length >= expect->size && memcmp(message, expect->data, expect->size) == 0)
                        session->greeting = false;
        }
        free(frame);
        if (session->greeting) {
                session->wrong_answer = true;
                session->wrong_size = length;
        }
}

static bool drop_frame(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        struct session *session = context;
        struct image_totals *totals = session->setup.ledger->totals;
        bool was_greeting = session->greeting;

        if (session->wrong_answer)
                return true;
        if (is_one_of(session, slab, pos, size)) {
                store_add(session->setup.in->store, &totals->heartbeats_received, 1);
                if (session->setup.phrases->answer.data && !session->greeting &&
                    ledger_injected(session->setup.ledger) < ANSWERS_MAX)
                        inject(session, &session->setup.phrases->answer);
                return !session->setup.config->heartbeat_relay || session->greeting;
        }
        if (was_greeting)
                judge_answer(session, slab, pos, size);
        return was_greeting;
}

static void framing_lost(struct session *session, const struct log_taken *taken)
{
        unsigned char first[EXPLAIN];
        size_t n = partial_size(session) < sizeof(first) ? (size_t)partial_size(session)
                                                         : sizeof(first);
        char text[320];

        log_copy(session->setup.in, session->setup.in->end_slab, session->setup.in->image->end,
                 first, n);
        verdict_text(&session->setup.config->frame, taken->result, taken->declared, first, n, text,
                     sizeof(text));
        end(session, CAUSE_FRAMING, text);
}

/* False: the session has ended. */
static bool take(struct session *session)
{
        struct image_session *image = session->setup.ledger->image;
        struct log_filter filter = {session->setup.phrases->range, drop_frame, session};
        bool was_greeting = session->greeting, had_partial = session->partial_since != 0;
        struct log_taken taken;

        if (session->greeting)
                filter.range = (struct frame_range){0, UINT64_MAX - 1};
        taken = log_take(session->setup.in, &image->rx_base, image->rx_read, &filter,
                         session->last_byte, 0);
        if (taken.no_memory) {
                end(session, CAUSE_LOCAL, "no memory for what was received");
                return false;
        }
        session->partial_total = taken.total;
        session->declared = taken.declared;
        if (!partial_size(session))
                session->partial_since = 0;
        else if (!had_partial || taken.messages)
                session->partial_since = session->last_byte;
        if (taken.messages)
                session->setup.ops->received(session->setup.context, &taken);
        if (session->fd < 0)
                return false;
        if (session->wrong_answer) {
                char text[128];

                snprintf(text, sizeof(text),
                         "another answer to the greeting than GreetingExpect=, of %zu bytes",
                         session->wrong_size);
                end(session, CAUSE_GREETING, text);
                return false;
        }
        if (taken.result == FRAME_TOO_LARGE || taken.result == FRAME_BROKEN) {
                framing_lost(session, &taken);
                return false;
        }
        if (was_greeting && !session->greeting) {
                session->setup.ops->up(session->setup.context);
                look_after(session);
        }
        return session->fd >= 0;
}

static void read_ends(struct session *session, int error)
{
        uint64_t partial = partial_size(session);
        const char *early = session->greeting ? " before it answered the greeting" : "";
        char text[160];

        if (!error && partial)
                snprintf(text, sizeof(text),
                         "closed by the peer in the middle of a message, %" PRIu64
                         " bytes of it came",
                         partial);
        else
                snprintf(text, sizeof(text), "%s%s",
                         !error                                  ? "closed by the peer"
                         : error == ECONNRESET || error == EPIPE ? "reset by the peer"
                                                                 : strerror(error),
                         early);
        end(session,
            !error                                                                ? CAUSE_CLOSED
            : error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ? CAUSE_PATH
                                                                                  : CAUSE_RESET,
            text);
}

/* One read. Returns false when there was nothing, or the session has ended. */
static bool read_once(struct session *session)
{
        struct image_session *image = session->setup.ledger->image;
        struct iovec iov[READ_SIZE / IMAGE_SLAB_SIZE + 1];
        int n = log_room(session->setup.in, received_to(session), READ_SIZE, iov,
                         (int)(sizeof(iov) / sizeof(*iov)));
        ssize_t got;

        if (n == 0) {
                end(session, CAUSE_LOCAL, "no memory to receive into");
                return false;
        }
        got = readv(session->fd, iov, n);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (got <= 0) {
                read_ends(session, got < 0 ? errno : 0);
                return false;
        }
        session->last_byte = clock_usec();
        session->got_byte = true;
        store_set(&image->rx_read, image->rx_read + (uint64_t)got);
        if (session->silent) {
                session->silent = false;
                session->setup.ops->silent(session->setup.context, false, "bytes come again");
        }
        return take(session);
}

static void write_failed(struct session *session, int error)
{
        while (read_once(session))
                ;
        if (session->fd >= 0)
                read_ends(session, error);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        read_once(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        session_poll_acks(session);
        session_flush(session);
}

/* ---- life ---- */

static void ask_kernel(struct session *session, uint64_t now)
{
        struct tcp_state state;

        if (!tcp_look(session->fd, &state))
                return;
        session->last_ack = now > state.since_ack_usec ? now - state.since_ack_usec : 1;
        session->window_closed = state.window_closed;
}

static struct liveness judge(struct session *session, uint64_t now)
{
        const struct config *config = session->setup.config;
        const struct liveness_limits limits = {
                .interval_usec = session->setup.phrases->heartbeat.data
                                         ? config->heartbeat_interval_usec
                                         : 0,
                .silence_usec = config->heartbeat_timeout_usec,
                .path_usec = config->path_timeout_usec,
                .stall_usec = config->stall_timeout_usec,
                .frame_usec = config->frame_timeout_usec,
        };
        const struct liveness_seen seen = {
                .now = now,
                .last_byte = session->last_byte,
                .last_ack = session->last_ack,
                .last_sent = session->last_sent,
                .last_progress = session->last_progress,
                .paused = session->paused,
                .greeting = session->greeting,
                .silence_known = session->silent,
                .waiting = session->was_waiting,
                .unsent = is_unsent(session) || session->closing,
                .window_closed = session->window_closed,
                .partial = partial_size(session) != 0,
        };

        return liveness_judge(&limits, &seen);
}

static void unfinished(struct session *session, uint64_t now)
{
        unsigned char first[EXPLAIN];
        uint64_t partial = partial_size(session);
        size_t n = partial < sizeof(first) ? (size_t)partial : sizeof(first);
        char text[320];

        log_copy(session->setup.in, session->setup.in->end_slab, session->setup.in->image->end,
                 first, n);
        verdict_unfinished(&session->setup.config->frame, partial, session->partial_total,
                           (now - session->last_byte) / USEC_PER_SEC, first, n, text, sizeof(text));
        end(session, CAUSE_FRAMING, text);
}

static void silent(struct session *session, uint64_t now)
{
        const struct config *config = session->setup.config;
        double seconds = (double)(now - session->last_byte) / 1e6;
        char text[240];

        snprintf(text, sizeof(text),
                 "no byte for %.3gs: if this peer is silent by nature see [Heartbeat] Timeout=, if "
                 "it does not know the "
                 "empty message see Interval=",
                 seconds);
        if (config->on_silence == SILENCE_RECONNECT) {
                end(session, CAUSE_SILENT, text);
                return;
        }
        session->silent = true;
        session->setup.ops->silent(session->setup.context, true, text);
}

static void send_heartbeat(struct session *session)
{
        struct ledger *ledger = session->setup.ledger;

        if (!inject(session, &session->setup.phrases->heartbeat))
                return;
        store_set(&ledger->totals->heartbeats_sent, ledger->totals->heartbeats_sent + 1);
        session_flush(session);
}

static void close_on(struct session *session, uint64_t now);

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;
        struct liveness life;
        char text[160];
        uint64_t now;

        (void)fd;
        (void)what;
        /* What the socket already holds is read first: our own stall is not the peer's silence. */
        for (int i = 0; i < 64 && !session->paused && read_once(session); i++)
                ;
        if (session->fd < 0)
                return;
        session_poll_acks(session);
        if (session->fd < 0)
                return;
        session->was_waiting = is_waiting(session);
        now = clock_usec();
        if (session->closing) {
                close_on(session, now);
                return;
        }
        if (session->setup.config->path_timeout_usec)
                ask_kernel(session, now);
        life = judge(session, now);
        switch (life.verdict) {
        case LIVENESS_SILENT: silent(session, now); break;
        case LIVENESS_PATH:
                snprintf(text, sizeof(text),
                         "neither a byte nor an acknowledgement for %.3gs (PathTimeout=)",
                         (double)(now - (session->last_ack > session->last_byte
                                                 ? session->last_ack
                                                 : session->last_byte)) /
                                 1e6);
                end(session, CAUSE_PATH, text);
                break;
        case LIVENESS_STALLED:
                snprintf(text, sizeof(text),
                         "data waits and the peer took none for %.3gs (StallTimeout=): its kernel "
                         "lives, its program "
                         "does not read",
                         (double)(now - session->last_progress) / 1e6);
                end(session, CAUSE_STALLED, text);
                break;
        case LIVENESS_PARTIAL: unfinished(session, now); break;
        case LIVENESS_GOOD: break;
        }
        if (session->fd < 0)
                return;
        if (life.heartbeat)
                send_heartbeat(session);
        look_after(session);
}

/* Looks again when something could be due. */
static void look_after(struct session *session)
{
        uint64_t now = clock_usec(), wait;
        struct liveness life;

        if (session->fd < 0)
                return;
        if (session->closing) {
                arm(session->tick, CLOSE_USEC);
                return;
        }
        life = judge(session, now);
        if (life.verdict != LIVENESS_GOOD || life.next <= now)
                wait = 1000;
        else
                wait = life.next - now + 500;
        if (wait > 3600 * USEC_PER_SEC)
                wait = 3600 * USEC_PER_SEC;
        arm(session->tick, wait);
}

static void on_acks(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        session_poll_acks(session);
        if (session->fd >= 0)
                arm_acks(session);
}

/* ---- the end ---- */

/* The one way to end: the kernel's numbers are read before anything changes them. */
static void end(struct session *session, enum link_cause cause, const char *text)
{
        struct ledger *ledger = session->setup.ledger;
        struct ledger_end fate = {0};
        struct tcp_books books;
        int fd = session->fd;

        if (fd < 0)
                return;
        session->fd = -1;
        event_del(session->begin);
        event_del(session->readable);
        event_del(session->writable);
        evtimer_del(session->tick);
        evtimer_del(session->acks);
        if (session->fin_sent) {
                fate = ledger_end(ledger, ledger->image->acked, ledger->image->written);
                close(fd);
        } else {
                tcp_silence(fd);
                books = tcp_books(fd, ledger->image->written);
                if (books.acked < ledger->image->acked)
                        books.acked = ledger->image->acked;
                fate = ledger_end(ledger, books.acked, books.transmitted);
                if (cause == CAUSE_CLOSED && books.acked == ledger->image->written)
                        close(fd); /* nothing is under way: no need to be rude */
                else
                        tcp_reset(fd);
        }
        /* The rest of a message that has begun never comes: the next connection begins a new one.
         */
        slabs_free(ledger->log->store, log_cut(session->setup.in));
        if (session->closing) {
                cause = session->close_cause;
                text = session->close_text;
        }
        session->setup.ops->lost(session->setup.context, cause, text, &fate);
}

static void close_on(struct session *session, uint64_t now)
{
        bool late = now >= session->close_deadline;

        if (!session->fin_sent && !is_waiting(session)) {
                session->fin_sent = true; /* all is acknowledged: the books are closed, and the rest
                                             is courtesy */
                shutdown(session->fd, SHUT_WR);
                if (session->close_deadline > now + COURTESY_USEC)
                        session->close_deadline = now + COURTESY_USEC;
        }
        if (late)
                end(session, session->close_cause, session->close_text);
        else
                arm(session->tick, CLOSE_USEC);
}

void session_close(struct session *session, enum link_cause cause, const char *text,
                   uint64_t deadline, bool all)
{
        if (session->fd < 0)
                return;
        session->closing = true;
        session->closing_all = all;
        session->close_cause = cause;
        snprintf(session->close_text, sizeof(session->close_text), "%s", text);
        session->close_deadline = deadline;
        session_flush(session);
        if (session->fd >= 0)
                arm(session->tick, 0);
}

/* ---- beginning ---- */

void session_pause(struct session *session, bool pause)
{
        if (pause == session->paused || session->fd < 0)
                return;
        session->paused = pause;
        if (pause) {
                event_del(session->readable);
                return;
        }
        session->last_byte = clock_usec();
        event_add(session->readable, NULL);
        look_after(session);
}

void session_hurry(struct session *session, bool hurry)
{
        if (hurry == session->hurry || session->fd < 0)
                return;
        session->hurry = hurry;
        evtimer_del(session->acks);
        arm_acks(session);
}

void session_configure(struct session *session, const struct config *config,
                       const struct phrases *phrases)
{
        session->setup.config = config;
        session->setup.phrases = phrases;
        if (session->fd >= 0) {
                tcp_prepare(session->fd, config->path_timeout_usec);
                look_after(session);
        }
}

static void begin(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        if (!session->greeted) {
                end(session, CAUSE_LOCAL, "no memory for the greeting");
                return;
        }
        if (!session->greeting)
                session->setup.ops->up(session->setup.context);
        session_flush(session);
        if (session->fd < 0)
                return;
        if (!session->paused)
                event_add(session->readable, NULL);
        look_after(session);
}

struct session *session_new(const struct session_setup *setup)
{
        struct session *session = calloc(1, sizeof(*session));
        uint64_t now = clock_usec();

        if (!session) {
                close(setup->fd);
                return NULL;
        }
        *session = (struct session){.setup = *setup,
                                    .fd = setup->fd,
                                    .since = now,
                                    .last_byte = now,
                                    .last_ack = now,
                                    .last_sent = now,
                                    .last_progress = now,
                                    .greeting = setup->config->greeting_expect.size != 0};
        session->begin = evtimer_new(setup->base, begin, session);
        session->readable =
                event_new(setup->base, setup->fd, EV_READ | EV_PERSIST, on_readable, session);
        session->writable =
                event_new(setup->base, setup->fd, EV_WRITE | EV_PERSIST, on_writable, session);
        session->tick = evtimer_new(setup->base, on_tick, session);
        session->acks = evtimer_new(setup->base, on_acks, session);
        if (!session->begin || !session->readable || !session->writable || !session->tick ||
            !session->acks) {
                session_free(session);
                return NULL;
        }
        tcp_prepare(setup->fd, setup->config->path_timeout_usec);
        ledger_begin(setup->ledger, setup->in->image->end);
        /* Before the first flush, which comes from anywhere: greetings go first. */
        session->greeted = true;
        for (size_t i = 0; i < setup->phrases->n_greetings; i++)
                session->greeted =
                        session->greeted && inject(session, &setup->phrases->greetings[i]);
        arm(session->begin, 0);
        return session;
}

void session_free(struct session *session)
{
        if (!session)
                return;
        if (session->begin)
                event_free(session->begin);
        if (session->readable)
                event_free(session->readable);
        if (session->writable)
                event_free(session->writable);
        if (session->tick)
                event_free(session->tick);
        if (session->acks)
                event_free(session->acks);
        if (session->fd >= 0)
                close(session->fd);
        free(session);
}

struct session_view session_look(const struct session *session)
{
        struct session_view view = {
                .since = session->since,
                .last_byte = session->last_byte,
                .partial_since = session->partial_since,
                .partial = session->fd >= 0 ? partial_size(session) : 0,
                .partial_total = session->partial_total,
                .declared = session->declared,
                .paused = session->paused,
                .silent = session->silent,
                .got_byte = session->got_byte,
        };
        struct tcp_state state;

        if (session->fd >= 0 && tcp_look(session->fd, &state))
                view.rtt_usec = state.rtt_usec;
        return view;
}
