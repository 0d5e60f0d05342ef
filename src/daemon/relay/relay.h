/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The relay joins the two edges: no other part sees both the link and the clients. The relay owns
 * the store with the two logs, hands messages that one edge committed to the other edge (to clients
 * at once, to the link at the end of each pass at the latest), and decides which clients may be
 * read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "config/config.h"
#include "daemon/report/status.h"
#include "flow/events.h"

struct handover;
struct relay;
struct tap;

struct relay_ops {
        /* The link's state has changed; text explains the change for people. */
        void (*state)(void *context, enum link_state state, enum link_cause cause,
                      const char *text);
        /* After relay_stop(): the out log is flushed, or the deadline is over. left counts the
         * messages that the upstream's kernel has not acknowledged, dropped those that it never
         * gets. unheard: some of those left may be acknowledged, before any byte of the peer. */
        void (*stopped)(void *context, struct count left, struct count dropped, bool unheard);
        /* A position for which relay_is_flushed() returned false may be flushed now. */
        void (*flushed)(void *context);
        /* The ring has a new event. The callback must not change the relay. */
        void (*event)(void *context);
};

/*
 * Makes the relay in *relay, to be freed with relay_free(). config is borrowed until
 * relay_configure() or relay_free(). Recovers the state that a predecessor left in `handover`, if
 * the state can be trusted; otherwise ends the predecessor's connections. Returns 0 or a negative
 * errno.
 */
int relay_new(struct relay **relay, struct event_base *base, const struct config *config,
              struct handover *handover, const struct relay_ops *ops, void *context);

/* Ends all clients and the link, and frees the relay with the store. */
void relay_free(struct relay *relay);

/* Serves a listening socket. Takes fd, also on error. Returns 0 or a negative errno. */
int relay_listen(struct relay *relay, int fd);

/* Recovers the predecessor's connection to the upstream, or begins to dial. */
void relay_start(struct relay *relay);

/* Names of Senders= that were unknown were found: looks anew at who may send. Disconnects a client
 * that may, and whose messages were refused before, because only a new connection can send. */
void relay_names_found(struct relay *relay);

/* Applies another configuration with the same frame and sockets, borrowed in place of the old one.
 * Returns 0, or -ENOMEM and keeps the old configuration. */
int relay_configure(struct relay *relay, const struct config *config);

/* True if the relay recovered the state of a predecessor. */
bool relay_is_recovered(const struct relay *relay);

/* Forgets the starts that tried the state so far: ftcpd is ready now, or failed for another reason
 * than the state. Too many starts in a row that are not forgotten refuse the state. */
void relay_forget_starts(struct relay *relay);

/* The highest number of clients that a restart would disconnect, for want of room in the fd_bag. */
uint64_t relay_unkept(const struct relay *relay);

/* Ends a pass of the event loop: hands what is left to the other edge. Returns true if the
 * next pass is not to wait for events. */
bool relay_pass(struct relay *relay);

/* Stops accepting clients, flushes until the deadline (clock_usec()), closes the link (leave: keeps
 * the connection open) and calls stopped(). A second call changes the deadline. */
void relay_stop(struct relay *relay, uint64_t deadline, bool leave);

/*
 * Orders of an operator; `by` names the operator, for people.
 *
 * Keeps the link closed for for_usec (UINT64_MAX: until relay_release()). A second hold replaces
 * the operator, the reason (NULL: none) and the time of the first.
 */
void relay_hold(struct relay *relay, const char *by, const char *reason, uint64_t for_usec);

/* Ends the hold and dials. Does nothing if the link is not held. */
void relay_release(struct relay *relay, const char *by);

/* Closes the connection and dials at once. Does nothing but log if the link is held. */
void relay_reconnect(struct relay *relay, const char *by);

/* Disconnects the client with number id. Returns 0, or -ENOENT if no client has this number. */
int relay_drop_client(struct relay *relay, uint64_t id, const char *by);

/* The end of the out log: the position behind all messages accepted so far. */
uint64_t relay_accepted(const struct relay *relay);

/* True if every message before `position` is acknowledged or dropped; if not, flushed() is called
 * when the answer may have changed. */
bool relay_is_flushed(struct relay *relay, uint64_t position);

/* Adds an event that comes from outside the relay. */
__attribute__((format(printf, 3, 4))) void relay_tell(struct relay *relay, enum event_kind kind,
                                                      const char *format, ...);

/* Shows the messages that pass to a tap, until relay_untap() or ended() of the tap. The caller has
 * filled in ops, subject, ways and client_id of the tap and owns the tap. Returns 0, or -ENOENT if
 * client_id is not 0 and no client has this number. */
int relay_tap(struct relay *relay, struct tap *tap);

/* Stops showing messages to a tap. */
void relay_untap(struct relay *relay, struct tap *tap);

/* The ring of events, borrowed. */
const struct events *relay_events(const struct relay *relay);

/* Fills in a snapshot, without version, outdated, shut and fault_at_control. Strings are borrowed
 * until the event loop runs. */
void relay_status(struct relay *relay, struct status *status);

/* Fills in the next clients in the order of their ids: those above `after`, at most max. Returns
 * their number. Strings are borrowed until the event loop runs. */
size_t relay_clients(struct relay *relay, uint64_t after, struct status_client *clients,
                     size_t max);
