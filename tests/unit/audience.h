/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A plain model of core/spread: which message of the peer is for whom. Messages are numbers, what a
 * listener has is a list of runs of them. It is plain data, so that it can be copied, and each
 * change that is final by itself costs one of its `budget`: with none left an operation ends where
 * a crash may end it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "flow/spread.h"

enum { LISTENERS = 16, RUNS = 1024 };

#define ENDLESS UINT32_MAX /* as the end of a run: whatever comes */
#define NOBODY  UINT32_MAX

struct run {
        uint32_t from, to;
};

struct listener {
        enum reader_role role;
        uint32_t since;       /* who waits: it came at this message */
        uint64_t off;         /* bytes of the first message that it has */
        uint64_t offered;     /* the send that a crash cut short was of so many bytes */
        struct count has;     /* in runs that end; what is begun counts whole */
        struct count done;    /* read whole */
        uint64_t served;      /* by number, when it was dealt something */
        uint64_t round;       /* in which it was given what another one left: */
        uint32_t at;          /* behind this run */
        uint32_t n;           /* runs; the first one is being read */
        struct run run[RUNS]; /* in the order in which they are read */
};

struct audience {
        uint64_t (*pos)(const void *context, uint32_t message); /* where it begins */
        const void *context;
        uint32_t end, given; /* messages that there are, and that were given to somebody */
        bool balance, has_backlog;
        bool changing;       /* the mode has changed; readers follow it in any order */
        uint32_t dealt_from; /* the first message that was not for all */
        uint64_t backlog_size, queue_size;
        uint32_t admit; /* who still waits while nothing is held gets what came from here on */
        struct count done, dropped[DROP_REASONS]; /* done: of those that are gone */
        uint32_t going;                           /* reads nothing from now on */
        uint64_t serves, rounds, budget;
        uint32_t place[LISTENERS], n; /* who waits is let in in this order */
        struct listener backlog, all[LISTENERS];
};

void audience_init(struct audience *a, uint64_t (*pos)(const void *context, uint32_t message),
                   const void *context);

/* The same as the functions of core/spread, by the number of the reader. */
void audience_configure(struct audience *a, bool balance, uint64_t backlog_size,
                        uint64_t queue_size);
void audience_taken(struct audience *a);
void audience_join(struct audience *a, uint32_t i);
void audience_trust(struct audience *a, uint32_t i, uint64_t taken);
void audience_leave(struct audience *a, uint32_t i);
struct count audience_shorten(struct audience *a, uint32_t i, uint64_t limit);
struct count audience_done(struct audience *a, uint32_t i, enum drop_reason reason);

/* After a crash: whose turn it was is forgotten. audience_configure() goes on. */
void audience_recover(struct audience *a);

/* It reads as the mode says. */
void audience_follow(const struct audience *a, struct listener *l);

/* The message that it must get next, and *off bytes of it that it has; NOBODY: none. */
uint32_t audience_next(const struct audience *a, uint32_t i, uint64_t *off);

/* It got so many bytes more. */
void audience_advance(struct audience *a, uint32_t i, uint64_t bytes);

/* Messages that wait, with those begun; and how many bytes of them. */
struct count listener_queued(const struct audience *a, const struct listener *l);
uint64_t listener_waiting(const struct audience *a, const struct listener *l);

/* Does this cursor read what the model says, wherever its ranges are cut? */
bool listener_is(const struct audience *a, const struct listener *l, const struct image *image,
                 const struct image_cursor *cursor);

/* Everybody who reads, or what is held, one after the other from *i = 0 on; NULL: no more. */
const struct listener *audience_each(const struct audience *a, uint32_t *i);

/* Of all: what was read whole, and what waits. */
struct count audience_delivered(const struct audience *a);
struct count audience_queued(const struct audience *a);
