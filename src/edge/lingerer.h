/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The connection that lingers: ftcpd gave the connection up, and its path lives. The sending side
 * is shut down and all input is thrown away, so the peer's program can read what the peer's kernel
 * holds, up to the end of the stream. A reset would make many programs throw those messages away,
 * which the books call delivered. The end comes with the peer's end of the stream, with a reset, or
 * after LINGER_USEC. At most one connection lingers. Its epoch and its deadline stand in the image,
 * so that a successor goes on.
 */
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "flow/ledger.h"
#include "util/clock.h"

#define LINGER_USEC (10 * USEC_PER_SEC)

/* The connection of this epoch lingers no more: its descriptor is closed. */
typedef void lingerer_over(void *context, uint64_t epoch);

struct lingerer;

/* Makes a lingerer without a connection. All arguments are borrowed. Returns NULL without memory.
 */
struct lingerer *lingerer_new(struct event_base *base, struct ledger *ledger, lingerer_over *over,
                              void *context);

/* Frees the lingerer, and closes its connection without a word. May be NULL. */
void lingerer_free(struct lingerer *lingerer);

/* Begins with the connection that ledger_linger() named in the image; none lingers. fd is the
 * lingerer's from here on; -1: lost. May call over(). */
void lingerer_begin(struct lingerer *lingerer, int fd);

/* True if a connection lingers. */
bool lingerer_is_on(const struct lingerer *lingerer);

/* Resets the connection that lingers, if any, and calls over(). */
void lingerer_reset(struct lingerer *lingerer);

/* Closes the connection that lingers, if any, without a reset, and calls over(). */
void lingerer_close(struct lingerer *lingerer);
