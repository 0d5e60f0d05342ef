/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Readiness of many descriptors, in an epoll set nested in the event loop's. A subject costs 8
 * bytes, where libevent takes 330 for a descriptor that is read and written; the price is one more
 * system call in a pass.
 *
 * The poller also tells that the other end of a subject is wholly gone while the subject wants
 * neither reading nor writing. With libevent, after a half-close a subject that wants to read is
 * told in every pass, and a subject that does not is never told of the full close.
 *
 * One pass tells as many subjects as some milliseconds allow, and the next pass goes on behind
 * them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include <event2/event.h>

struct poller;

enum { POLLER_READ = EPOLLIN, POLLER_WRITE = EPOLLOUT };

/* Part of the subject. */
struct polled {
        int fd; /* borrowed; -1: not in a poller */
        uint8_t wants;
        bool gone; /* gone() was called */
};

struct poller_ops {
        void (*readable)(struct polled *polled);
        void (*writable)(struct polled *polled);
        /* Called once for a subject: both directions are shut, or the connection is broken. Bytes
         * that came before may still be readable. */
        void (*gone)(struct polled *polled);
};

/* Returns NULL without descriptors or memory. base and ops are borrowed. */
struct poller *poller_new(struct event_base *base, const struct poller_ops *ops);

/* Frees the poller; the descriptors stay open. May be NULL. */
void poller_free(struct poller *poller);

/* Adds a subject with its descriptor; wants as in poller_want(). Returns 0 or a negative errno. */
int poller_add(struct poller *poller, struct polled *polled, int fd, unsigned wants);

/* Sets the wanted events of a subject: 0, POLLER_READ, POLLER_WRITE, or both. */
void poller_want(struct poller *poller, struct polled *polled, unsigned wants);

/* Removes a subject, which is told no more; to be called before the descriptor is closed. Within
 * the event loop, the subject's memory must stay until the end of the pass. */
void poller_remove(struct poller *poller, struct polled *polled);
