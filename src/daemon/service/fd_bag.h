/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The fd_bag keeps the clients' descriptors for a successor, inside two pairs of sockets, the bags.
 * The service manager keeps the four ends of the pairs. The service manager could keep each client
 * itself, but at a cost that grows with the square of the number: 10,000 clients stall systemd for
 * half a minute.
 *
 * A client goes in before ftcpd reads any byte of the client. A single client cannot be taken out.
 * When half of the entries are clients that left, or too many messages hold few entries each, all
 * present clients go into the other bag, one store in the image selects the other bag, and the
 * first bag is emptied.
 */
#include <stdbool.h>
#include <stdint.h>

struct fd_bag_client {
        uint64_t slot, id;
        int fd;
};

struct fd_bag_ops {
        /* Fills in the next client to keep; *at is 0 for the first client. Returns false after the
         * last client. */
        bool (*next)(void *context, uint64_t *at, struct fd_bag_client *client);
};

enum { FD_BAG_ENDS = 4 }; /* two of the first pair, two of the second */

struct fd_bag {
        uint64_t *selected;   /* in the image, borrowed: 0 or 1 */
        int end[FD_BAG_ENDS]; /* owned; -1: none */
        uint64_t inside;      /* entries in the selected bag */
        uint64_t there;       /* entries of clients that have not left */
        uint64_t messages;    /* messages that carry the entries */
        const struct fd_bag_ops *ops;
        void *context;
        uint64_t missed; /* clients without room, some of which may have left */
};

/* Makes two empty pairs. ops, selected and context are borrowed for life. Returns 0 or a negative
 * errno. */
int fd_bag_init(struct fd_bag *fd_bag, uint64_t *selected, const struct fd_bag_ops *ops,
                void *context);

/* Takes the pairs of a predecessor; end[] may have -1. ops is only for fd_bag_add(),
 * fd_bag_forget() and fd_bag_tidy(). */
void fd_bag_recover(struct fd_bag *fd_bag, uint64_t *selected, const int end[FD_BAG_ENDS],
                    const struct fd_bag_ops *ops, void *context);

/* Closes the ends. The copies that the service manager keeps live on. */
void fd_bag_done(struct fd_bag *fd_bag);

/* Calls found() for each entry of the selected bag, which stays as full as before. The callee owns
 * the descriptor of the entry. */
void fd_bag_walk(struct fd_bag *fd_bag,
                 void (*found)(void *context, const struct fd_bag_client *client), void *context);

/* Empties both bags. */
void fd_bag_empty(struct fd_bag *fd_bag);

/* Adds a copy of the client's descriptor. Returns false without room: a restart will lose the
 * client. Does nothing and returns true if no pairs were made. */
bool fd_bag_add(struct fd_bag *fd_bag, const struct fd_bag_client *client);

/* A client has left: one entry less is of use. The copy of the descriptor may stay for a while. */
void fd_bag_forget(struct fd_bag *fd_bag);

/* Closes the copies of clients that left. */
void fd_bag_tidy(struct fd_bag *fd_bag);
