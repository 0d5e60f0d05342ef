/* SPDX-License-Identifier: MIT */
#include "edge/session.h"
#include "edge/session_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/tcp.h"
#include "edge/timer.h"
#include "store/store.h"
#include "util/socket.h"

enum {
        THROTTLE_USEC = 1000,
        COURTESY_USEC = 250000, /* wait for the peer's FIN when everything is acknowledged: a close
                                   with unread data would reset */
};

/* A path that answered so recently lives. */
#define PATH_LIVES_USEC (2 * USEC_PER_SEC)

static_assert((int)LINK_CAUSES <= (int)IMAGE_CAUSES, "every cause has its counter");

/* linger_until: until when the connection lingers, clock_usec(); 0: it does not. */
static struct ledger_end end_ledger(struct ledger *ledger, struct tcp_books books,
                                    enum config_resend resend, enum link_cause cause,
                                    uint64_t linger_until)
{
        struct store *store = ledger->log->store;
        struct ledger_end fate;

        store_begin(store);
        fate = ledger_end(ledger, books.acked, books.transmitted, resend);
        store_add(store,
                  fate.unheard ? &ledger->totals->failed[cause] : &ledger->totals->lost[cause], 1);
        if (fate.unheard && cause != CAUSE_OPERATOR && cause != CAUSE_HELD)
                store_add(store, &ledger->totals->unheard, 1);
        if (linger_until)
                ledger_linger(ledger, linger_until);
        store_commit(store);
        return fate;
}

/* True if the peer of an unheard connection has sent what the connection waits for; an answer
 * counts only once it is taken. */
static bool has_spoken(const struct ledger *ledger, int fd)
{
        const struct image_session *image = ledger->image;

        return image->unheard && image->unheard != LEDGER_UNHEARD_ANSWER &&
               (image->rx_read || (fd >= 0 && tcp_has_input(fd)));
}

bool session_heard(struct session *session)
{
        ledger_heard(session->setup.ledger);
        session->unheard = session->awaits = false;
        session_poll_acks(session);
        session->setup.ops->up(session->setup.context);
        session_look_after(session);
        return session->fd >= 0;
}

bool session_hear_unread(struct session *session)
{
        if (session->unheard && session->paused && has_spoken(session->setup.ledger, session->fd))
                return session_heard(session);
        return true;
}

/* True for the causes by which this end gives up a connection that may well live. */
static bool is_our_verdict(enum link_cause cause)
{
        return cause == CAUSE_SILENT || cause == CAUSE_STALLED || cause == CAUSE_FRAMING ||
               cause == CAUSE_OPERATOR;
}

/* True if the peer's kernel may hold messages that the peer's program has not read: some were
 * handed over since the peer's last byte, or are not acknowledged. */
static bool has_given(const struct session *session)
{
        const struct ledger *ledger = session->setup.ledger;

        return session->last_given >= session->last_byte ||
               ledger->acked.image->pos < ledger_written(ledger);
}

/* True if a reset could destroy messages of which the peer's program still reads. */
static bool has_to_linger(const struct session *session, int fd, enum link_cause cause)
{
        return is_our_verdict(cause) && !session->setup.ledger->image->unheard &&
               has_given(session) && tcp_path_lives(fd, PATH_LIVES_USEC) &&
               session->setup.ops->may_linger(session->setup.context);
}

static struct tcp_books last_books(const struct session *session, int fd)
{
        const struct image_session *image = session->setup.ledger->image;
        struct tcp_books books = {image->acked, image->written};

        if (session->fin_sent)
                return books;
        books = tcp_last_books(fd, image->written);
        if (books.acked < image->acked)
                books.acked = image->acked;
        return books;
}

