/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What was written to a connection, what of it the peer's kernel acknowledged, and so what goes
 * again on the next one. The socket gets more than the out log (heartbeats, greetings), so a map
 * tells for each TCP offset what stands there; a piece of it is entered before the send that it
 * describes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/config.h"
#include "core/books.h"
#include "store/cursor.h"
#include "store/log.h"
#include "store/waits.h"

struct ledger {
        struct log *log;             /* the out log, borrowed */
        struct image_session *image; /* in the store */
        struct image_totals *totals; /* in the store */
        struct cursor acked;         /* the out log's only reader */
        struct log inject;
        uint32_t slab, inject_slab; /* hints */
        uint64_t slab_at;   /* the position of the first byte in `slab`, when it was found */
        struct count ahead; /* given up behind the acknowledged place, while the log has it still */
        struct waits waits; /* of what was handed to a connection for the first time */
};

/* On an image that is new (recovered: false) or that was checked. */
void ledger_init(struct ledger *ledger, struct log *log, bool recovered);

/* A connection begins; what the last one did not get acknowledged is before what is new. rx_base:
 * where its bytes go. */
void ledger_begin(struct ledger *ledger, uint64_t rx_base);

/* How a connection ended, in messages that were begun on it. */
struct ledger_end {
        struct count acked, unacked, unsent;
        struct count dropped; /* of these, not to be sent again */
};

/*
 * The connection ended; the numbers are the kernel's, as TCP offsets: acknowledged, transmitted.
 * Those acknowledged are delivered; of the others, those that may go again do, whole.
 */
struct ledger_end ledger_end(struct ledger *ledger, uint64_t acked, uint64_t transmitted,
                             enum config_resend resend);

/*
 * What came before this time (of the clock of log_take()) and is not begun is dropped as expired; a
 * message that is half written is finished. Returns what was dropped.
 */
struct count ledger_expire(struct ledger *ledger, uint64_t before_usec);

/* The books of the way to the upstream, but for its limit and ages. */
void ledger_books(const struct ledger *ledger, struct books *books);

/* Sends these bytes, whole frames, at the next message boundary. False: no memory, or too much is
 * under way. */
bool ledger_inject(struct ledger *ledger, const struct iovec *iov, int n);

/* Bytes that were injected and not sent yet. */
uint64_t ledger_injected(const struct ledger *ledger);

/* Is something to be sent (inject_only: besides the out log)? */
bool ledger_pending(const struct ledger *ledger, bool inject_only);

/*
 * What is sent next, at most `limit` bytes; the map has it then. no_new_messages: nothing of the
 * out log is begun, only what is injected, and the message that is half written. Returns how many
 * of max iov were filled in.
 */
int ledger_gather(struct ledger *ledger, size_t limit, bool no_new_messages, struct iovec *iov,
                  int max);
void ledger_sent(struct ledger *ledger, uint64_t bytes);

/* Before that, and optional: tells how long the messages that are now handed to a connection whole,
 * for the first time, have waited. */
void ledger_tell_waits(struct ledger *ledger, uint64_t bytes, uint64_t now_usec);

/* The peer's kernel has everything before this TCP offset. */
void ledger_acked(struct ledger *ledger, uint64_t acked);

/* Is a message half written? */
bool ledger_in_message(const struct ledger *ledger);

/* Where in the out log the next byte comes from. */
uint64_t ledger_written(const struct ledger *ledger);

/* Of all connections, with this one: messages whose last byte was written, and of them those begun
 * on an earlier one. */
struct count ledger_sent_count(const struct ledger *ledger);
struct count ledger_resent_count(const struct ledger *ledger);

/* Transmitted whole, as far as the kernel says (a TCP offset), and not acknowledged yet. */
struct count ledger_unacked(const struct ledger *ledger, uint64_t transmitted);
