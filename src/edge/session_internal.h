/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A session's own memory, for its parts: session.c (from connected to lost), session_in.c (its
 * bytes into the in log), session_out.c (those of the ledger out) and session_life.c (whether it
 * lives).
 */
#include "edge/session.h"
#include "util/clock.h"

enum {
        SESSION_EXPLAIN = 256,       /* bytes that a verdict looks at */
        SESSION_CLOSING_USEC = 5000, /* how often a quiet close looks whether it is through */
        SESSION_READ_LEAST = 64 * 1024,
};

struct session {
        struct session_setup setup;
        int fd; /* -1: closed */
        struct event *begin, *readable, *writable, *tick, *acks, *throttle_end;
        uint64_t since, last_byte, last_ack, last_sent, last_progress, partial_since, asked_at;
        uint64_t partial_total, declared;
        uint64_t beat_at;    /* a heartbeat went out, and no byte came since; 0: none */
        size_t read_size;    /* of the next read */
        uint64_t tried;      /* the out log's end when the kernel was last offered something */
        uint64_t hurry_usec; /* so often acknowledgements are asked for */
        uint64_t rtt_at;     /* when the kernel's round trip was last looked at */
        bool throttled, window_closed, was_waiting, paused, silent, got_byte, hurry, blocked;
        bool greeting, wrong_answer; /* waits for the answer */
        bool greeted;                /* the greetings are under way */
        bool recovered;              /* it was up before */
        int error; /* why it was lost before, which shows when all that came is read */
        size_t wrong_size;
        bool closing, closing_all, fin_sent;
        enum link_cause close_cause;
        char close_text[420];
        uint64_t close_deadline;
};

/* The one way to end: the kernel's numbers are read before anything changes them. */
void session_end(struct session *session, enum link_cause cause, const char *text);

/* session_in.c: the in log's position behind what was received; bytes of a message that is not
 * whole; one read, which returns false when there was nothing or the session has ended; and the end
 * after a failed write, when everything that came was read: bytes before a reset are valid
 * messages. */
uint64_t session_received_to(const struct session *session);
uint64_t session_partial(const struct session *session);
bool session_read(struct session *session);
bool session_take(struct session *session);
void session_write_failed(struct session *session, int error);
void session_on_readable(evutil_socket_t fd, short what, void *arg);

/* session_out.c: is anything to be sent, or to be acknowledged too; a fixed message at the next
 * boundary. */
bool session_has_unsent(const struct session *session);
bool session_has_waiting(const struct session *session);
bool session_inject(struct session *session, const struct config_bytes *frame);
void session_arm_acks(struct session *session);
void session_on_writable(evutil_socket_t fd, short what, void *arg);
void session_on_acks(evutil_socket_t fd, short what, void *arg);

/* session_life.c: looks again when something could be due. */
void session_look_after(struct session *session);
void session_on_tick(evutil_socket_t fd, short what, void *arg);

/* One step of a quiet close. */
void session_close_on(struct session *session, uint64_t now);
