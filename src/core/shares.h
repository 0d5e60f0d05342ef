/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The order in which users get a resource for one user at a time: of the waiting users, the user
 * with the least use so far goes next. A user that waits again after a rest has no credit for the
 * rest, so no user gets more than its part later. Amounts are of any unit, such as microseconds.
 *
 *     used     A ####|      B ######|   C #|         C goes next, then A, then B
 *     floor      ...^ of the user that went last: a new user starts there at least
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* One user. Begins as zeroes. */
struct share {
        TAILQ_ENTRY(share) link; /* in shares.waiting, while n_waiting > 0 */
        size_t n_waiting;        /* requests */
        uint64_t used;
};

TAILQ_HEAD(share_list, share);

struct shares {
        struct share_list waiting; /* in the order in which they last went, or came */
        uint64_t floor;            /* `used` of the share that went last, before its use */
};

void shares_init(struct shares *shares);

/* Notes one more request of a share, borrowed until the last request is withdrawn. */
void shares_wait(struct shares *shares, struct share *share);

/* Notes one request less: it is served, or withdrawn. */
void shares_withdraw(struct shares *shares, struct share *share);

/* Returns the share to serve next: the share with the least use; of several, the share that went
 * longest ago. NULL: no share waits. */
struct share *shares_next(const struct shares *shares);

/* Books an amount that a share used. The share may have stopped waiting. */
void shares_spend(struct shares *shares, struct share *share, uint64_t amount);
