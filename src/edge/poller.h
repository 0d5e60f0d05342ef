/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Which of many descriptors are ready, in an epoll set of their own that is nested in the loop's. A
 * subject costs 8 bytes, where libevent takes 330 for one that is read from and written to; the
 * price is one more system call in a turn.
 *
 * It also tells when the other end is wholly gone, while nobody reads or writes: after a half-close
 * who wants to read would be told for ever, and who does not would hear of a full close no more.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include <event2/event.h>

struct poller;

enum { POLLER_READ = EPOLLIN, POLLER_WRITE = EPOLLOUT };

/* In the subject. */
struct polled {
        int fd; /* borrowed; -1: not in a poller */
        uint8_t wants;
        bool gone; /* it was told so */
};

struct poller_ops {
        void (*readable)(struct polled *polled);
        void (*writable)(struct polled *polled);
        /* Once for each: both directions are shut, or broken. What came before may be read still.
         */
        void (*gone)(struct polled *polled);
};

/* NULL without descriptors or memory. */
struct poller *poller_new(struct event_base *base, const struct poller_ops *ops);
void poller_free(struct poller *poller);

/* Returns 0 or a negative errno. */
int poller_add(struct poller *poller, struct polled *polled, int fd, unsigned wants);

/* From now on it wants this: 0, POLLER_READ, POLLER_WRITE, or both. */
void poller_want(struct poller *poller, struct polled *polled, unsigned wants);

/* Before the descriptor is closed. Its memory has to stay until the loop has come round, unless
 * this is called from outside of the loop. */
void poller_remove(struct poller *poller, struct polled *polled);
