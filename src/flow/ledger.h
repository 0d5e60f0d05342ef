/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The ledger of the out log: which bytes were written to the connection, which bytes the peer's
 * kernel acknowledged, and so the messages that are sent again on the next connection. The socket
 * gets more than the out log (heartbeats, greetings), so a map leads from TCP offsets to positions
 * of the out log or of the inject log. A piece enters the map before the send that the piece
 * describes.
 *
 *   out log     [ ... | m1 | m2 | m3 | m4 | m5 | m6 | m7 ]     m4 and m5 are a hole: dropped
 *   inject log  [ hb ]                                         a heartbeat
 *   map         piece: from m1 on   from hb on   from m6 on
 *   socket      [ m1 | m2 | m3      | hb         | m6
 *   TCP offset  0    ^acked                           ^written
 *
 * A message is *begun* when its first byte was written to a connection. *Skipped* messages are a
 * hole that enters the map only when all messages before the hole are written.
 *
 * A connection may begin *unheard*: the peer has not said a byte, and what its kernel acknowledges
 * is provisional. The TCP offset `acked` moves as ever, but no message counts as delivered and none
 * is freed before ledger_heard(). A connection that ends unheard has delivered nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/config.h"
#include "core/books.h"
#include "store/cursor.h"
#include "store/log.h"
#include "store/waits.h"

/* What an unheard connection waits for; the numbers stand in the image. */
enum ledger_unheard {
        LEDGER_HEARD,          /* for nothing: acknowledgements count */
        LEDGER_UNHEARD,        /* for a byte; messages are sent meanwhile */
        LEDGER_UNHEARD_BYTE,   /* for a byte; no message is sent before */
        LEDGER_UNHEARD_ANSWER, /* for a message that is no heartbeat; no message is sent before */
};

struct ledger {
        struct log *log;             /* the out log, borrowed */
        struct image_session *image; /* in the store */
        struct image_totals *totals; /* in the store */
        struct cursor acked;         /* the only reader of the out log */
        struct log inject;
        uint32_t slab, inject_slab; /* hints */
        uint64_t slab_at;   /* the position of the first byte in `slab`, when `slab` was found */
        struct count ahead; /* dropped messages that still stand in the log, behind `acked` */
        struct waits waits; /* of messages written for the first time */
        bool was_unheard;   /* the last connection ended unheard */
};

/* Begins on an empty image (recovered: false) or recovers a checked image. `log` is the out log. */
void ledger_init(struct ledger *ledger, struct log *log, bool recovered);

/* A connection begins: unacknowledged messages of the last connection go first. rx_base: position
 * of the in log to which the first byte of the connection goes. The connection counts as made at
 * once, or, if it begins unheard, in ledger_heard(). */
void ledger_begin(struct ledger *ledger, uint64_t rx_base, enum ledger_unheard unheard);

/* The peer was heard: what its kernel has acknowledged and will acknowledge counts. No effect on a
 * connection that is not unheard. */
void ledger_heard(struct ledger *ledger);

/* Returns the bytes of the out log that the peer's kernel has acknowledged on an unheard
 * connection. */
uint64_t ledger_provisional(const struct ledger *ledger);

/* How a connection ended: counts of messages begun on the connection. */
struct ledger_end {
        struct count acked, unacked, unsent;
        struct count dropped; /* of these, not sent again */
        bool unheard;         /* the connection ended unheard; counts as no disconnect */
};

/*
 * The connection ended. acked, transmitted: TCP offsets, as the kernel counted. Acknowledged
 * messages are delivered; of the others, `resend` says which are sent again, whole, and which are
 * dropped (not_resent). Unacknowledged messages before a hole are dropped, too (expired).
 */
struct ledger_end ledger_end(struct ledger *ledger, uint64_t acked, uint64_t transmitted,
                             enum config_resend resend);

/* Notes in the image that the connection, which ends, lingers until the time given, clock_usec().
 * Part of the transaction around ledger_end(). */
void ledger_linger(struct ledger *ledger, uint64_t until_usec);

/* Notes that no connection lingers. */
void ledger_linger_over(struct ledger *ledger);

/*
 * Drops (expired) all messages older than before_usec, by the clock of log_take(), and not begun on
 * this connection. Returns the count of messages dropped.
 */
struct count ledger_expire(struct ledger *ledger, uint64_t before_usec);

/* Fills in the books of the out log, except for the limit and the ages. */
void ledger_books(const struct ledger *ledger, struct books *books);

/* Appends the bytes, whole frames, to the inject log; ledger_gather() sends the bytes at the next
 * message boundary. False: no memory, or the map is nearly full. */
bool ledger_inject(struct ledger *ledger, const struct iovec *iov, int n);

/* Returns the number of bytes of the inject log not written yet. */
uint64_t ledger_injected(const struct ledger *ledger);

/* True if bytes are to be written (inject_only: bytes of the inject log). */
bool ledger_pending(const struct ledger *ledger, bool inject_only);

/*
 * Fills iov with the bytes to be written next, at most `limit`, and enters a piece into the map if
 * needed. no_new_messages: no message of the out log is begun; only a message that is half written,
 * and the inject log, go on. Returns how many of max iov were filled in.
 */
int ledger_gather(struct ledger *ledger, size_t limit, bool no_new_messages, struct iovec *iov,
                  int max);

/* Books `bytes` of the last ledger_gather() as written. */
void ledger_sent(struct ledger *ledger, uint64_t bytes);

/* Optional, before ledger_sent(): adds to the histogram the waiting times of the messages
 * that `bytes` complete for the first time on any connection. */
void ledger_tell_waits(struct ledger *ledger, uint64_t bytes, uint64_t now_usec);

/* Books all bytes before the TCP offset `acked` as acknowledged by the peer's kernel. The messages
 * of an unheard connection stay where they are. */
void ledger_acked(struct ledger *ledger, uint64_t acked);

/* True if a message is half written. */
bool ledger_in_message(const struct ledger *ledger);

/* Returns the position of the out log of the next byte to be written. */
uint64_t ledger_written(const struct ledger *ledger);

/* Returns the count of messages written whole, on all connections. */
struct count ledger_sent_count(const struct ledger *ledger);

/* Returns the count of messages written whole which an earlier connection had begun. */
struct count ledger_resent_count(const struct ledger *ledger);

/* Returns the count of messages transmitted whole and not acknowledged; `transmitted` is the TCP
 * offset up to which the kernel has transmitted. */
struct count ledger_unacked(const struct ledger *ledger, uint64_t transmitted);
