/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The clients' descriptors, where a successor finds them: inside one of two pairs of sockets, whose
 * four ends the service manager keeps. It could keep each client itself, but its cost grows with
 * the square of their number: 10,000 stall it for half a minute.
 *
 * A client goes in before anything is read from it. It cannot be taken out singly: when half of
 * what is inside are clients that left, or too many messages have few, all who are there go into
 * the other bag, that one is selected by one store in the image, and the first is emptied.
 */
#include <stdbool.h>
#include <stdint.h>

struct fd_bag_client {
        uint64_t slot, id;
        int fd;
};

struct fd_bag_ops {
        /* The clients that are there, one after the other; *at is 0 at first. False: no more. */
        bool (*next)(void *context, uint64_t *at, struct fd_bag_client *client);
};

enum { FD_BAG_ENDS = 4 }; /* of the first pair, of the second */

struct fd_bag {
        uint64_t *selected;   /* in the image, borrowed: 0 or 1 */
        int end[FD_BAG_ENDS]; /* owned; -1: there is none */
        uint64_t inside;      /* entries in the selected one */
        uint64_t there;       /* of these, clients that have not left */
        uint64_t messages;    /* in which they are */
        const struct fd_bag_ops *ops;
        void *context;
        uint64_t missed; /* clients that found no room, some of which may have left */
};

/* Two empty pairs. Returns 0 or a negative errno. */
int fd_bag_init(struct fd_bag *fd_bag, uint64_t *selected, const struct fd_bag_ops *ops,
                void *context);

/* The pairs of a predecessor; the descriptors are taken. */
void fd_bag_recover(struct fd_bag *fd_bag, uint64_t *selected, const int end[FD_BAG_ENDS],
                    const struct fd_bag_ops *ops, void *context);
void fd_bag_done(struct fd_bag *fd_bag);

/* What is in the selected one, each entry once; its descriptor is the callee's. */
void fd_bag_walk(struct fd_bag *fd_bag,
                 void (*found)(void *context, const struct fd_bag_client *client), void *context);

/* Nobody is in either of them any more. */
void fd_bag_empty(struct fd_bag *fd_bag);

/* A client comes. False: it has no room, and a restart will lose it. */
bool fd_bag_add(struct fd_bag *fd_bag, const struct fd_bag_client *client);

/* One has left, and its descriptor is closed, but for the copy in here. */
void fd_bag_forget(struct fd_bag *fd_bag);

/* Closes the copies of those who left. */
void fd_bag_tidy(struct fd_bag *fd_bag);
