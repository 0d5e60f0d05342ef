/* SPDX-License-Identifier: MIT */
#pragma once
/* The daemon's own memory, for daemon.c (from the start to the end) and ops.c (what control
 * asks of it). */
#include "daemon/control/control.h"
#include "daemon/daemon.h"
#include "daemon/doors.h"
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
        struct event *hup, *term, *intr, *watchdog;
        struct service_sockets passed;
        struct handover handover; /* what the last process left, until the relay takes it */
        struct last_config last;
        bool shut;     /* a socket could not be opened: only those are served who are there */
        bool outdated; /* the files are broken: what was in force before still is */
        bool loud;     /* an operator has set the level of the log */
        bool stopping; /* a signal has said so */
        bool done;
        bool leaves; /* everything to the next process: nothing is closed */
        int exit_code;
};

extern const struct control_ops daemon_control_ops;

/* Reads the files anew; whole or not at all. context is the struct daemon. Returns 0 or a negative
 * errno; the errors go into report, and to whoever listens. */
int daemon_reload(void *context, struct config_report *report);
