/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One connection of `ftcpctl peer`: bytes in and out, whole messages, and what sends by itself
 * (heartbeats, generated messages, the script). The loop in peer.c calls, in this order:
 * conn_events() and conn_wake() before it sleeps, conn_read() or conn_hangup() where there is
 * something, conn_write() and conn_run() always, and conn_done() where conn_over() says so.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/peer/peer.h"

/* Bytes of a stream that are still to be used. */
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
        uint64_t closing_until; /* then a close no longer waits for the other side's */
        bool input_ended;
        bool echo;
        struct conn_bytes in, out;
        bool torn; /* what was sent last may be no whole frame: no heartbeats */
        uint64_t heartbeat_usec, heartbeat_at;
        uint64_t received, generated, generate_since;
        /* The script's part that is played. */
        const struct script_step *steps;
        size_t n_steps, step;
        uint64_t repeated;   /* how often the step has been done */
        uint64_t wait_until; /* 0: the step has not begun to wait */
        uint64_t stalled_until;
        size_t piece;    /* of a split send, */
        size_t piece_at; /* and where it begins */
        bool turn_over;  /* the script goes on when others have had their turn */
};

/* Takes over fd, a non-blocking socket. Plays part number id - 1 of the script, if any. */
void conn_init(struct conn *conn, const struct peer_options *options, struct peer_result *result,
               int fd, unsigned id, const char *from);
void conn_done(struct conn *conn);

short conn_events(const struct conn *conn, uint64_t now);
uint64_t conn_wake(const struct conn *conn, uint64_t now);
void conn_read(struct conn *conn);
void conn_hangup(struct conn *conn);
void conn_run(struct conn *conn, uint64_t now);
void conn_write(struct conn *conn);
bool conn_over(const struct conn *conn, uint64_t now);

/* For the script: bytes behind what is to be sent; the next message, if there is a whole one; and
 * the two ends. */
void conn_send(struct conn *conn, const void *bytes, size_t size);
bool conn_next(struct conn *conn, const unsigned char **frame, size_t *size);
void conn_took(struct conn *conn, const unsigned char *frame, size_t size);
bool conn_is_heartbeat(const struct conn *conn, const unsigned char *frame, size_t size);
void conn_close(struct conn *conn, uint64_t now);
void conn_reset(struct conn *conn, const char *why);

/* play.c: goes on with the script as far as it can. When it waits for time, and whether it wants
 * the coming messages for itself. */
void play_run(struct conn *conn, uint64_t now);
uint64_t play_wake(const struct conn *conn);
bool play_wants_messages(const struct conn *conn);

/* The connection is over, and its part with it; but an `exit` with nothing but waits and the close
 * before it is played all the same. */
void play_over(struct conn *conn);
