/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What ftcpd says of itself: one line a call to standard error, written whole by one system call.
 * Where that is the journal's, the line goes there with its fields; should the journal not take it
 * so, it goes through the stream, headed by its level (sd-daemon(3)). Else it is plain.
 * It never waits for who reads: a line that nobody takes is lost, and the next one that gets
 * through stands behind one that says how many were. Control characters in what is logged are
 * escaped, so that a peer's words can't begin a line of their own.
 *
 * Levels are those of syslog.h. The arguments of a line that is not logged are not evaluated.
 */
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "util/journal.h"

/* Once at start. Before it, lines down to LOG_INFO are written plain. */
void diag_open(int level);
void diag_set_level(int level);
int diag_level(void);
bool diag_enabled(int level);

/* The event says more than the text, and may be NULL. Takes no newline at the end. A line longer
 * than about 2000 bytes is cut and ends in "...". Keeps errno. */
void diag_write(int level, const struct diag_event *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Before the end of the process, or the journal may lose what was said last. Waits for it, but not
 * longer than so. */
void diag_settle(uint64_t usec);

/* The level of a syslog name ("info", "debug" ...), or -1; and the name of a level. */
int diag_level_parse(const char *name);
const char *diag_level_name(int level);

#define diag_line(level, ...) (diag_enabled(level) ? diag_write(level, NULL, __VA_ARGS__) : (void)0)
/* The facts are diag_facts(.id = CATALOG_DROPPED, .messages = n), members of struct diag_event. */
#define diag_facts(...) (&(const struct diag_event){__VA_ARGS__})
#define diag_event(level, facts, ...)                                                              \
        (diag_enabled(level) ? diag_write(level, facts, __VA_ARGS__) : (void)0)
#define diag_err(...)     diag_line(LOG_ERR, __VA_ARGS__)
#define diag_warning(...) diag_line(LOG_WARNING, __VA_ARGS__)
#define diag_notice(...)  diag_line(LOG_NOTICE, __VA_ARGS__)
#define diag_info(...)    diag_line(LOG_INFO, __VA_ARGS__)
#define diag_debug(...)   diag_line(LOG_DEBUG, __VA_ARGS__)
