/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A session's memory and the functions that its parts share: session.c (from connected to lost),
 * session_in.c (receives into the in log), session_out.c (sends the bytes of the ledger) and
 * session_life.c (judges whether the peer lives, sends heartbeats).
 */
#include "edge/session.h"
#include "util/clock.h"

enum {
        SESSION_EXPLAIN = 256,       /* bytes that a verdict looks at */
        SESSION_CLOSING_USEC = 5000, /* between two steps of a quiet close */
        SESSION_READ_LEAST = 64 * 1024,
};

struct session {
        struct session_setup setup;
        int fd; /* -1: closed */
        struct event *begin, *readable, *writable, *tick, *acks, *throttle_end, *retry, *rest;
        uint64_t since, last_byte, last_ack, last_sent, last_progress, partial_since, asked_at;
        uint64_t
                last_given; /* when bytes of the out log were last handed to the kernel; 0: never */
        uint64_t partial_total, declared;
        uint64_t limits_since; /* a reload changed the limits of silence or path; 0: none did */
        uint64_t beat_at;      /* when a heartbeat was sent, and no byte came since; 0: none */
        size_t read_size;      /* of the next read */
        uint64_t took;         /* messages of the last read */
        uint64_t tried;        /* the out log's end at the last attempt to write */
        uint64_t hurry_usec;   /* from one question for acknowledgements to the next */
        uint64_t rtt_at;       /* when the kernel's round trip was last sampled */
        uint64_t catch_up_to;  /* image.rx_read, before the tick judges; 0: nothing is caught up */
        bool short_read;       /* the host had no memory for the last read */
        bool more;             /* whole messages are received and not taken: `rest` is due */
        bool drains;           /* a send failed, and what the socket has is read: `rest` is due */
        bool throttled, window_closed, was_waiting, paused, silent, got_byte, hurry, blocked;
        bool greeting, wrong_answer; /* the answer to the greeting is awaited; was a wrong one */
        bool unheard;                /* as in the ledger: the connection is provisional */
        bool awaits;  /* unheard, and no message of the out log is begun before the peer is heard */
        bool greeted; /* the greetings are in the inject log */
        bool recovered; /* made by session_recover() */
        int error;      /* of a connection that was lost before; told after the last byte is read */
        size_t wrong_size;
        bool closing, closing_all, fin_sent;
        enum link_cause close_cause;
        char close_text[420];
        uint64_t close_deadline;
};

/* session.c: the one way to end a session. Reads the kernel's counters before anything changes
 * them, ends the session in the ledger, closes the connection, and calls lost(). */
void session_end(struct session *session, enum link_cause cause, const char *text);

/* session.c: reads again after a moment, which does not count as the peer's silence: the host has
 * no memory for a read. */
void session_read_later(struct session *session);

/* session.c: the peer was heard. Acknowledgements count from here on; calls up(). Returns false if
 * the session has ended. */
bool session_heard(struct session *session);

/* session.c: while reading is paused, looks whether an unheard peer was heard: the kernel has the
 * byte. Returns false if the session has ended. */
bool session_hear_unread(struct session *session);

/* session_in.c */

/* True if the session reads. The answer to the greeting is read in a pause too: it is for no client
 * that could be full. */
bool session_reads(const struct session *session);

/* Returns the in log's position behind the received bytes. */
uint64_t session_received_to(const struct session *session);

/* Returns the size of the partial message, in bytes; 0: none. */
uint64_t session_partial(const struct session *session);

/* Takes what is left of the last read, or else reads once, and takes. Returns false if no byte came
 * or the session has ended. */
bool session_read(struct session *session);

/* Commits the whole messages of the received bytes; some of them, if they are many that have to be
 * compared with heartbeats, and then session->more is set. Returns false if the session has ended.
 */
bool session_take(struct session *session);

/* Commits all whole messages of the received bytes: before an end, and after a restart. */
void session_take_rest(struct session *session);

/* Ends the session after a failed write, an errno. Reads all received bytes before, in this pass or
 * over several: bytes before a reset are valid messages. */
void session_write_failed(struct session *session, int error);

/* The event: the socket is readable. */
void session_on_readable(evutil_socket_t fd, short what, void *arg);

/* The timer: goes on with what one pass has left. */
void session_on_rest(evutil_socket_t fd, short what, void *arg);

/* session_out.c */

/* True if bytes are to be sent now; messages of the out log are not while the answer to the
 * greeting or what SendAfter= names is awaited, or the session closes without them. */
bool session_has_unsent(const struct session *session);

/* True if bytes are to be sent, or were sent and are not acknowledged. */
bool session_has_waiting(const struct session *session);

/* Notes whether anything waits. When something begins to wait, the clock of StallTimeout= begins,
 * and the tick is armed. */
void session_note_waiting(struct session *session, uint64_t now);

/* Sends a frame at the next message boundary, besides the out log. Returns false without memory, or
 * if too many frames are under way. */
bool session_inject(struct session *session, const struct config_bytes *frame);

/* Arms the timer for the next question for acknowledgements, if any are due. */
void session_arm_acks(struct session *session);

/* The event: the socket is writable. */
void session_on_writable(evutil_socket_t fd, short what, void *arg);

/* The timer of a send for which the host had no memory. */
void session_on_retry(evutil_socket_t fd, short what, void *arg);

/* The timer of acknowledgements. */
void session_on_acks(evutil_socket_t fd, short what, void *arg);

/* session_life.c */

/* Arms the tick for the time when a verdict or a heartbeat could be due. */
void session_look_after(struct session *session);

/* The tick: judges the session, sends a heartbeat if due, and goes on with a quiet close. */
void session_on_tick(evutil_socket_t fd, short what, void *arg);

/* session.c: one step of a quiet close. Shuts down sending when everything is acknowledged, and
 * ends the session at the deadline. */
void session_close_on(struct session *session, uint64_t now);
