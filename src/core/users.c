/* SPDX-License-Identifier: MIT */
#include "core/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IDLE = 1024 }; /* users kept who have no client, for what they owe */

static struct user_bucket *bucket_of(struct users *users, const char *name)
{
        uint32_t hash = 2166136261u;

        for (; *name; name++)
                hash = (hash ^ (unsigned char)*name) * 16777619u;
        return &users->bucket[hash % USERS_BUCKETS];
}

static bool owes(const struct user *user, uint64_t grace, uint64_t now)
{
        bool any = credit_left(&user->young, grace, now) < grace;

        for (int i = 0; i < USERS_DEBTS; i++)
                any = any || (user->debt[i].owed &&
                              credit_left(&user->debt[i].credit, grace, now) < grace);
        return any;
}

static void drop(struct user *user)
{
        LIST_REMOVE(user, bucket);
        free(user);
}

/* Frees the users without clients who owe nothing any more; `all`: those who owe, too. */
static void sweep(struct users *users, bool all, uint64_t grace, uint64_t now)
{
        for (int i = 0; i < USERS_BUCKETS; i++) {
                struct user *user, *next;

                for (user = LIST_FIRST(&users->bucket[i]); user; user = next) {
                        next = LIST_NEXT(user, bucket);
                        if (user->clients || (!all && owes(user, grace, now)))
                                continue;
                        users->idle--;
                        drop(user);
                }
        }
}

void users_done(struct users *users)
{
        sweep(users, true, 0, 0);
}

void users_set_most(struct users *users, unsigned most)
{
        users->most = most;
        users->major = NULL;
        for (int i = 0; i < USERS_BUCKETS; i++) {
                struct user *user;

                LIST_FOREACH(user, &users->bucket[i], bucket)
                if (user->clients > most)
                        users->major = user;
        }
}

static struct user *find(struct users *users, const char *name)
{
        struct user *user;

        LIST_FOREACH(user, bucket_of(users, name), bucket)
        if (strcmp(user->name, name) == 0)
                return user;
        return NULL;
}

struct user *users_join(struct users *users, const char *name)
{
        char cut[USERS_NAME];
        struct user *user;

        snprintf(cut, sizeof(cut), "%s", name);
        user = find(users, cut);
        if (!user) {
                user = calloc(1, sizeof(*user));
                if (!user)
                        return NULL;
                memcpy(user->name, cut, sizeof(cut));
                user->young.left = UINT64_MAX;
                LIST_INSERT_HEAD(bucket_of(users, cut), user, bucket);
                users->idle++;
        }
        if (user->clients++ == 0) {
                users->idle--;
                users->n++;
        }
        if (user->clients > users->most)
                users->major = user;
        return user;
}

void users_leave(struct users *users, struct user *user, uint64_t grace, uint64_t now)
{
        if (users->major == user && user->clients - 1 <= users->most)
                users->major = NULL;
        if (--user->clients)
                return;
        users->n--;
        users->idle++;
        if (!owes(user, grace, now)) {
                users->idle--;
                drop(user);
        } else if (users->idle > IDLE) {
                sweep(users, false, grace, now);
                if (users->idle > IDLE)
                        sweep(users, true, grace, now);
        }
}

struct credit *user_debt(struct user *user, const char *program, uint64_t grace, uint64_t now)
{
        for (int i = 0; i < USERS_DEBTS; i++) {
                struct user_debt *debt = &user->debt[i];

                if (!debt->owed || strcmp(debt->program, program) != 0)
                        continue;
                if (debt->credit.users || credit_left(&debt->credit, grace, now) < grace)
                        return &debt->credit;
                debt->owed = false;
                return NULL;
        }
        return NULL;
}

/* Returns a free place; else that with the most left, which is the least loss; NULL: all are used.
 */
static struct user_debt *place(struct user *user, uint64_t grace, uint64_t now)
{
        struct user_debt *best = NULL;

        for (int i = 0; i < USERS_DEBTS; i++) {
                struct user_debt *debt = &user->debt[i];

                if (!debt->owed)
                        return debt;
                if (!debt->credit.users &&
                    (!best || credit_left(&debt->credit, grace, now) >
                                      credit_left(&best->credit, grace, now)))
                        best = debt;
        }
        return best;
}

void user_owe(struct user *user, const char *program, uint64_t used, uint64_t grace, uint64_t now)
{
        struct credit *credit = user_debt(user, program, grace, now);
        struct user_debt *debt;

        if (!credit) {
                debt = place(user, grace, now);
                if (!debt)
                        return;
                *debt = (struct user_debt){.owed = true, .credit = {.left = grace, .at = now}};
                snprintf(debt->program, sizeof(debt->program), "%s", program);
                credit = &debt->credit;
        }
        credit_charge(credit, grace, used, now);
}

void users_round_end(struct users *users)
{
        users->round++;
}

uint64_t user_queued(const struct users *users, struct user *user, uint64_t more)
{
        if (user->round != users->round)
                user->queued_bytes = 0;
        user->round = users->round;
        user->queued_bytes += more;
        return user->queued_bytes;
}

struct user *users_largest_partial(const struct users *users)
{
        struct user *most = NULL, *user;

        for (int i = 0; i < USERS_BUCKETS; i++) {
                LIST_FOREACH(user, &users->bucket[i], bucket)
                if (user->partial_bytes > (most ? most->partial_bytes : 0))
                        most = user;
        }
        return most;
}