void session_end(struct session *session, enum link_cause cause, const char *text)
{
        struct ledger *ledger = session->setup.ledger;
        struct ledger_end fate = {0};
        struct tcp_books books;
        int fd;
        bool lingers;

        session_take_rest(session);
        fd = session->fd;
        if (fd < 0)
                return;
        session->fd = -1;
        event_del(session->begin);
        event_del(session->readable);
        event_del(session->writable);
        evtimer_del(session->tick);
        evtimer_del(session->acks);
        evtimer_del(session->throttle_end);
        evtimer_del(session->retry);
        evtimer_del(session->rest);
        if (!session->fin_sent && has_spoken(ledger, fd)) /* while reading was paused */
                ledger_heard(ledger);
        lingers = has_to_linger(session, fd, cause);
        books = last_books(session, fd);
        fate = end_ledger(ledger, books, session->setup.config->resend,
                          session->closing ? session->close_cause : cause,
                          lingers ? clock_usec() + SESSION_LINGER_USEC : 0);
        if (lingers)
                session->setup.ops->lingers(session->setup.context, fd);
        else if (session->fin_sent ||
                 (cause == CAUSE_CLOSED && books.acked == ledger->image->written))
                close(fd); /* nothing is under way: no reset is needed */
        else
                tcp_reset(fd);
        /* The remainder of a partial message never comes: the next connection begins a new message.
         */
        slabs_free(ledger->log->store, log_cut(session->setup.in));
        if (session->closing) {
                cause = session->close_cause;
                text = session->close_text;
        }
        session->setup.ops->lost(session->setup.context, cause, text, &fate);
}

/* True if the peer's kernel has messages, and a first byte of its program would make them count.
 * The wait ends when the silence would have ended the connection. */
static bool waits_for_byte(const struct session *session, uint64_t now)
{
        uint64_t timeout = session->setup.config->heartbeat_timeout_usec;

        return session->unheard && ledger_provisional(session->setup.ledger) &&
               (!timeout || now < session->last_byte + timeout);
}

void session_close_on(struct session *session, uint64_t now)
{
        bool late = now >= session->close_deadline;

        if (!session->fin_sent && !session_has_waiting(session) && !waits_for_byte(session, now)) {
                session->fin_sent = true; /* everything is acknowledged: the books do not change any
                                             more, only the peer's FIN is awaited */
                shutdown(session->fd, SHUT_WR);
                if (session->close_deadline > now + COURTESY_USEC)
                        session->close_deadline = now + COURTESY_USEC;
        }
        if (late)
                session_end(session, session->close_cause, session->close_text);
        else
                timer_arm(session->tick, SESSION_CLOSING_USEC);
}

void session_close(struct session *session, enum link_cause cause, const char *text,
                   uint64_t deadline, bool all)
{
        if (session->fd < 0)
                return;
        /* A repeated close gives the peer no more time, unless queued messages are to be written.
         */
        if (session->closing && (!all || session->fin_sent) && session->close_deadline < deadline)
                deadline = session->close_deadline;
        if (session->fin_sent && deadline > clock_usec() + COURTESY_USEC)
                deadline = clock_usec() + COURTESY_USEC;
        session->closing = true;
        session->closing_all = all;
        session->close_cause = cause;
        snprintf(session->close_text, sizeof(session->close_text), "%s", text);
        session->close_deadline = deadline;
        session_write(session);
        if (session->fd >= 0)
                timer_arm(session->tick, 0);
}

/* ---- beginning ---- */

static void read_again(struct session *session)
{
        event_add(session->readable, NULL);
        if (session->more)
                timer_arm(session->rest, 0);
}

void session_pause(struct session *session, bool pause)
{
        uint64_t now = clock_usec();

        if (pause == session->paused || session->fd < 0)
                return;
        session->paused = pause;
        session->throttled = false;
        evtimer_del(session->throttle_end);
        if (pause) {
                session->beat_at = 0; /* an answer would be read too late */
                if (!session_reads(session))
                        event_del(session->readable);
                return;
        }
        if (session->last_given >= session->last_byte)
                session->last_given = now;
        session->last_byte = now;
        read_again(session);
        session_look_after(session);
}

void session_throttle(struct session *session, bool throttle)
{
        if (session->fd < 0 || session->paused || throttle == session->throttled)
                return;
        session->throttled = throttle;
        if (throttle) {
                event_del(session->readable);
                timer_arm(session->throttle_end, THROTTLE_USEC);
        } else {
                evtimer_del(session->throttle_end);
                read_again(session);
        }
}

