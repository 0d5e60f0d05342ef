/* SPDX-License-Identifier: MIT */
#pragma once
/* The link's own memory, for link.c (dialling, its session, time), link_steer.c (what it is told to
 * do) and link_tell.c (what the log is told of it). */
#include "config/wire_messages.h"
#include "core/backoff.h"
#include "core/failure_log.h"
#include "edge/dial.h"
#include "edge/link.h"

enum { LOSSES = 64 };

struct link {
        struct event_base *base; /* borrowed, as all pointers but those marked */
        const struct config *config;
        struct wire_messages *wire_messages; /* owned */
        struct log *in;
        struct ledger *ledger;
        const struct link_ops *ops;
        void *context;
        struct dial *dial;            /* owned */
        struct session *session;      /* owned */
        struct session *gone;         /* owned; freed from the loop */
        struct event *timer, *reaper; /* owned */
        struct backoff backoff;
        enum link_state state;
        uint64_t since, next_attempt;
        uint64_t down_since; /* or 0; while it is up, from when it counts as down if this fails */
        char address[280], peer[80];
        enum link_cause last_cause;
        char last_error[420];
        uint64_t last_error_at;
        uint64_t losses[LOSSES]; /* when, the newest at n_losses - 1 modulo LOSSES */
        uint64_t n_losses;
        struct failure_log failure_log;
        bool quiet;   /* the last loss was not news, so what follows is not told either */
        bool told_up; /* the last that was told is that it is up */
        bool paused, hurry, stopping, redial;
        bool started;  /* it dials, or would if it were not held */
        bool held;     /* by an operator: the connection ends, and none is made */
        bool draining; /* what is queued still goes, and the connection stays */
        char held_text[420];
        uint64_t held_since;
        uint64_t drained_by;
};

/* What a session of this link is made from; fd as in struct session_setup. */
struct session_setup link_session_setup(struct link *link, int fd);

/* The link counts as down since then, clock_usec(); 0: it does not. */
void link_set_down(struct link *link, uint64_t since);

/* The one place where the state changes. */
void link_set_state(struct link *link, enum link_state state, enum link_cause cause,
                    const char *text);

/* Begins with the first of the addresses that are to be tried now. */
void link_start_round(struct link *link);

/* No connection is left, and none is made. */
void link_enter_held(struct link *link);

/* Somebody wanted it so: no fault of the link's. */
bool link_is_chosen(enum link_cause cause);

/* Returns whether it was news. What is none is told, too, where the log would go on saying that the
 * link is up. */
bool link_tell_failure(struct link *link, enum link_cause cause, const char *text);

/* The connection ended, and what becomes of what was under way. */
void link_tell_loss(struct link *link, enum link_cause cause, const char *text,
                    const struct ledger_end *fate);

/* What was not told is summed up when it is over. */
void link_tell_stable(struct link *link);

/* The connection in words. */
void link_describe(const struct link *link, char *text, size_t size);
