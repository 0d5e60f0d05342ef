/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The users behind the clients, by name: a Unix user, or the address of TCP clients. Of each user
 * the clients that are connected, what they hold together, and the credits of SlowClientGrace= that
 * outlive a connection. No user takes the service from the others by connecting again and again, or
 * many times. Time comes in as an argument, in microseconds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/credit.h"

enum {
        USERS_NAME = 56,    /* room for a name, with NUL */
        USERS_PROGRAM = 16, /* room for the name of a program, with NUL */
        USERS_DEBTS = 8,    /* programs of a user that were too slow of late */
        USERS_BUCKETS = 256,
};

/* The use of SlowClientGrace= by clients of a program that were ended as too slow; the rest is for
 * later clients of the program. */
struct user_debt {
        char program[USERS_PROGRAM];
        bool owed; /* false: a free place */
        struct credit credit;
};

struct user {
        LIST_ENTRY(user) bucket;
        char name[USERS_NAME];
        unsigned clients;
        uint64_t partial_bytes;       /* of the unfinished messages of all its clients */
        uint64_t queued_bytes, round; /* accepted from them in this round of the queue */
        struct credit young;          /* of all its clients that are young, together */
        struct user_debt debt[USERS_DEBTS];
};

struct users {
        LIST_HEAD(user_bucket, user) bucket[USERS_BUCKETS];
        size_t n, idle;     /* users with clients; users without, who owe */
        uint64_t round;     /* of the queue to the upstream */
        struct user *major; /* a user with more than `most` clients, or NULL */
        unsigned most;
};

/* Begins as zeroes; users_done() frees all users. */
void users_done(struct users *users);

/* A user with more than `most` clients is the major one; no more than one user may have as many. */
void users_set_most(struct users *users, unsigned most);

/* Adds a client to the user of a name, cut to USERS_NAME, until users_leave(). Returns the user, or
 * NULL without memory. */
struct user *users_join(struct users *users, const char *name);

/* A client of the user is gone. Frees the user with the last one, unless it owes: all credits are
 * at most `grace`. */
void users_leave(struct users *users, struct user *user, uint64_t grace, uint64_t now);

/* Returns the credit that new clients of a program share, or NULL if the program owes nothing. */
struct credit *user_debt(struct user *user, const char *program, uint64_t grace, uint64_t now);

/* Books the use, in microseconds, by a client of a program that was ended as too slow. */
void user_owe(struct user *user, const char *program, uint64_t used, uint64_t grace, uint64_t now);

/* A round lasts while the queue to the upstream is long. users_round_end() sets the count of each
 * user to 0; user_queued() adds `more` bytes to the count of a user, and returns the count. */
void users_round_end(struct users *users);
uint64_t user_queued(const struct users *users, struct user *user, uint64_t more);

/* Returns the user with the most partial_bytes; NULL: none has any. */
struct user *users_largest_partial(const struct users *users);
