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

struct bag_client {
        uint64_t slot, id;
        int fd;
};

struct bag_ops {
        /* The clients that are there, one after the other; *at is 0 at first. False: no more. */
        bool (*next)(void *context, uint64_t *at, struct bag_client *client);
};

enum { BAG_ENDS = 4 }; /* of the first pair, of the second */

struct bag {
        uint64_t *selected; /* in the image, borrowed: 0 or 1 */
        int end[BAG_ENDS];  /* owned; -1: there is none */
        uint64_t inside;    /* entries in the selected one */
        uint64_t there;     /* of these, clients that have not left */
        uint64_t messages;  /* in which they are */
        const struct bag_ops *ops;
        void *context;
        uint64_t missed; /* clients that found no room, some of which may have left */
};

/* Two empty pairs. Returns 0 or a negative errno. */
int bag_init(struct bag *bag, uint64_t *selected, const struct bag_ops *ops, void *context);

/* The pairs of a predecessor; the descriptors are taken. */
void bag_recover(struct bag *bag, uint64_t *selected, const int end[BAG_ENDS],
                 const struct bag_ops *ops, void *context);
void bag_done(struct bag *bag);

/* What is in the selected one, each entry once; its descriptor is the callee's. */
void bag_walk(struct bag *bag, void (*found)(void *context, const struct bag_client *client),
              void *context);

/* Nobody is in either of them any more. */
void bag_empty(struct bag *bag);

/* A client comes. False: it has no room, and a restart will lose it. */
bool bag_add(struct bag *bag, const struct bag_client *client);

/* One has left, and its descriptor is closed, but for the copy in here. */
void bag_forget(struct bag *bag);

/* Closes the copies of those who left. */
void bag_tidy(struct bag *bag);
