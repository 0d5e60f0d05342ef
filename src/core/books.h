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

/* A snapshot, computed on request. */
struct books {
        struct count accepted;
        struct count delivered;
        struct count queued;
        struct count dropped[DROP_REASONS];
        uint64_t fullest_bytes;  /* of the fullest queue in proportion to the limit */
        uint64_t limit_bytes;    /* limit of the same queue */
        bool fullest_is_backlog; /* the fullest queue is the backlog, not a client's */
        uint64_t oldest_usec;    /* age of the oldest queued message; BOOKS_NONE: nothing queued */
};

#define BOOKS_NONE UINT64_MAX

/* Returns the word of the control interface, such as "queue_full". */
const char *drop_reason_name(enum drop_reason reason);

/* Returns the sum, by member. */
struct count count_add(struct count a, struct count b);

/* Returns the difference, by member; 0 where b is larger, so that no count wraps. */
struct count count_sub(struct count a, struct count b);

/* True if accepted = delivered + dropped + queued. For tests. */
bool books_balance(const struct books *books);
