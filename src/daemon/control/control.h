/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The control socket: a Varlink server for a control_service. The service of ftcpd reads snapshots
 * of the daemon and gives orders to the daemon, both through control_ops only.
 *
 * The memory of a connection is bounded: one request of at most 1 MiB, and replies of 1 MiB or a
 * single larger reply, because requests wait while replies are unread, and a tap misses messages
 * for which the connection has no room. The memory of all connections together is bounded as well
 * (CONTROL_BUFFERED_MAX), and their share of the loop's time: see queue.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "config/config.h"
#include "daemon/report/status.h"
#include "flow/events.h"
#include "flow/tap.h"

/* Every callback must be set, except log_level_origin. No callback may free the control. Strings
 * that a callback returns stay the daemon's, and are valid until the event loop next calls the
 * daemon. */
struct control_ops {
        /* Fills a snapshot. */
        void (*status)(void *context, struct status *out);
        /* Fills out with the next clients in the order of their ids: those above `after`, at most
         * max. Returns their number; 0: there are no more. */
        size_t (*clients)(void *context, uint64_t after, struct status_client *out, size_t max);
        /* Returns the configuration in force. Control calls config() at every use and never keeps
         * the result, so a reload does not notify control: MaxClients= applies to the next
         * connection, Admin= to the next request. */
        const struct config *(*config)(void *context);
        /* Returns the events of the store. The daemon calls control_news() after a new event. */
        const struct events *(*events)(void *context);
        /* Returns the real path of the data socket, or NULL for the path of [Local] Socket=. */
        const char *(*data_socket)(void *context);
        /* Returns the origin of the diag level in force: "log-level" (an operator), "--log-level",
         * or NULL for LogLevel=. The callback may be NULL, which means LogLevel=, too. */
        const char *(*log_level_origin)(void *context);
        /* Reads and applies the configuration files. Returns 0, or a negative errno with the
         * reasons in report; then what was in force stays so. report is empty at the call, and
         * control frees its contents. */
        int (*reload)(void *context, struct config_report *report);
        /* Orders of an operator; `by` is the name of the operator, for people. */
        /* Closes the link for for_usec, or until release() (UINT64_MAX). reason may be NULL. */
        void (*hold)(void *context, const char *by, const char *reason, uint64_t for_usec);
        /* Ends the hold, if the link is held. */
        void (*release)(void *context, const char *by);
        /* Replaces the connection to the upstream, unless the link is held. */
        void (*reconnect)(void *context, const char *by);
        /* Returns 0, or a negative errno if no client has the id. */
        int (*drop_client)(void *context, uint64_t id, const char *by);
        /* Returns 0, or a negative errno if no level has the name. */
        int (*set_log_level)(void *context, const char *level, const char *by);
        /* Returns the out log's end: every accepted message stands before this position. */
        uint64_t (*accepted)(void *context);
        /* True if everything before position is acknowledged or dropped. After false, the daemon
         * calls control_flushed() when the answer may have changed. */
        bool (*flushed)(void *context, uint64_t position);
        /* Shows messages to the tap until untap(), or until the daemon calls the tap's ended().
         * Returns 0, or -ENOENT if no client has the tap's client_id. */
        int (*tap)(void *context, struct tap *tap);
        /* Ends a tap before its end. */
        void (*untap)(void *context, struct tap *tap);
};

struct control;

/* The methods that a client may call; see call.h. */
struct control_service;
extern const struct control_service control_ftcpd; /* the interface io.ftcpd */

/* Returns a control without listeners, to be freed with control_free(), or NULL without memory.
 * service, ops and context are borrowed for life; every method of the service gets ops and context.
 * ops may be NULL for a service that uses no callback. */
struct control *control_new(struct event_base *base, const struct control_service *service,
                            const struct control_ops *ops, void *context);

/* Serves a listening Unix stream socket; a control may have several. Owns fd from now on, also on
 * error: makes fd non-blocking, shortens the queue of connections that are not accepted yet, and
 * closes fd at the end. To the other end, SO_PEERCRED is this process from now on. Never unlinks
 * the socket's path. Returns 0 or -ENOMEM. */
int control_listen(struct control *control, int fd);

/* Returns why connections to the control socket wait unaccepted, as listener_fault() does. */
const char *control_listener_fault(const struct control *control);

/* Tells control that a position for which flushed() returned false may be flushed now. */
void control_flushed(struct control *control);

/* Tells control of a new event: connections that monitor get the event in the next pass. */
void control_news(struct control *control);

/* Closes all listeners, sends the last events and replies to flushes, closes all connections, and
 * frees control, which may be NULL. Not to be called within a callback of control_ops. */
void control_free(struct control *control);
