/* SPDX-License-Identifier: MIT */
#pragma once
/* The running service: relay, control and service manager around one event loop, from the sockets
 * to the last flush. */
#include "config/config.h"
#include "daemon/options.h"

/* Runs until it is told to stop; owns config. NULL: it is broken, and only what a last process had
 * in force may still do. Returns what to exit with. */
int daemon_run(const struct options *options, struct config *config);

/* Where the configuration comes from. */
struct config_source daemon_source(const struct options *options, bool strict);

/* Tells a report: errors and warnings of a configuration. */
void daemon_tell(const struct config_report *report);
