/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The one link: dials for ever, holds at most one session, and says what became of each. One
 * function changes its state; every change has a cause and a text.
 */
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "config/config.h"
#include "core/state.h"
#include "edge/session.h"
#include "flow/ledger.h"
#include "store/log.h"

struct link_ops {
        /* The state has changed. cause is CAUSE_NONE where nothing was lost. */
        void (*state)(void *context, enum link_state state, enum link_cause cause,
                      const char *text);
        void (*received)(void *context, const struct log_taken *taken);
        /* A connection is made, and is to be kept for a successor under this number before anything
         * is done with it; and is no more. */
        void (*keep)(void *context, uint64_t epoch, int fd);
        void (*forget)(void *context, uint64_t epoch);
        /* The last session is gone for good after link_stop(). */
        void (*stopped)(void *context);
};

struct link;

/* NULL without memory. Everything is borrowed for life; nothing is dialled before link_start(). */
struct link *link_new(struct event_base *base, const struct config *config, struct log *in,
                      struct ledger *ledger, const struct link_ops *ops, void *context);
void link_free(struct link *link);

/* Begins to dial, unless it is held. */
void link_start(struct link *link);

/* Instead of that, where the ledger has a connection of a predecessor's: goes on with it if it was
 * up, else ends it and dials. fd is taken; -1: it is gone. link_reconcile() is to follow when
 * received() may be called; it closes a connection that is not to be gone on with. */
void link_recover(struct link *link, int fd);
void link_reconcile(struct link *link);

/* Another configuration with the same frame, borrowed instead of the old one. The link is redialled
 * if it was made from a key that differs. Returns 0, or -ENOMEM and keeps the old one. */
int link_configure(struct link *link, const struct config *config);

/*
 * What an operator wants; text says who, and why. A connection is closed quietly, within
 * StopTimeout=, and a dial under way is given up. link_reconnect() then dials at once, whatever
 * delay is due, but not a link that is held. A link that is held makes no connection until
 * link_release(), which dials at once; it may be held again, with another text, and before
 * link_start() or link_recover(). since is a clock_usec().
 */
void link_reconnect(struct link *link, const char *text);
void link_hold(struct link *link, const char *text, uint64_t since);
void link_release(struct link *link, const char *text);

/* Flushes what is queued until the deadline (clock_usec()), closes quietly and calls stopped(). */
void link_stop(struct link *link, uint64_t deadline);

/* The same, but the connection stays as it is. */
void link_drain(struct link *link, uint64_t deadline);

/* Hands to the kernel what it takes; early: only what fills whole writes, as more is expected at
 * once. */
void link_write(struct link *link);
void link_write_early(struct link *link);

/* Is the kernel's queue full? */
bool link_is_blocked(const struct link *link);

void link_pause(struct link *link, bool pause);
void link_throttle(struct link *link, bool throttle);
void link_hurry(struct link *link, bool hurry);
void link_poll_acks(struct link *link);

struct link_view {
        enum link_state state;
        uint64_t state_since;       /* clock_usec() */
        uint64_t down_since;        /* when it was last up, or made; 0 while it is up */
        const char *address, *peer; /* peer NULL: no connection */
        enum link_cause last_cause;
        const char *last_error; /* NULL: none yet */
        uint64_t last_error_at;
        uint64_t next_attempt_at; /* 0: none is waited for */
        unsigned recent_losses;   /* in the last 10 minutes */
        bool connected;
        struct session_view session; /* holds while connected */
};
struct link_view link_look(const struct link *link);
