/* SPDX-License-Identifier: MIT */
#pragma once
/* The link's memory and the functions that link.c (dialling, the session, timers), link_linger.c
 * (the connection that lingers), link_steer.c (orders of the caller) and link_tell.c (lines in the
 * program's log) share. */
#include "config/wire_messages.h"
#include "core/backoff.h"
#include "core/failure_reports.h"
#include "edge/dial.h"
#include "edge/link.h"

enum { LOSSES = 64 };

struct link {
        struct event_base *base; /* borrowed, as all pointers without a mark */
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
        struct {
                int fd;                         /* -1: no connection lingers */
                struct event *readable, *timer; /* owned; readable: NULL while none lingers */
        } linger;
        struct backoff backoff;
        enum link_state state;
        uint64_t since, next_attempt;
        uint64_t room_until; /* the peer has just got room for a connection: quick attempts */
        uint64_t down_since; /* or 0; while up: the start of an outage if this connection fails */
        char address[280], peer[80];
        const char *origin; /* of the peer's address, as dial_ops.connected(); NULL: resolved */
        struct {
                enum link_cause cause; /* CAUSE_NONE: no address failed */
                char text[420];
        } round; /* the most telling failure of the round under way */
        enum link_cause last_cause;
        char last_error[420];
        uint64_t last_error_at;
        uint64_t losses[LOSSES]; /* their times; the newest at n_losses - 1 modulo LOSSES */
        uint64_t n_losses;
        struct failure_reports failure_reports;
        unsigned silent_waits; /* connections in a row that ended silent while SendAfter= waited */
        bool quiet;            /* the last loss was no news, so the next "up" is not told either */
        bool told_up;          /* the last line in the program's log says that the link is up */
        bool paused, hurry, stopping, redial; /* redial: at once when the session has ended */
        bool started;                         /* the link dials unless held */
        bool held;     /* by an operator: the connection ends, and no other is made */
        bool draining; /* link_drain(): queued messages are written, the connection stays */
        char held_text[420];
        uint64_t held_since;
        uint64_t drained_by, stop_by;
};

/* Returns the setup of a session of this link; fd as in struct session_setup. */
struct session_setup link_session_setup(struct link *link, int fd);

/* Sets since when the link counts as down, clock_usec(); 0: the link counts as up. The time stands
 * in the image, so an outage goes on across a crash of ftcpd. */
void link_set_down(struct link *link, uint64_t since);

/* Changes the state and calls state(): the one place for both. */
void link_set_state(struct link *link, enum link_state state, enum link_cause cause,
                    const char *text);

/* Begins a round of dialling, without a delay. */
void link_start_round(struct link *link);

/* Sets the state to connected: the session is unheard. since: clock_usec(), when the connection was
 * made; GreetingTimeout= counts from there on, if SendAfter= waits. */
void link_enter_connected(struct link *link, uint64_t since);

/* Sets the state to held; the link has no session and no round under way. */
void link_enter_held(struct link *link);

/* link_linger.c */

/* Returns false without memory. link_linger_done() is to follow in both cases; it closes the
 * connection that lingers without a word. */
bool link_linger_init(struct link *link);
void link_linger_done(struct link *link);

/* True if a connection lingers. */
bool link_lingers(const struct link *link);

/* Resets the connection that lingers, if any. */
void link_linger_reset(struct link *link);

/* At a stop: true, and the reaper comes again, if a connection lingers and there is time left. */
bool link_linger_delays_stop(struct link *link);

/* True if a connection ended by an order (of an operator, of a stop): no fault of the link. */
bool link_is_chosen(enum link_cause cause);

/* Keeps a failure of one address until the end of the round, if none tells more. */
void link_note_failure(struct link *link, enum link_cause cause, const char *text);

/* The round ended: tells its most telling failure, if any address failed. */
void link_tell_round(struct link *link);

/* Logs a failure that is news, or any failure while the last line says that the link is up. Returns
 * true for news, unless failures of the same cause were left out since its last line. */
bool link_tell_failure(struct link *link, enum link_cause cause, const char *text);

/* Logs the end of a connection, and the fate of the messages that were begun and not acknowledged.
 */
void link_tell_loss(struct link *link, enum link_cause cause, const char *text,
                    const struct ledger_end *fate);

/* Logs that the connection just lost lingers. */
void link_tell_linger(const struct link *link);

/* Logs that the link is stable, if lines were left out before: with the number of failures not
 * logged, or because the link's last "up" was not logged. */
void link_tell_stable(struct link *link);

/* Writes the connection's address and peer in words into text. */
void link_describe(const struct link *link, char *text, size_t size);
