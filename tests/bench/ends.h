/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The common code of the load programs: many connections that send or receive one message over and
 * over, and the clocks and the memory of the measured process.
 *
 * The ends are meant to be cheaper than any relay in between: a sender writes whole buffers of
 * messages prepared ahead, and a receiver compares only the first and the last bytes of each read.
 * A stream repeats one message, and therefore the bytes at a boundary give the exact number of
 * messages. All functions end the program after an error.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
        BUFFER = 256 * 1024, /* one read, or one write */
        LOOK = 16,           /* bytes compared at both ends of each read */
        SILENCE = 10,        /* seconds without a byte, after which missing bytes are lost */
};

/* One message, repeated as often as BUFFER has room, at least once. */
struct pattern {
        char *bytes; /* owned, LOOK more than `prepared` */
        size_t size; /* of the message */
        size_t prepared;
};

/* Connections. done[i] counts the bytes of fd[i] in the present phase. */
struct side {
        int *fd;
        uint64_t *done;
        unsigned char *aside; /* for each fd, bytes seen of an intermezzo; see side_receive() */
        const char *intermezzo;
        unsigned n;
        int epoll;
};

/* Credit for a sender with one connection, in memory of both processes; in bytes sent. */
struct flow {
        uint64_t window; /* 0: no limit, because the relay loses nothing */
        uint32_t news;   /* changes with every step; a futex */
        uint32_t waits;
        uint64_t taken;
};

/* Returns the monotonic clock. */
uint64_t now_ns(void);

/* Returns the CPU time of the process and all its descendants, in nanoseconds, after a pause of 30
 * ms in which the kernel books the time of running threads; 0 for pid 0. */
uint64_t cpu_settled_ns(pid_t pid);

/* Returns the CPU time booked by now, as cpu_settled_ns() without the pause. */
uint64_t cpu_now_ns(pid_t pid);

/* Returns the resident memory of the process and all its descendants, in KiB; 0 for pid 0. */
uint64_t rss_kib(pid_t pid);

/* Makes a message of a head, `body` bytes that equal no shift of themselves, and a tail, a text.
 * Freed with pattern_done(). */
void pattern_init(struct pattern *pattern, const void *head, size_t head_size, size_t body,
                  const char *tail);

/* Makes a frame of `size` bytes, including the length field of 4 bytes. */
void pattern_frame(struct pattern *pattern, size_t size);

/* Frees the bytes. */
void pattern_done(struct pattern *pattern);

/* Makes a side for n connections, with an epoll set, and without connections yet. */
void side_init(struct side *side, unsigned n);

/* Sets connection i to fd, which the side owns; a negative fd ends the program. */
void side_add(struct side *side, unsigned i, int fd);

/* Closes the connections and the epoll set. */
void side_close(struct side *side);

/* Makes a new epoll set, for the process that uses the side after a fork. */
void side_watch(struct side *side);

/* Returns a listener on a port of 127.0.0.1. */
int tcp_listen(uint16_t port);

/* Returns the next connection of a listener. The close() of the connection is a reset. */
int tcp_accept(int listener);

/* Returns a connection to a port of 127.0.0.1. The close() of the connection is a reset. */
int tcp_connect(uint16_t port);

/* Returns a connection to a Unix stream socket. */
int unix_connect(const char *path);

/* Sends one message. A lost connection ends the program without words. */
void send_message(int fd, const struct pattern *pattern);

/* Sends `each` bytes on every connection, as fast as the sockets take bytes. A side with one
 * connection keeps to the credit of flow, NULL: no limit. */
void side_send(struct side *side, const struct pattern *pattern, uint64_t each, struct flow *flow);

/*
 * Receives `total` bytes on all connections together. An *intermezzo* is a text between two
 * messages that the other end may send, too, and is not counted. Gives credit in flow, unless NULL:
 * sent_size bytes for each message that every connection received. Returns the bytes received;
 * fewer than `total` after SILENCE. A side with one connection and no flow waits without an end.
 */
uint64_t side_receive(struct side *side, const struct pattern *pattern, uint64_t total,
                      struct flow *flow, size_t sent_size);

/* Waits for the go of another process; the end of that process ends the program. */
void wait_for_go(int go);

/* Gives the go to the process in wait_for_go(). */
void give_go(int go);

/* Sorts the values. Returns the value in the middle. */
uint64_t median(uint64_t *values, size_t n);

/* Parses a number from min to max; another text ends the program. */

uint64_t number(const char *text, uint64_t min, uint64_t max);
