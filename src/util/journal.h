/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The journal's own protocol: a line of the log with its fields, in one datagram. Only for
 * util/diag.h, which has the journal's stream to fall back on.
 */
#include <stdbool.h>
#include <stdint.h>

/* What a line says besides its text. All of it may be absent. */
struct diag_event {
        const char *id;              /* MESSAGE_ID=: its class, see core/catalog.h */
        const char *cause;           /* FTCPD_CAUSE=: a word */
        unsigned long long client;   /* FTCPD_CLIENT=; 0: none */
        unsigned long long messages; /* FTCPD_MESSAGES=; 0: none */
};

/* Where the journal listens; only tests put another path there. */
extern const char *journal_path;

/* Connects, anew where it was connected. Returns 0 or a negative errno. */
int journal_open(void);

/* One entry; the text is one line, without its newline. False: the journal did not take it. */
bool journal_send(int level, const struct diag_event *event, const char *text);

/* Returns when the journal has looked at all that was sent, or after so long. Before that the
 * process must not end: the journal could not tell any more whose service it was. */
void journal_settle(uint64_t usec);
