/* SPDX-License-Identifier: MIT */
#include "edge/session_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "edge/tcp.h"
#include "edge/timer.h"
#include "store/store.h"
#include "util/host_error.h"
#include "util/socket.h"
#include "wire/verdict.h"

enum {
        READ_MOST = 1024 * 1024, /* with 256 K a message of 64 B or 4 K cost a quarter more */
        READ_CROWD = 256 * 1024, /* with 1 M, 100 clients cost 5 % more, and twice the memory */
        READ_TINY = 256 * 1024,  /* 1 M of tiny messages is a pass of 7 ms */
        TINY = 32 * 1024,        /* messages of one read that are tiny */
        READ_LEAST = 4096,
        CROWD = 8,
        PART = 8,
        LOOKS = 32768,     /* messages compared with heartbeats in one pass, in some milliseconds */
        DRAIN_USEC = 2000, /* then the next pass reads on from a connection that was lost */
        /* Injected bytes that the kernel has not taken; beyond, heartbeats get no answer. */
        ANSWERS_MAX = 64 * 1024,
};

bool session_reads(const struct session *session)
{
        return !session->paused || session->greeting;
}

uint64_t session_received_to(const struct session *session)
{
        const struct image_session *image = session->setup.ledger->image;

        return image->rx_base + image->rx_read;
}

uint64_t session_partial(const struct session *session)
{
        return session_received_to(session) - session->setup.in->image->end;
}

static bool is_one_of(const struct session *session, uint32_t slab, uint64_t pos, uint64_t size)
{
        const struct wire_messages *wire_messages = session->setup.wire_messages;

        for (size_t i = 0; i < wire_messages->n_received; i++) {
                const struct config_bytes *frame = &wire_messages->received[i];

                if (frame->size == size &&
                    log_is_same(session->setup.in, slab, pos, frame->data, size))
                        return true;
        }
        return false;
}

/* Compares a message with GreetingExpect=: the first message that is no heartbeat answers all
 * greetings. */
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
                if (!expect->size || /* a changed configuration expects no answer */
                    (length >= expect->size && memcmp(message, expect->data, expect->size) == 0))
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
                if (session->setup.wire_messages->answer.data && !session->greeting &&
                    ledger_injected(session->setup.ledger) < ANSWERS_MAX)
                        session_inject(session, &session->setup.wire_messages->answer);
                return !session->setup.config->heartbeat_relay || session->greeting;
        }
        /* In this transaction, because the answer comes once. */
        if (session->setup.ledger->image->unheard == LEDGER_UNHEARD_ANSWER)
                ledger_heard(session->setup.ledger);
        if (was_greeting)
                judge_answer(session, slab, pos, size);
        return was_greeting;
}

static void framing_lost(struct session *session, const struct log_taken *taken)
{
        unsigned char first[SESSION_EXPLAIN];
        size_t n = session_partial(session) < sizeof(first) ? (size_t)session_partial(session)
                                                            : sizeof(first);
        char text[320];

        log_copy(session->setup.in, session->setup.in->end_slab, session->setup.in->image->end,
                 first, n);
        verdict_text(&session->setup.config->frame, taken->result, taken->declared, first, n, text,
                     sizeof(text));
        session_end(session, CAUSE_FRAMING, text);
}

bool session_take(struct session *session)
{
        struct image_session *image = session->setup.ledger->image;
        struct log_filter filter = {session->setup.wire_messages->range, drop_frame, session,
                                    LOOKS};
        bool was_greeting = session->greeting, had_partial = session->partial_since != 0;
        struct log_taken taken;

        if (session->greeting || image->unheard == LEDGER_UNHEARD_ANSWER)
                filter.range = (struct frame_range){0, UINT64_MAX - 1};
        taken = log_take(session->setup.in, &image->rx_base, image->rx_read, &filter,
                         session->last_byte, 0);
        session->more = taken.more;
        session->took = taken.messages;
        if (taken.more) {
                session->read_size = SESSION_READ_LEAST; /* each take copies what is left */
                timer_arm(session->rest, 0);
        }
        if (session->unheard && !image->unheard && !session_heard(session))
                return false;
        session->partial_total = taken.total;
        session->declared = taken.declared;
        if (!session_partial(session))
                session->partial_since = 0;
        else if (!had_partial || taken.messages)
                session->partial_since = session->last_byte;
        if (taken.messages)
                session->setup.ops->received(session->setup.context, &taken);
        if (session->fd < 0)
                return false;
        if (taken.no_memory) {
                session_end(session, CAUSE_LOCAL, "no memory for what was received");
                return false;
        }
        if (session->wrong_answer) {
                char text[128];

                snprintf(text, sizeof(text),
                         "another answer to the greeting than GreetingExpect=, of %zu bytes",
                         session->wrong_size);
                session_end(session, CAUSE_GREETING, text);
                return false;
        }
        if (taken.result == FRAME_TOO_LARGE || taken.result == FRAME_BROKEN) {
                framing_lost(session, &taken);
                return false;
        }
        if (was_greeting && !session->greeting) {
                if (!session_reads(session))
                        event_del(session->readable);
                session->setup.ops->up(session->setup.context);
                session_look_after(session);
        }
        return session->fd >= 0;
}

