/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What the load programs share: many connections that send or receive one message over and over,
 * and the clocks and the memory of the process that is measured.
 *
 * The ends are meant to be cheaper than anything between them: whole buffers of messages prepared
 * ahead, and reads that look only at the first and the last bytes of what they got. As a stream is
 * one message again and again, its bytes at a boundary count its messages exactly. All of these
 * functions end the program where something goes wrong.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
        BUFFER = 256 * 1024, /* one read, or one write */
        LOOK = 16,           /* bytes compared at both ends of each read */
        SILENCE = 10,        /* seconds without a byte, after which what is missing won't come */
};

/* One message, repeated: as many as fit into BUFFER, at least one. */
struct pattern {
        char *bytes; /* LOOK more than `prepared` */
        size_t size; /* of the message */
        size_t prepared;
};

/* Connections. done[i] counts the bytes of fd[i] in the phase that runs. */
struct side {
        int *fd;
        uint64_t *done;
        unsigned char *aside; /* bytes of an intermezzo that were seen; see side_receive() */
        const char *intermezzo;
        unsigned n;
        int epoll;
};

/* Credit for the sender, in memory that both processes share; all in bytes that are sent. */
struct flow {
        uint64_t window; /* 0: whoever is in between sees to it that nothing is lost */
        uint32_t news;   /* changes with every step; a futex */
        uint32_t waits;
        uint64_t taken;
};

uint64_t now_ns(void);

/* CPU time of the process and all below it, in nanoseconds, when it has been booked, or as far as
 * it has been; 0: none. */
uint64_t cpu_settled_ns(pid_t pid);
uint64_t cpu_now_ns(pid_t pid);

/* Its resident memory and theirs, in KiB. */
uint64_t rss_kib(pid_t pid);

/* The message between a head and a tail that are text, around `body` bytes that no shift maps to
 * themselves. */
void pattern_init(struct pattern *pattern, const void *head, size_t head_size, size_t body,
                  const char *tail);
/* A frame of so many bytes, its length field among them. */
void pattern_frame(struct pattern *pattern, size_t size);
void pattern_done(struct pattern *pattern);

void side_init(struct side *side, unsigned n);
void side_add(struct side *side, unsigned i, int fd);
void side_close(struct side *side);

/* A new epoll set, for the process that uses this side after a fork. */
void side_watch(struct side *side);

int tcp_listen(uint16_t port);
int tcp_accept(int listener);
int tcp_connect(uint16_t port);
int unix_connect(const char *path);

/* Sends one; the other end may be gone by then, which ends the program too, quietly. */
void send_message(int fd, const struct pattern *pattern);

/* Sends `each` bytes on every connection, as fast as they are taken. */
void side_send(struct side *side, const struct pattern *pattern, uint64_t each, struct flow *flow);

/*
 * Receives `total` bytes on all connections together and nothing else, but for the intermezzo: text
 * that may come between two messages. Returns how many came: fewer if nothing comes any more.
 */
uint64_t side_receive(struct side *side, const struct pattern *pattern, uint64_t total,
                      struct flow *flow, size_t sent_size);

/* Two processes: one waits for the word to begin, the other one gives it. */
void wait_for_go(int go);
void give_go(int go);

/* Sorts, and returns the one in the middle. */
uint64_t median(uint64_t *values, size_t n);

uint64_t number(const char *text, uint64_t min, uint64_t max);
