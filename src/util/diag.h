/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The program's own log lines, for people: one line a call to standard error, written whole by a
 * single system call. If standard error is the journal's stream, the line goes to the journal with
 * fields; if the journal does not take the line with fields, the line goes to the stream behind its
 * level (sd-daemon(3)). In other cases the line is plain.
 * diag never waits for a reader: a line that no reader takes is lost. Before the next line that
 * gets through stands a line with the number of lost lines. Control characters are escaped, so the
 * text of a peer can't begin a new line.
 *
 * Levels are the levels of syslog.h. The arguments of an unwritten line are not evaluated.
 */
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "util/journal.h"

/* Finds out where standard error goes, and sets the level. To be called once at start; earlier
 * lines down to LOG_INFO are written plain. */
void diag_open(int level);

/* Sets the level, LOG_EMERG to LOG_DEBUG: less severe lines are not written. */
void diag_set_level(int level);

/* Returns the level. */
int diag_level(void);

/* True if lines of `level` are written. */
bool diag_enabled(int level);

/* Writes a line of any level. event has the fields for the journal, and may be NULL. The format has
 * no newline at the end. A line longer than about 2000 bytes is cut and ends in "...". Keeps errno.
 */
void diag_write(int level, const struct diag_event *event, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* To be called before the end of the process, or the journal may lose the last lines. Waits for the
 * journal, but at most usec. */
void diag_settle(uint64_t usec);

/* Returns the level of a syslog name ("info", "debug" ...), or -1. */
int diag_level_parse(const char *name);

/* Returns the syslog name of a level. */
const char *diag_level_name(int level);

#define diag_line(level, ...) (diag_enabled(level) ? diag_write(level, NULL, __VA_ARGS__) : (void)0)
/* The event of a line: diag_facts(.id = CATALOG_DROPPED, .messages = n). */
#define diag_facts(...) (&(const struct diag_event){__VA_ARGS__})
#define diag_event(level, facts, ...)                                                              \
        (diag_enabled(level) ? diag_write(level, facts, __VA_ARGS__) : (void)0)
#define diag_err(...)     diag_line(LOG_ERR, __VA_ARGS__)
#define diag_warning(...) diag_line(LOG_WARNING, __VA_ARGS__)
#define diag_notice(...)  diag_line(LOG_NOTICE, __VA_ARGS__)
#define diag_info(...)    diag_line(LOG_INFO, __VA_ARGS__)
#define diag_debug(...)   diag_line(LOG_DEBUG, __VA_ARGS__)
