/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The control socket: a Varlink server. What it serves is a control_service; that of ftcpd asks the
 * daemon for snapshots and tells it what to do through control_ops, and knows nothing else of it.
 *
 * What a connection can make us hold is bounded: one request of at most 1 MiB, and of replies 1 MiB
 * or a single larger one, since requests wait while replies are unread, and what a tap has no room
 * for it misses. What all hold together is bounded as well, and so is the time that they may take:
 * see queue.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

#include "config/config.h"
#include "daemon/report/status.h"
#include "flow/events.h"
#include "flow/tap.h"

/* Every callback must be set. None may free the control. Strings that they give stay the daemon's
 * and hold until it is next called from the event loop. */
struct control_ops {
        /* Fills a snapshot. */
        void (*status)(void *context, struct status *out);
        /* Fills out with at most max clients; returns how many there are. */
        size_t (*clients)(void *context, struct status_client *out, size_t max);
        /* The configuration in force. Asked for at every use and never kept, so that a reload needs
         * to tell control nothing: MaxClients= holds for the next connection, Admin= for the next
         * request. */
        const struct config *(*config)(void *context);
        /* What happened lately; told by control_news() when there is more. */
        const struct events *(*events)(void *context);
        /* The path that [Local] is really listened on, or NULL: as configured. */
        const char *(*data_socket)(void *context);
        /* What has set the level of the log that is in force, instead of LogLevel=: "log-level" (an
         * operator) or "--log-level"; NULL: nothing. May be NULL itself. */
        const char *(*log_level_origin)(void *context);
        /* Reads the configuration anew and applies it, or changes nothing and returns a negative
         * errno with the reasons in report, which is empty at the call and freed by control. */
        int (*reload)(void *context, struct config_report *report);
        /* What operators want; by is who. hold: reason may be NULL, for_usec UINT64_MAX (until it
         * is released). drop_client and set_log_level return 0 or a negative errno: there is none
         * of this number, or this name. */
        void (*hold)(void *context, const char *by, const char *reason, uint64_t for_usec);
        void (*release)(void *context, const char *by);
        void (*reconnect)(void *context, const char *by);
        int (*drop_client)(void *context, uint64_t id, const char *by);
        int (*set_log_level)(void *context, const char *level, const char *by);
        /* The end of what was accepted for the upstream so far; and is everything before such an
         * end acknowledged or dropped? If not, control_flushed() is called when it may be. */
        uint64_t (*accepted)(void *context);
        bool (*flushed)(void *context, uint64_t position);
        /* Shows what passes to a tap until untap(), or until it is told that it has ended. Returns
         * 0, or -ENOENT where there is no such client. */
        int (*tap)(void *context, struct tap *tap);
        void (*untap)(void *context, struct tap *tap);
};

struct control;

/* What there is to call; see call.h. */
struct control_service;
extern const struct control_service control_ftcpd; /* the interface io.ftcpd */

/* service, ops and context are borrowed for life; the last two are handed on to the service as they
 * are. Returns NULL without memory; to be freed with control_free(). */
struct control *control_new(struct event_base *base, const struct control_service *service,
                            const struct control_ops *ops, void *context);

/* Serves a listening Unix stream socket, also one of several. Takes fd, which it makes
 * non-blocking and closes at the end (also on error); its path is never unlinked here. Returns 0 or
 * a negative errno. */
int control_listen(struct control *control, int fd);

/* Something that flushed() was asked about may be so now. */
void control_flushed(struct control *control);

/* There is a new event: those who follow get it with the next turn of the loop. */
void control_news(struct control *control);

/* Closes all listeners and connections, after a last look at the events. Not from within a callback
 * of control_ops. */
void control_free(struct control *control);
