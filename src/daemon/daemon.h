/* SPDX-License-Identifier: MIT */
#pragma once
/* The running service: relay, control and service manager around one event loop, from the opening
 * of the sockets to the last flush. */
#include "config/config.h"
#include "daemon/options.h"

/* Runs until a signal stops ftcpd. Owns config; NULL: the files are broken, and only the
 * configuration that a predecessor kept may be used. Returns the exit status. */
int daemon_run(const struct options *options, struct config *config);

/* The source of the configuration; strings are borrowed from options. strict: an unknown key or
 * section is an error. */
struct config_source daemon_source(const struct options *options, bool strict);

/* Logs the warnings and errors of a report, of the errors at most 30. */
void daemon_tell(const struct config_report *report);
