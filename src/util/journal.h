/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The journal's own protocol: a diag line with fields, in one datagram. Only for diag, which
 * falls back on the journal's stream.
 */
#include <stdbool.h>
#include <stdint.h>

/* The fields of a line besides the text. Each field may be absent. */
struct diag_event {
        const char *id;              /* MESSAGE_ID=, see core/catalog.h; NULL: none */
        const char *cause;           /* FTCPD_CAUSE=: a word; NULL: none */
        unsigned long long client;   /* FTCPD_CLIENT=; 0: none */
        unsigned long long messages; /* FTCPD_MESSAGES=; 0: none */
};

/* The path of the journal's socket; only tests set another path. */
extern const char *journal_path;

/* Connects to the journal, also again. Returns 0 or a negative errno. */
int journal_open(void);

/* Sends one entry. text is one line without a newline. Returns false if the journal did not take
 * the entry, or if text is longer than about 2000 bytes. */
bool journal_send(int level, const struct diag_event *event, const char *text);

/* Waits until the journal has read all entries, but at most usec. The process must not end earlier:
 * the journal could no longer find the service that sent an entry. */
void journal_settle(uint64_t usec);