void session_read_later(struct session *session)
{
        session->last_byte = clock_usec();
        session->short_read = true;
        if (session->paused)
                return;
        session->throttled = true;
        event_del(session->readable);
        timer_arm(session->throttle_end, SOCKET_RETRY_USEC);
}

static void on_throttle_end(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        session_throttle(arg, false);
}

/* True if other bytes or acknowledgements may be expected from now on: before, heartbeats and
 * probes went out less often, or never. */
static bool expects_other(const struct config *old, const struct config *new)
{
        return old->heartbeat_interval_usec != new->heartbeat_interval_usec ||
               old->heartbeat_timeout_usec != new->heartbeat_timeout_usec ||
               old->path_timeout_usec != new->path_timeout_usec;
}

/* Returns what a connection waits for before acknowledgements count. The answer to a greeting comes
 * before any message, and so nothing else is waited for. */
static enum ledger_unheard unheard_by(const struct config *config)
{
        if (config->greeting_expect.size)
                return LEDGER_HEARD;
        if (config->send_after == SEND_AFTER_ANSWER)
                return LEDGER_UNHEARD_ANSWER;
        if (config->send_after == SEND_AFTER_BYTE)
                return LEDGER_UNHEARD_BYTE;
        return config->heartbeat_timeout_usec && config->on_silence == SILENCE_RECONNECT
                       ? LEDGER_UNHEARD
                       : LEDGER_HEARD;
}

/* The configuration has changed: an unheard session waits for less, never for more. */
static void wait_less(struct session *session)
{
        struct ledger *ledger = session->setup.ledger;
        enum ledger_unheard unheard = unheard_by(session->setup.config);

        if (unheard < ledger->image->unheard && unheard)
                store_set(&ledger->image->unheard, unheard);
        session->awaits = ledger->image->unheard > LEDGER_UNHEARD;
        if (!unheard || !ledger->image->unheard || has_spoken(ledger, session->fd))
                session_heard(session);
}

void session_configure(struct session *session, const struct config *config,
                       const struct wire_messages *wire_messages)
{
        if (expects_other(session->setup.config, config))
                session->limits_since = clock_usec();
        session->setup.config = config;
        session->setup.wire_messages = wire_messages;
        if (session->fd < 0)
                return;
        tcp_prepare(session->fd, config->path_timeout_usec);
        session_look_after(session);
        if (session->unheard)
                wait_less(session);
}

static void begin(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        if (!session->greeted) {
                session_end(session, CAUSE_LOCAL, "no memory for the greeting");
                return;
        }
        if (!session->greeting && !session->recovered && !session->unheard)
                session->setup.ops->up(session->setup.context);
        session_write(session);
        if (session->fd < 0)
                return;
        if (session_reads(session) && event_add(session->readable, NULL) < 0) {
                session_end(session, CAUSE_LOCAL, "no memory to read from it");
                return;
        }
        session_look_after(session);
}

static struct session *make(const struct session_setup *setup)
{
        struct session *session = calloc(1, sizeof(*session));
        uint64_t now = clock_usec();

        if (!session)
                return NULL;
        *session = (struct session){.setup = *setup,
                                    .fd = setup->fd,
                                    .read_size = SESSION_READ_LEAST,
                                    .since = now,
                                    .last_byte = now,
                                    .last_ack = now,
                                    .last_sent = now,
                                    .last_progress = now};
        session->begin = evtimer_new(setup->base, begin, session);
        session->readable = event_new(setup->base, setup->fd, EV_READ | EV_PERSIST,
                                      session_on_readable, session);
        session->writable = event_new(setup->base, setup->fd, EV_WRITE | EV_PERSIST,
                                      session_on_writable, session);
        session->tick = evtimer_new(setup->base, session_on_tick, session);
        session->acks = evtimer_new(setup->base, session_on_acks, session);
        session->throttle_end = evtimer_new(setup->base, on_throttle_end, session);
        session->retry = evtimer_new(setup->base, session_on_retry, session);
        session->rest = evtimer_new(setup->base, session_on_rest, session);
        if (!session->begin || !session->readable || !session->writable || !session->tick ||
            !session->acks || !session->throttle_end || !session->retry || !session->rest) {
                session->fd = -1; /* the caller's still */
                session_free(session);
                return NULL;
        }
        tcp_prepare(setup->fd, setup->config->path_timeout_usec);
        timer_arm(session->begin, 0);
        return session;
}

