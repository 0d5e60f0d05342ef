/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The books of one direction: accepted = delivered + dropped (by reason) + queued, in messages and
 * in bytes of whole frames. The same words stand in the control interface.
 */
#include <stdbool.h>
#include <stdint.h>

struct count {
        uint64_t messages;
        uint64_t bytes;
};

enum drop_reason {
        DROP_QUEUE_FULL,
        DROP_HOLD_FULL,
        DROP_EXPIRED,
        DROP_LINK_DOWN,
        DROP_NOT_RESENT,
        DROP_NO_CLIENT,
        DROP_CLIENT_GONE,
        DROP_STOPPED,
        DROP_REASONS,
};

/* A snapshot, computed when it is asked for. */
struct books {
        struct count accepted;
        struct count delivered;
        struct count queued;
        struct count dropped[DROP_REASONS];
        uint64_t fullest_bytes;  /* of the fullest single queue */
        uint64_t limit_bytes;    /* and its limit */
        bool fullest_is_backlog; /* it is what is held, no client's */
        uint64_t oldest_usec;    /* age of the oldest queued message; BOOKS_NONE where nothing is
                                    queued */
};

#define BOOKS_NONE UINT64_MAX

/* The word of the control interface, "queue_full" ... */
const char *drop_reason_name(enum drop_reason reason);

struct count count_add(struct count a, struct count b);
struct count count_sub(struct count a, struct count b);

/* Does accepted = delivered + dropped + queued hold? */
bool books_balance(const struct books *books);
