/* SPDX-License-Identifier: MIT */
#pragma once
/* The daemon's memory, for daemon.c (from the start to the end) and ops.c (the control_ops). */
#include "daemon/control/control.h"
#include "daemon/daemon.h"
#include "daemon/doors.h"
#include "daemon/lookups.h"
#include "daemon/relay/relay.h"
#include "daemon/service/handover.h"
#include "daemon/service/last_config.h"
#include "daemon/service/service.h"

struct daemon {
        const struct options *options;
        struct config *config; /* owned */
        struct event_base *base;
        struct relay *relay;
        struct control *control;
        struct doors doors;
        struct event *hup, *term, *intr, *watchdog, *look;
        struct service_sockets passed;
        struct handover handover; /* the predecessor's descriptors, until the relay takes them */
        struct last_config last;
        struct lookups *lookups; /* owned; NULL while no name was ever unknown */
        bool shut;     /* a socket could not be opened: only connected clients are served */
        bool outdated; /* the files are broken: the predecessor's configuration is in force */
        bool loud;     /* an operator has set the level of the diag lines */
        bool stopping; /* SIGTERM or SIGINT came */
        bool done;     /* the event loop is to end */
        bool leaves;   /* a successor recovers everything: no connection is closed */
        int exit_code;
};

extern const struct control_ops daemon_control_ops;

/* Makes room for all timers of the daemon with this configuration. Returns false without memory. */
bool daemon_reserve(struct daemon *daemon, const struct config *config);

/* Has the names of users and groups that are unknown in the configuration in force looked up again
 * and again, off the event loop, until they are found. */
void daemon_look_up(struct daemon *daemon);

/* Enters names of users and groups that were found into the configuration, and lets them count. A
 * lookups_found: context is the struct daemon. */
void daemon_learn(void *context, const struct config_names *names);

/* Reads the files again and applies the configuration as a whole, or changes nothing. context is
 * the struct daemon. Returns 0 or a negative errno; errors and warnings go into report, the
 * caller's to free, to diag and into the events. */
int daemon_reload(void *context, struct config_report *report);
