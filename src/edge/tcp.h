/* SPDX-License-Identifier: MIT */
#pragma once
/* What Linux knows about a TCP connection, and how to end one so that this knowledge is exact. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Before it connects to this address: what only then can be set. */
void tcp_connects(int fd, const struct sockaddr *to);

/* Options of the link's socket. path_usec: how soon a dead path must show (0: no probes). */
void tcp_prepare(int fd, uint64_t path_usec);

struct tcp_state {
        uint64_t rtt_usec;
        uint64_t since_ack_usec; /* since the peer's kernel last acknowledged anything */
        bool window_closed;      /* the peer takes nothing now */
};

bool tcp_look(int fd, struct tcp_state *state);

/* How many of the bytes written the peer's kernel has acknowledged. One ioctl. */
uint64_t tcp_acked(int fd, uint64_t written);

/* The books of a connection that ends, as offsets. After tcp_silence() they do not move any more.
 */
struct tcp_books {
        uint64_t acked, transmitted;
};
struct tcp_books tcp_books(int fd, uint64_t written);

/* What the kernel says was read and written, as offsets. closing: we have said the end. */
struct tcp_totals {
        uint64_t read, written, acked;
        bool closing;
        int error; /* why it is lost: it was taken from the socket, which will not tell again */
};

/* After a crash: read and written are what is known for sure. False: this is no TCP connection. */
bool tcp_total(int fd, uint64_t read, uint64_t written, struct tcp_totals *totals);

/*
 * From here on nothing is received, no acknowledgement either: on a live connection the peer would
 * otherwise go on taking bytes between the reading of the books and the reset (measured: in 353 of
 * 3000 resets).
 */
void tcp_silence(int fd);

/* The other way round, for one that goes on. */
void tcp_listen_again(int fd);

/* Closes with a reset, so that a peer that comes back finds no ghost. */
void tcp_reset(int fd);
