/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Both edges together: the only one that sees the link and the clients. It owns the store with its
 * two logs, hands what one edge committed to the other at the end of each turn of the event loop,
 * and decides who may read.
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
        /* The link's state has changed; text says it for people. */
        void (*state)(void *context, enum link_state state, enum link_cause cause,
                      const char *text);
        /* After relay_stop(): everything is flushed or given up. left is what was not delivered to
         * the upstream. */
        void (*stopped)(void *context, struct count left);
        /* A position that relay_is_flushed() was asked with, and said no to, may be flushed now. */
        void (*flushed)(void *context);
        /* There is a new event. Nothing is to be done to the relay from here. */
        void (*event)(void *context);
};

/*
 * config is borrowed until relay_configure() or relay_free(). What the last process left in
 * `handover` is gone on with, if it can be trusted; else its connections are ended. Returns 0 or a
 * negative errno.
 */
int relay_new(struct relay **relay, struct event_base *base, const struct config *config,
              struct handover *handover, const struct relay_ops *ops, void *context);
void relay_free(struct relay *relay);

/* Serves a listening socket; fd is taken, also on error. Returns 0 or a negative errno. */
int relay_listen(struct relay *relay, int fd);

/* Goes on with the connection of the last process, or begins to dial. */
void relay_start(struct relay *relay);

/* Another configuration with the same frame and sockets. Returns 0, or -ENOMEM and keeps the old
 * one. */
int relay_configure(struct relay *relay, const struct config *config);

/* Does it go on with what a last process left? */
bool relay_is_recovered(const struct relay *relay);

/* Clients at most that a restart would disconnect, because there is no room to keep them. */
uint64_t relay_unkept(const struct relay *relay);

/* After each turn of the event loop: what was received goes out. True: the next turn is not to wait
 * for events. */
bool relay_pass(struct relay *relay);

/* Stops accepting, flushes until the deadline (clock_usec()), closes the link, or leaves it as it
 * is, and calls stopped(). Once more: with another deadline. */
void relay_stop(struct relay *relay, uint64_t deadline, bool leave);

/*
 * What an operator wants; by is who, for people. A hold ends by itself after for_usec (UINT64_MAX:
 * never); another one replaces its reason (NULL: none) and its time. To release what is not held is
 * nothing, and so is to reconnect what is held.
 */
void relay_hold(struct relay *relay, const char *by, const char *reason, uint64_t for_usec);
void relay_release(struct relay *relay, const char *by);
void relay_reconnect(struct relay *relay, const char *by);

/* Disconnects a client. Returns 0, or -ENOENT where there is none of this number. */
int relay_drop_client(struct relay *relay, uint64_t id, const char *by);

/* The end of what was accepted for the upstream so far, and whether everything before such an end
 * is acknowledged or given up; if not, flushed() is called when it may be. */
uint64_t relay_accepted(const struct relay *relay);
bool relay_is_flushed(struct relay *relay, uint64_t position);

/* Something that the relay knows nothing of is an event, too. */
__attribute__((format(printf, 3, 4))) void relay_tell(struct relay *relay, enum event_kind kind,
                                                      const char *format, ...);

/* Shows what passes to a tap, whose ops, subject, ways and client_id are filled in, until
 * relay_untap() or the tap's end. Returns 0, or -ENOENT where there is no such client. */
int relay_tap(struct relay *relay, struct tap *tap);
void relay_untap(struct relay *relay, struct tap *tap);

/* For control. */
const struct events *relay_events(const struct relay *relay);
void relay_status(struct relay *relay, struct status *status);
size_t relay_clients(struct relay *relay, struct status_client *clients, size_t max);