void session_take_rest(struct session *session)
{
        while (session->more && session->fd >= 0)
                session_take(session);
}

void session_on_rest(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        if (session->drains)
                session_write_failed(session, session->error);
        else if (session->more && session_reads(session) && !session->throttled)
                session_take(session);
}

/* True if a rule of this host forbids a send or a receive on a connection that stands. The same
 * errno of a connection that has ended came by ICMPv6. */
static bool is_forbidden(const struct session *session, int error)
{
        return (error == EACCES || error == EPERM) && tcp_is_open(session->fd);
}

static enum link_cause cause_of(const struct session *session, int error)
{
        switch (error) {
        case 0: return CAUSE_CLOSED;
        case ETIMEDOUT:
        case EHOSTUNREACH:
        case ENETUNREACH: return CAUSE_PATH;
        case EACCES:
        case EPERM: return is_forbidden(session, error) ? CAUSE_LOCAL : CAUSE_PATH;
        default: return CAUSE_RESET;
        }
}

static void read_ends(struct session *session, int error)
{
        uint64_t partial = session_partial(session);
        const char *early = session->greeting ? " before it answered the greeting" : "";
        char text[240];

        if (!error && partial)
                snprintf(text, sizeof(text),
                         "closed by the peer in the middle of a message, %" PRIu64
                         " bytes of it came",
                         partial);
        else
                snprintf(text, sizeof(text), "%s%s",
                         !error                                  ? "closed by the peer"
                         : error == ECONNRESET || error == EPIPE ? "reset by the peer"
                         : is_forbidden(session, error) ? host_error_words(HOST_CALL_CONNECT, error)
                                                        : strerror(error),
                         early);
        session_end(session, cause_of(session, error), text);
}

/* Takes the time from the heartbeat to the first byte behind it: the round trip, if the peer
 * answers heartbeats. */
static void tell_answer(struct session *session)
{
        struct image *image = session->setup.in->store->image;

        histogram_add(&image->latency[LATENCY_HEARTBEAT], session->last_byte - session->beat_at, 1);
        session->beat_at = 0;
}

/* Returns the largest size of one read: less for many clients, and at most a part of a client's
 * queue, so that the queue of a quick client is never full. */
static size_t read_most(const struct session *session)
{
        uint64_t part = session->setup.config->client_queue_size / PART;
        size_t most = session->setup.in->open > CROWD ? READ_CROWD
                      : session->took > TINY          ? READ_TINY
                                                      : READ_MOST;

        if (part > most)
                return most;
        return part > READ_LEAST ? (size_t)part : READ_LEAST;
}

/* Doubles the size of the next read after a full read, and halves the size after a small read, so
 * that a slow peer takes little memory. */
static void adapt(struct session *session, size_t got)
{
        if (got >= session->read_size)
                session->read_size *= 2;
        else if (got < session->read_size / 4)
                session->read_size /= 2;
        if (session->read_size > READ_MOST)
                session->read_size = READ_MOST;
        if (session->read_size < SESSION_READ_LEAST)
                session->read_size = SESSION_READ_LEAST;
}

static bool receive(struct session *session)
{
        struct image_session *image = session->setup.ledger->image;
        struct iovec iov[READ_MOST / IMAGE_SLAB_SIZE + 1];
        size_t most = read_most(session);
        int n = log_room(session->setup.in, session_received_to(session),
                         session->read_size < most ? session->read_size : most, iov,
                         (int)(sizeof(iov) / sizeof(*iov)));
        ssize_t got;

        if (n == 0) {
                session_end(session, CAUSE_LOCAL, "no memory to receive into");
                return false;
        }
        session->short_read = false;
        got = readv(session->fd, iov, n);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (got < 0 && socket_is_short(errno)) {
                session_read_later(session);
                return false;
        }
        if (got <= 0) {
                read_ends(session, got < 0 ? errno : session->error);
                return false;
        }
        session->last_byte = clock_usec();
        session->got_byte = true;
        if (session->beat_at)
                tell_answer(session);
        adapt(session, (size_t)got);
        store_set(&image->rx_read, image->rx_read + (uint64_t)got);
        if (session->unheard && image->unheard != LEDGER_UNHEARD_ANSWER && !session_heard(session))
                return false;
        if (session->silent) {
                session->silent = false;
                session->setup.ops->silent(session->setup.context, false, "bytes come again");
        }
        return session_take(session);
}

bool session_read(struct session *session)
{
        return session->more ? session_take(session) : receive(session);
}

void session_write_failed(struct session *session, int error)
{
        uint64_t until = clock_usec() + DRAIN_USEC;
        bool more = true;

        while (more && clock_usec() < until)
                more = session_read(session);
        if (session->fd < 0)
                return;
        session->drains = more;
        if (more)
                timer_arm(session->rest, 0);
        if (more || session->short_read)
                session->error = error; /* bytes may still be there */
        else
                read_ends(session, error);
}

void session_on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct session *session = arg;

        (void)fd;
        (void)what;
        if (!session->more && !session->drains) /* else the timer goes on */
                receive(session);
}
