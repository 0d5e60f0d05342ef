/* SPDX-License-Identifier: MIT */
#pragma once
/* The kernel's counters of a TCP connection, options of its socket, and ways to end a connection
 * with exact counters. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Sets the options that can be set only before the socket connects to this address. */
void tcp_connects(int fd, const struct sockaddr *to);

/* Sets the options of the link's socket. path_usec: how soon a dead path must show (0: no probes).
 */
void tcp_prepare(int fd, uint64_t path_usec);

/* True if this host has an address from which to reach `to`. No packet is sent. */
bool tcp_has_source(const struct sockaddr *to, socklen_t size);

/* True if the connection has not ended: an error of a send or a receive is then of that call, and
 * no word of the network. */
bool tcp_is_open(int fd);

/* Sets the options of a TCP client's socket: no delay, and keepalive probes, by which the kernel
 * ends the connection of a client whose host is gone. Leaves probes alone that are already on. */
void tcp_prepare_client(int fd);

struct tcp_state {
        uint64_t rtt_usec;
        uint64_t since_ack_usec; /* since the peer's kernel last acknowledged anything */
        uint64_t unsent;         /* bytes that were never transmitted */
        unsigned unanswered;     /* probes since the last acknowledgement */
        bool window_closed;      /* the peer's window is 0, or too small for what waits */
        bool sent_again;         /* the oldest segment was sent again, after a timeout */
};

/* Reads the state of a connection. False: the socket has none, *state is not set. */
bool tcp_look(int fd, struct tcp_state *state);

/* True if the connection stands and its path lives: the peer's kernel answered within `usec`, or
 * its window is closed and no probe is unanswered (they come ever more rarely). */
bool tcp_path_lives(int fd, uint64_t usec);

/* Returns how many of the `written` bytes the peer's kernel has acknowledged; 0 if unknown. Takes
 * one ioctl(). */
uint64_t tcp_acked(int fd, uint64_t written);

/* True if received bytes wait to be read. */
bool tcp_has_input(int fd);

/* The books of a connection, as TCP offsets. */
struct tcp_books {
        uint64_t acked, transmitted;
};

/* Returns the books of the moment after `written` bytes. The kernel of a live connection goes on
 * transmitting, so `transmitted` is a lower bound. */
struct tcp_books tcp_books(int fd, uint64_t written);

/*
 * Returns the books by which a connection ends after `written` bytes. Only the kernel of a
 * connection in CLOSE transmits nothing more. Of any other, all bytes handed over count as
 * transmitted: no socket option stops the kernel from transmitting before a FIN or a reset
 * (measured between two hosts with a socket filter that drops all that arrives: bytes went after
 * the reading in 8 of 300 ends).
 */
struct tcp_books tcp_last_books(int fd, uint64_t written);

/* The kernel's counters of the bytes read, written and acknowledged, as TCP offsets. */
struct tcp_totals {
        uint64_t read, written, acked;
        bool closing; /* the near end is shut down */
        int error; /* of a lost connection; was taken from the socket, which tells an error once */
};

/* Reads the counters of a predecessor's connection, after a crash. read and written: lower bounds,
 * known from the image. False: the socket has no counters. */
bool tcp_total(int fd, uint64_t read, uint64_t written, struct tcp_totals *totals);

/* Takes the error of a connection from the socket. True if the kernel gave the connection up
 * because nothing came back from the peer's host. */
bool tcp_gave_up(int fd);

/* Removes a socket filter: up to 1.0, ftcpd attached one to a connection before a reset, and may
 * have crashed between the two. For a connection that is recovered. */
void tcp_listen_again(int fd);

/* Closes the socket with a reset: no half-open connection stays at the peer. */
void tcp_reset(int fd);