struct session *session_new(const struct session_setup *setup)
{
        struct session *session = make(setup);

        if (!session)
                return NULL;
        session->greeting = setup->config->greeting_expect.size != 0;
        ledger_begin(setup->ledger, setup->in->image->end, unheard_by(setup->config));
        session->unheard = setup->ledger->image->unheard != LEDGER_HEARD;
        session->awaits = setup->ledger->image->unheard > LEDGER_UNHEARD;
        /* Injected here, because the first write may come from any caller: greetings go first. */
        session->greeted = true;
        for (size_t i = 0; i < setup->wire_messages->n_greetings; i++)
                session->greeted = session->greeted &&
                                   session_inject(session, &setup->wire_messages->greetings[i]);
        return session;
}

struct session *session_recover(const struct session_setup *setup)
{
        struct session *session = make(setup);

        if (!session)
                return NULL;
        session->greeted = session->recovered = true;
        session->unheard = setup->ledger->image->unheard != LEDGER_HEARD;
        session->awaits = setup->ledger->image->unheard > LEDGER_UNHEARD;
        session->got_byte = !session->unheard || setup->ledger->image->rx_read;
        session->last_given = session->last_byte; /* unknown, so some may have been handed over */
        tcp_listen_again(setup->fd);
        return session;
}

/* Books the bytes that the kernel counts and the image does not: at most one read and one write.
 * Returns true if sending is shut down already. *error: the error of a lost connection, if taken
 * from the socket here, which tells an error once; otherwise 0. */
static bool reconcile(struct ledger *ledger, int fd, int *error)
{
        struct image_session *image = ledger->image;
        struct tcp_totals totals;

        *error = 0;
        if (!tcp_total(fd, image->rx_read, image->written, &totals))
                return false;
        if (totals.written > image->written)
                ledger_sent(ledger, totals.written - image->written);
        if (totals.acked > image->acked)
                ledger_acked(ledger, totals.acked);
        store_set(&image->rx_read, totals.read);
        if (has_spoken(ledger, -1))
                ledger_heard(ledger);
        *error = totals.error;
        return totals.closing;
}

bool session_reconcile(struct session *session)
{
        session->fin_sent = reconcile(session->setup.ledger, session->fd, &session->error);
        if (session->unheard)
                wait_less(session); /* by what was read, or by another configuration */
        session_take(session);
        session_take_rest(session);
        return session->fin_sent;
}

void session_abandon(struct log *in, struct ledger *ledger, int fd, enum config_resend resend)
{
        struct image_session *image = ledger->image;
        struct tcp_books books = {image->acked, image->written};
        int error;

        if (fd >= 0) {
                reconcile(ledger, fd, &error);
                books = tcp_last_books(fd, image->written);
        }
        if (books.acked < image->acked)
                books.acked = image->acked;
        end_ledger(ledger, books, resend, CAUSE_LOCAL, 0);
        if (fd >= 0)
                tcp_reset(fd);
        slabs_free(in->store, log_cut(in));
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
        if (session->throttle_end)
                event_free(session->throttle_end);
        if (session->retry)
                event_free(session->retry);
        if (session->rest)
                event_free(session->rest);
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
                .partial = session->fd >= 0 && !session->more ? session_partial(session) : 0,
                .partial_total = session->partial_total,
                .declared = session->declared,
                .paused = session->paused,
                .silent = session->silent,
                .got_byte = session->got_byte,
        };
        struct tcp_state state;

        if (session->fd < 0)
                return view;
        if (tcp_look(session->fd, &state))
                view.rtt_usec = state.rtt_usec;
        view.transmitted =
                tcp_books(session->fd, session->setup.ledger->image->written).transmitted;
        return view;
}
