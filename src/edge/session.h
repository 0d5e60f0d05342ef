/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A session: one TCP connection to the upstream, from connected to lost. The session receives into
 * the in log, sends the bytes of the ledger and heartbeats, and judges whether the peer lives. A
 * new session is made for each connection; no session is used twice.
 */
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "config/config.h"
#include "config/wire_messages.h"
#include "core/state.h"
#include "flow/ledger.h"
#include "store/log.h"
#include "util/clock.h"

enum {
        /* One write. The largest segment takes a little less than 64 K, on loopback too: the
         * remainder of a larger write goes in another segment and wakes the peer once more. */
        SESSION_WRITE_SIZE = 60 * 1024,
};

/* A connection that ftcpd gives up lingers for this long at most. */
#define SESSION_LINGER_USEC (10 * USEC_PER_SEC)

struct session;

struct session_ops {
        /* The greeting was answered, or no answer is expected; and an unheard connection of the
         * ledger is heard: messages may go out, and acknowledgements count. */
        void (*up)(void *context);
        /* Messages were committed to the in log. */
        void (*received)(void *context, const struct log_taken *taken);
        /* The peer became silent, with OnSilence=report; or sends again (silent is false). */
        void (*silent)(void *context, bool silent, const char *text);
        /* True if the connection, which ends by a verdict of this end, may linger; an earlier one
         * lingers no more. */
        bool (*may_linger)(void *context);
        /* The connection lingers, as ledger_linger() says; fd is the callee's. lost() follows. */
        void (*lingers)(void *context, int fd);
        /* The last call: the connection is closed or lingers, and `end` is the ledger's account.
         * The callee calls session_free() later, from the event loop. */
        void (*lost)(void *context, enum link_cause cause, const char *text,
                     const struct ledger_end *end);
};

struct session_setup {
        struct event_base *base; /* borrowed, as all but fd */
        const struct config *config;
        const struct wire_messages *wire_messages;
        struct log *in;
        struct ledger *ledger;
        const struct session_ops *ops;
        void *context;
        int fd; /* connected; the session's from here on, the caller's still on error */
};

/* Begins a session and its epoch in the ledger, unheard where silence ends a connection or
 * SendAfter= waits. up() is called from the event loop, never from within session_new(). Returns
 * NULL without memory. */
struct session *session_new(const struct session_setup *setup);

/* Recovers the session of the ledger, which was up or unheard; fd is the predecessor's connection.
 * up() is called only for an unheard session, when the peer is heard. The caller then calls
 * session_reconcile(), once received() may be called. Returns NULL without memory. */
struct session *session_recover(const struct session_setup *setup);

/* Reconciles a recovered session by the kernel's counters, and takes the bytes that the predecessor
 * read and did not commit. Returns true if the predecessor had shut down sending: the session can
 * send nothing more and is to be ended. May call received(), up() and lost(). */
bool session_reconcile(struct session *session);

/* Ends the predecessor's connection in the ledger without a session, and resets the connection. fd
 * is closed; -1: lost. */
void session_abandon(struct log *in, struct ledger *ledger, int fd, enum config_resend resend);

/* Frees the session and closes a connection left open. May be NULL. */
void session_free(struct session *session);

/* Replaces the configuration and its wire messages, both borrowed: other timeouts and limits, the
 * same connection. May call up(), if an unheard session has nothing to wait for any more. */
void session_configure(struct session *session, const struct config *config,
                       const struct wire_messages *wire_messages);

/* Reads the bytes that the socket has at the first call, before a timer judges: a stall of ftcpd is
 * not the peer's silence. Returns false if some are left after some milliseconds: the caller is to
 * call again in the next pass, and not to judge. May end the session. */
bool session_catch_up(struct session *session);

/* Writes until the kernel takes no more. No effect while the kernel's queue is full: the session
 * writes on when the queue has room. May end the session. */
void session_write(struct session *session);

/* As session_write(), but only whole writes of SESSION_WRITE_SIZE, as more bytes are expected at
 * once. Tries a full queue again after much was added to the out log. */
void session_write_early(struct session *session);

/* True if the kernel's send queue is full. */
bool session_is_blocked(const struct session *session);

/* Stops or starts reading: the link is not read while a client's queue is full. The peer's silence
 * is not judged while paused. The answer to the greeting is read all the same. */
void session_pause(struct session *session, bool pause);

/*
 * Throttles or goes on reading: reading pauses until the caller ends the throttle, for 1 ms at
 * most. For a time when every client has enough queued: messages read ahead would have left the
 * cache when the clients take them.
 */
void session_throttle(struct session *session, bool throttle);

/* Asks the kernel for acknowledgements more often (hurry), while a caller waits for some. */
void session_hurry(struct session *session, bool hurry);

/* Asks the kernel now which bytes are acknowledged, and tells the ledger. */
void session_poll_acks(struct session *session);

/*
 * Closes the session quietly: finishes a half-written message and begins no other (all: writes the
 * whole out log first), waits until the deadline (clock_usec()) for acknowledgements, and calls
 * lost() with this cause. After a failed write lost() is called from within.
 */
void session_close(struct session *session, enum link_cause cause, const char *text,
                   uint64_t deadline, bool all);

/* The session as status shows it. */
struct session_view {
        uint64_t since, last_byte, partial_since;  /* clock_usec() */
        uint64_t partial, partial_total, declared; /* bytes; partial_total 0: unknown */
        uint64_t rtt_usec;                         /* the kernel's; 0: unknown */
        uint64_t transmitted;                      /* by the kernel, a TCP offset */
        bool paused, silent, got_byte;
};

/* Returns the present view of the session. */
struct session_view session_look(const struct session *session);
