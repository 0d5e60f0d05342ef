/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One connection of `ftcpctl peer`: bytes in and out, whole messages, and the senders of its own
 * (heartbeats, generated messages, the script). Each pass of the loop calls, in this order:
 * conn_wake() and conn_events() before the sleep, conn_read() for input or conn_hangup() for an
 * error, conn_write() when the socket has room, conn_run() always, and conn_done() once
 * conn_over() is true. Every `now` is clock_usec().
 */
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/peer/peer.h"

/* A buffer; the bytes from `at` to `size` are still to be used. */
struct conn_bytes {
        unsigned char *data;
        size_t at, size, room;
};

enum conn_state { CONN_OPEN, CONN_CLOSING, CONN_OVER };

struct conn {
        const struct peer_options *options;
        struct peer_result *result;
        int fd;
        unsigned id;
        enum conn_state state;
        uint64_t closing_until; /* deadline of the wait for the other side's close */
        bool input_ended;
        bool echo;
        struct conn_bytes in, out;
        bool torn; /* the last bytes sent may be no whole frame: no heartbeats */
        uint64_t heartbeat_usec, heartbeat_at;
        uint64_t received, generated, generate_since;
        /* The part of the script. */
        const struct script_step *steps;
        size_t n_steps, step;
        uint64_t repeated;   /* how often the step has been done */
        uint64_t wait_until; /* 0: the step has not begun to wait */
        uint64_t stalled_until;
        size_t piece;    /* number of the piece of a split send */
        size_t piece_at; /* its offset in the step's data */
        bool pass_over;  /* the script goes on in the next pass */
};

/* Takes fd, a non-blocking socket, and borrows options and result. Connection number id, from 1 on,
 * plays part id - 1 of the script, or the last part after all others. `from` is the address of the
 * other side, for people. */
void conn_init(struct conn *conn, const struct peer_options *options, struct peer_result *result,
               int fd, unsigned id, const char *from);

/* Ends the connection and its part of the script, closes fd and frees the buffers. */
void conn_done(struct conn *conn);

/* Returns the events of poll() to wait for. */
short conn_events(const struct conn *conn, uint64_t now);

/* Returns the time of the next conn_run() without an event; UINT64_MAX: none is needed. */
uint64_t conn_wake(const struct conn *conn, uint64_t now);

/* Reads once. Drops the bytes of a connection that is closing. */
void conn_read(struct conn *conn);

/* Reads once after POLLERR or POLLHUP; if the input has ended already, ends the connection. */
void conn_hangup(struct conn *conn);

/* Plays the script, takes messages, generates, sends a heartbeat, and writes: all that is due. */
void conn_run(struct conn *conn, uint64_t now);

/* Writes the output until the socket is full. An error ends the connection. */
void conn_write(struct conn *conn);

/* True if the connection has ended, or its close has waited long enough. */
bool conn_over(const struct conn *conn, uint64_t now);

/* Appends bytes to the output. Resets the connection without memory. */
void conn_send(struct conn *conn, const void *bytes, size_t size);

/* Finds the first whole frame of the input. *frame points into the input until conn_took() or the
 * next read. Returns false if no frame is whole; resets the connection if the bytes begin no
 * frame. */
bool conn_next(struct conn *conn, const unsigned char **frame, size_t *size);

/* Takes the frame of conn_next() from the input. Counts and shows the message, unless the frame is
 * a heartbeat, and echoes the frame. */
void conn_took(struct conn *conn, const unsigned char *frame, size_t size);

/* True if the message of the frame is empty, or the message of --heartbeat-message=. */
bool conn_is_heartbeat(const struct conn *conn, const unsigned char *frame, size_t size);

/* Ends the sending, and waits up to a second for the other side's end: close() with unread bytes
 * would be a reset. */
void conn_close(struct conn *conn, uint64_t now);

/* Ends the connection and prints `why`. The close() in conn_done() then is a reset. */
void conn_reset(struct conn *conn, const char *why);

/* Plays steps until a step has to wait, the connection ends, or the pass has had enough steps. */
void play_run(struct conn *conn, uint64_t now);

/* Returns the time at which the script goes on; 0: in the next pass, UINT64_MAX: after an event. */
uint64_t play_wake(const struct conn *conn);

/* True if the next messages are for the `expect` steps of the script. */
bool play_wants_messages(const struct conn *conn);

/* Ends the part of a connection that is over. An `exit` behind nothing but `wait`, `close` and
 * `reset` is played all the same. */
void play_end(struct conn *conn);
