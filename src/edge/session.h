/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One connection to the upstream, from connected to lost: its bytes into the in log, those of the
 * ledger out, heartbeats, and the verdict on its life. Created for the connection and disposed of
 * whole with it.
 */
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "config/config.h"
#include "config/wire_messages.h"
#include "core/state.h"
#include "flow/ledger.h"
#include "store/log.h"

enum {
        /* One write. The largest segment takes a little less than 64 K, on loopback too: what is
         * left of a write goes in one of its own and wakes the peer once more. */
        SESSION_WRITE_SIZE = 60 * 1024,
};

struct session;

struct session_ops {
        /* It is greeted, or there was no answer to wait for: messages may go out. */
        void (*up)(void *context);
        /* Messages were committed to the in log. */
        void (*received)(void *context, const struct log_taken *taken);
        /* Silent with OnSilence=report; and no longer. */
        void (*silent)(void *context, bool silent, const char *text);
        /* The last call: the connection is closed, the ledger knows. It is to be freed from the
         * event loop, later. */
        void (*lost)(void *context, enum link_cause cause, const char *text,
                     const struct ledger_end *end);
};

struct session_setup {
        struct event_base *base; /* all borrowed, but for fd */
        const struct config *config;
        const struct wire_messages *wire_messages;
        struct log *in;
        struct ledger *ledger;
        const struct session_ops *ops;
        void *context;
        int fd; /* connected; the session's from here on, also on error */
};

/* NULL without memory. Calls up() from the event loop. */
struct session *session_new(const struct session_setup *setup);

/*
 * Goes on with the connection that the ledger has, which was up; fd is that. What the kernel did
 * and no store says yet is taken up by session_reconcile(), once received() may be called. up() is
 * not called. NULL without memory. session_reconcile() returns whether the predecessor had closed
 * it on our side: nothing can be sent any more, it is to be ended.
 */
struct session *session_recover(const struct session_setup *setup);
bool session_reconcile(struct session *session);

/* Ends the connection that the ledger has and nobody goes on with. fd is taken; -1: it is gone. */
void session_abandon(struct log *in, struct ledger *ledger, int fd, enum config_resend resend);
void session_free(struct session *session);

/* Other values of the same wire: timeouts, limits. */
void session_configure(struct session *session, const struct config *config,
                       const struct wire_messages *wire_messages);

/* Reads what the socket holds already, before a timer judges: our own stall is not the peer's
 * silence. */
void session_catch_up(struct session *session);

/* Hands to the kernel what it takes, unless its queue is full: then that is done when it has room.
 * Early: only what fills whole writes, as more is expected at once. */
void session_write(struct session *session);
void session_write_early(struct session *session);

/* Is the kernel's queue full? */
bool session_is_blocked(const struct session *session);

/* We do not read while a client's queue is full; its silence is not judged then. */
void session_pause(struct session *session, bool pause);

/*
 * Every client has enough to take for now: reading rests until one of them has taken something, or
 * for a moment. Reading ahead of them fills their queues with what has left the cache by the time
 * they take it.
 */
void session_throttle(struct session *session, bool throttle);

/* Somebody waits for acknowledgements: ask for them often. */
void session_hurry(struct session *session, bool hurry);
void session_poll_acks(struct session *session);

/*
 * Ends it quietly: a message that is half written is finished, no other is begun (all: what is
 * queued goes out first), and until the deadline (clock_usec()) the peer may acknowledge what was
 * sent. Then lost() is called with this cause.
 */
void session_close(struct session *session, enum link_cause cause, const char *text,
                   uint64_t deadline, bool all);

/* What status shows. */
struct session_view {
        uint64_t since, last_byte, partial_since;
        uint64_t partial, partial_total, declared; /* bytes; the second 0: unknown */
        uint64_t rtt_usec;                         /* the kernel's; 0: unknown */
        uint64_t transmitted;                      /* by the kernel, a TCP offset */
        bool paused, silent, got_byte;
};
struct session_view session_look(const struct session *session);
