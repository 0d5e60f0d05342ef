/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A plain model of flow/spread: which message of the peer is for which reader. The model calls a
 * reader a *listener*. A message is a number, and a listener has a list of *runs* of messages. The
 * model is plain data and can be copied. Each change that is final by itself takes one from the
 * `budget`: an operation without budget ends at a point where a crash may end the operation.
 */
#include <stdbool.h>
#include <stdint.h>

#include "flow/spread.h"

enum { LISTENERS = 16, RUNS = 1024 };

#define ENDLESS UINT32_MAX /* as the end of a run: all later messages, too */
#define NOBODY  UINT32_MAX

struct run {
        uint32_t from, to;
};

struct listener {
        enum reader_role role;
        uint32_t since;       /* of a listener that waits: the message at its join */
        uint64_t off;         /* bytes of the first message that were read */
        uint64_t offered;     /* bytes of the send that a crash cut short */
        struct count has;     /* in runs with an end; a message begun counts whole */
        struct count done;    /* read whole */
        uint64_t served;      /* number of the last deal to this listener */
        uint64_t round;       /* number of the last give-back that reached this listener */
        uint32_t at;          /* the run behind which its messages went */
        uint32_t n;           /* number of runs; the first is being read */
        struct run run[RUNS]; /* in the order of reading */
};

struct audience {
        uint64_t (*pos)(const void *context, uint32_t message); /* position of a message */
        const void *context;
        uint32_t end, given; /* messages in the log; messages given to listeners */
        bool balance, has_backlog;
        bool changing;       /* of the mode; listeners follow in any order */
        uint32_t dealt_from; /* the first message that was not for every listener */
        uint64_t backlog_size, queue_size;
        uint32_t admit; /* without a backlog, listeners that wait join from this message on */
        struct count done, dropped[DROP_REASONS]; /* done: of listeners that are gone */
        uint32_t going;                           /* the listener that is ending */
        uint32_t last; /* the listener that got the last message dealt or given back, or NOBODY */
        bool scant;    /* what comes goes where no extent is needed for it */
        uint64_t serves, rounds, budget;
        uint32_t place[LISTENERS], n; /* listeners in the order of admission */
        struct listener backlog, all[LISTENERS];
};

/* An empty audience. pos() returns the position at which a message begins, and gets context. */
void audience_init(struct audience *a, uint64_t (*pos)(const void *context, uint32_t message),
                   const void *context);

/* The following eight do what the functions of flow/spread do; i is the number of the listener. */

/* Sets the mode and the limits, and gives the messages and the backlog accordingly. */
void audience_configure(struct audience *a, bool balance, uint64_t backlog_size,
                        uint64_t queue_size);

/* After a crash, before listeners that it ends: completes what was under way. */
void audience_settle(struct audience *a, uint64_t backlog_size, uint64_t queue_size);

/* Gives the messages from `given` to `end` to members or the backlog, or drops the messages. */
void audience_taken(struct audience *a);

/* Listener i joins: to wait while there is a backlog, otherwise as a member. */
void audience_join(struct audience *a, uint32_t i);

/* Gives the backlog to listener i, which waits and has read `taken` bytes of the backlog. */
void audience_trust(struct audience *a, uint32_t i, uint64_t taken);

/* Listener i gets no further messages, and goes on with the messages that it has. */
void audience_leave(struct audience *a, uint32_t i);

/* Drops the oldest messages of listener i down to `limit` bytes. Returns the count dropped. */
struct count audience_shorten(struct audience *a, uint32_t i, uint64_t limit);

/* Ends listener i; its messages go to others, to the backlog, or are dropped. Returns the count
 * dropped. */
struct count audience_done(struct audience *a, uint32_t i, enum drop_reason reason);

/* After a crash: forgets the order of the deals. audience_settle() follows. */
void audience_recover(struct audience *a);

/* Opens l for all later messages (broadcast), or closes l (balance). */
void audience_follow(const struct audience *a, struct listener *l);

/* Returns the next message of listener i, with its bytes already read in *off; NOBODY: none. */
uint32_t audience_next(const struct audience *a, uint32_t i, uint64_t *off);

/* Listener i reads `bytes` more. */
void audience_advance(struct audience *a, uint32_t i, uint64_t bytes);

/* Returns the count of the messages of l; a message begun counts whole. */
struct count listener_queued(const struct audience *a, const struct listener *l);

/* Returns the bytes of these messages that are not read yet. */
uint64_t listener_waiting(const struct audience *a, const struct listener *l);

/* True if the cursor reads the runs of l, however its extents are cut. */
bool listener_is(const struct audience *a, const struct listener *l, const struct image *image,
                 const struct image_cursor *cursor);

/* Returns the next listener and at last the backlog, from *i = 0 on; NULL: no more. */
const struct listener *audience_each(const struct audience *a, uint32_t *i);

/* Returns the count of the messages read whole, by present and former listeners. */
struct count audience_delivered(const struct audience *a);

/* Returns the count of the messages of all listeners and the backlog. */
struct count audience_queued(const struct audience *a);
