/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The one link to the upstream: dials for ever, has at most one session, and reports the fate of
 * each. link_set_state() alone changes the state; every change has a cause and a text.
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
        /* Messages were committed to the in log. */
        void (*received)(void *context, const struct log_taken *taken);
        /* A connection was made: the callee keeps a copy of fd for a successor under this epoch
         * before the session begins. */
        void (*keep)(void *context, uint64_t epoch, int fd);
        /* The connection of this epoch has ended. */
        void (*forget)(void *context, uint64_t epoch);
        /* link_stop() or link_drain() is done. */
        void (*stopped)(void *context);
};

struct link;

/* Makes a link that waits for link_start() or link_recover(). All arguments are borrowed. Returns
 * NULL without memory. */
struct link *link_new(struct event_base *base, const struct config *config, struct log *in,
                      struct ledger *ledger, const struct link_ops *ops, void *context);

/* Frees the link with its session. May be NULL. */
void link_free(struct link *link);

/* Begins to dial, unless the link is held. */
void link_start(struct link *link);

/* In place of link_start(), if the ledger has a predecessor's connection: recovers the connection
 * if it was up, otherwise ends the connection and dials. fd is the link's from here on; -1: lost.
 * The caller then calls link_reconcile(), once received() may be called. */
void link_recover(struct link *link, int fd);

/* Lets the connection linger that the image names: no other lingers. Before link_start() or
 * link_recover(), if a predecessor's connection lingers. fd is the link's from here on; -1: lost.
 */
void link_linger(struct link *link, int fd);

/* Reconciles the recovered connection, if any, and may call received(). Closes the connection if
 * the link is held, if the connection was made from another configuration, or if the predecessor
 * was closing it. */
void link_reconcile(struct link *link);

/* Replaces the configuration by another with the same frame, borrowed. The link is redialled if a
 * key of the connection changed. Returns 0, or -ENOMEM and keeps the old configuration. */
int link_configure(struct link *link, const struct config *config);

/*
 * Three orders of an operator; text says who, and why. link_reconnect() and link_hold() close a
 * connection quietly, within StopTimeout=, and stop a dial under way.
 *
 * Dials anew at once, whatever delay is due. No effect on a link that is held.
 */
void link_reconnect(struct link *link, const char *text);

/* Holds the link: no connection is made until link_release(). May be repeated with another text,
 * and may come before link_start() or link_recover(). since: clock_usec(). */
void link_hold(struct link *link, const char *text, uint64_t since);

/* Ends the hold and dials at once. */
void link_release(struct link *link, const char *text);

/* Stops the link: writes the queued messages until the deadline (clock_usec()), closes quietly and
 * calls stopped(). A held link only finishes a half-written message. A connection that lingers is
 * waited for, until the deadline, too. */
void link_stop(struct link *link, uint64_t deadline);

/* Waits until the peer has acknowledged the out log, at most until the deadline (clock_usec()), and
 * calls stopped(). The connection stays open for a successor. */
void link_drain(struct link *link, uint64_t deadline);

/* As session_write(), if there is a session. */
void link_write(struct link *link);

/* As session_write_early(), if there is a session. */
void link_write_early(struct link *link);

/* True if the kernel's send queue is full. */
bool link_is_blocked(const struct link *link);

/* As session_pause(); a later session is paused, too. */
void link_pause(struct link *link, bool pause);

/* As session_throttle(), if there is a session. */
void link_throttle(struct link *link, bool throttle);

/* As session_hurry(); a later session hurries, too. */
void link_hurry(struct link *link, bool hurry);

/* As session_poll_acks(), if there is a session. */
void link_poll_acks(struct link *link);

/* The link as status shows it; strings are borrowed from the link. */
struct link_view {
        enum link_state state;
        uint64_t state_since;       /* clock_usec() */
        uint64_t down_since;        /* when the link was last up, made or released; 0: up */
        const char *address, *peer; /* peer NULL: no connection */
        enum link_cause last_cause;
        const char *last_error; /* NULL: none yet */
        uint64_t last_error_at;
        uint64_t next_attempt_at; /* when the next round begins; 0: no round is due */
        unsigned recent_losses;   /* in the last 10 minutes */
        bool connected;
        struct session_view session; /* valid if connected */
};

/* Returns the present view of the link. */
struct link_view link_look(const struct link *link);
