/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who gets the messages of the in log: broadcast gives each message to every member, balance deals
 * each message to the member with the shortest queue. Without a member, new messages go to the
 * backlog (HoldSize=) or are dropped (no_client).
 *
 * In balance, a message goes to the member that got the message before it while the queue of this
 * member is longer than the shortest queue of the others by at most a sixteenth of it, and 64 KiB.
 * So a queue of many small messages takes few extents. When extents run out nevertheless, the
 * spread is "scant": new messages go, whole, to a member that needs no extent for them, and the
 * caller stops reading from the upstream. Dealing leaves some extents for each reader, so that all
 * other changes find one.
 *
 *   in log  [ ... | m1 | m2 | m3 | m4 | m5 | m6 | partial ]     no member; a backlog
 *                 ^backlog  ^A        ^B        ^given          readers A and B came here, and wait
 *   A is trusted:
 *   in log  [ ... | m1 | m2 | m3 | m4 | m5 | m6 | partial ]     no backlog; A and B are members
 *                 ^A                  ^B        ^given          (balance: B gets new messages only)
 *
 * How HoldSize= works; words in quotes stand in the image:
 *
 * - The backlog begins when HoldSize= is not 0 and no member is left: "has_backlog" is 1, and the
 *   cursor "backlog" starts at the end of the in log. "given" is the position up to which messages
 *   were given to members or to the backlog, or dropped. Beyond HoldSize= the oldest messages of
 *   the backlog are dropped (hold_full); while a reader waits, ClientQueueSize= is added.
 * - A reader that joins while the backlog exists waits: "reading" is READER_WAITS, "waits" is
 *   "given" plus one, and its cursor gets nothing. Any other new reader is a member at once.
 * - client_due() trusts the first of the waiting readers when its client has been connected for
 *   100 ms and has not shut down the reading side. client_trust() sets "sending" to the number of
 *   bytes offered and sends the first bytes of the backlog, if any. If the socket refuses the
 *   bytes, the reader is done and the backlog stays. Else one transaction of reader_trust() makes
 *   the reader a member, lets the reader's cursor inherit the backlog, and ends the backlog;
 *   "admit" gets the first position that other waiting readers may read from. Next these become
 *   members: in broadcast, the cursor of each starts at "waits" minus one or at "admit", whichever
 *   is later. Last, the bytes sent are booked and "sending" is cleared.
 * - "inherited" is the size of the backlog that the client got, which is added to ClientQueueSize=,
 *   but with SlowClient=wait, until the queue is within ClientQueueSize= for the first time.
 * - When HoldSize= becomes 0, the waiting readers become members. Messages of the backlog that came
 *   before the first of them are dropped (hold_full). Later ones are for the waiting readers: in
 *   broadcast as after a trust, in balance each for one of them.
 * - After a crash amid a send, "sending" is not 0, and any of the offered bytes may be in the
 *   socket. client_reconcile() ends the client; reader_done() drops the messages that were offered.
 *   Of the backlog, messages that came after another waiting reader are kept (broadcast).
 * - After a crash amid reader_trust(), readers wait without a backlog: spread_settle() makes them
 *   members, from "admit" on.
 * - A lone member that ends without having taken a byte leaves its messages to the backlog, in
 *   broadcast. In balance, messages that a reader has not begun go to other members or to the
 *   backlog, except for messages before "dealt_from": broadcast gave these to every member.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/books.h"
#include "store/cursor.h"

/* The numbers stand in the image. */
enum reader_role {
        READER_NONE,    /* its cursor pins nothing */
        READER_MEMBER,  /* new messages are for the reader */
        READER_WAITS,   /* waits to be trusted with the backlog */
        READER_LEAVING, /* gets the messages queued for it, and no new messages */
};

struct reader {
        struct spread *spread;      /* borrowed */
        struct image_client *image; /* in the store */
        struct cursor cursor;
        enum reader_role role;
        uint32_t index;    /* index in spread.all */
        uint32_t rank;     /* of a member: index in spread.rank */
        uint32_t at;       /* a hint for cursor_insert(): the extent inserted last, */
        uint64_t at_round; /* in this round of spread_return_all() */
        uint64_t served;   /* spread.serves at the last deal: round robin among equals */
};

struct spread {
        struct store *store; /* borrowed, as the log */
        struct log *log;
        struct image_spread *image; /* in the store */
        struct cursor backlog;
        bool balance, wanted; /* wanted: the mode configured, which may have to wait for extents */
        bool scant;           /* extents are scarce, see spread_mind_extents() */
        uint32_t spare_each;  /* extents that dealing leaves for each reader */
        uint64_t backlog_size, queue_size;
        struct reader *last;         /* the member to which messages went last, borrowed, or NULL */
        struct reader **all, **rank; /* arrays owned, readers borrowed */
        uint32_t n_all, n_members, room;
        uint64_t serves, rounds, backlog_at; /* backlog_at: as reader.at, for the backlog */
        struct log_place given;              /* as in the image, with the number of the message */
        bool news; /* readers were given messages since the caller last cleared `news` */
        /* Called in balance before the new messages of [from, to) are dealt to the reader; may be
         * NULL. */
        void (*dealt)(void *context, struct reader *reader, struct log_place from,
                      struct log_place to);
        void *context;
};

/* Begins on an empty image. `log` is the in log, borrowed. */
void spread_init(struct spread *spread, struct log *log);

/* Recovers the spread of a checked image. Next the caller recovers each reader, and then calls
 * spread_settle() before any other function. */
void spread_recover(struct spread *spread, struct log *log);

/*
 * Finishes changes that a crash cut short, in the predecessor's mode. Sets the limits, but drops
 * nothing beyond a smaller one yet: of the messages that a send cut short had offered, which stand
 * first in a queue, some may be in a socket, and reader_done() must drop just these. When all
 * clients are reconciled, spread_configure() follows.
 */
void spread_settle(struct spread *spread, uint64_t backlog_size, uint64_t queue_size);

/* Frees the arrays; the readers stay their owners'. */
void spread_done(struct spread *spread);

/*
 * Sets the mode and the limits, in bytes. Messages queued for a reader stay queued for the same
 * reader. backlog_size 0: no backlog, and the messages of a backlog are dropped (hold_full), but
 * for messages that came while a reader waited: these go to the waiting readers. While a reader
 * waits, the limit of the backlog is backlog_size + queue_size.
 */
void spread_configure(struct spread *spread, bool balance, uint64_t backlog_size,
                      uint64_t queue_size);

/* Makes room for another reader, before reader_join() or reader_recover(). False: no memory. */
bool spread_room(struct spread *spread);

/* After log_take(): gives new messages to the members or to the backlog, or drops the messages. */
void spread_taken(struct spread *spread);

/* Looks whether extents are still scarce, and ends `scant` if not. While the spread is scant and
 * nothing may be dropped, the caller stops reading from the upstream, and calls this function
 * when readers have read. */
void spread_mind_extents(struct spread *spread);

/* True if the spread has a member. */
bool spread_has_readers(const struct spread *spread);

/* Fills in *books: accepted, delivered, dropped and queued, the age of the oldest message, and the
 * fullest queue for its limit: the queue of a reader (limit queue_limit) or the backlog. */
void spread_books(struct spread *spread, uint64_t queue_limit, uint64_t now_usec,
                  struct books *books);

/* Adds a new reader, after spread_room(): a member, or a waiting reader if there is a backlog. The
 * reader's memory and `image` are borrowed until reader_done(). Part of a transaction. */
void reader_join(struct reader *reader, struct spread *spread, struct image_client *image);

/* Recovers a reader of a checked image, after spread_room(). */
void reader_recover(struct reader *reader, struct spread *spread, struct image_client *image);

/* True if the reader does not wait, or is the first of the waiting readers, to which the backlog
 * goes. */
bool reader_is_next(const struct reader *reader);

/* Returns the cursor of the backlog, borrowed, if the reader waits and the backlog has messages;
 * else NULL. */
struct cursor *reader_offer(struct reader *reader);

/* Makes a waiting reader a member: its cursor inherits the backlog, and the other waiting readers
 * become members, too. Last, `taken` bytes of the offer are booked, and the word `sending` of the
 * reader's client is cleared. Does nothing if the reader does not wait. */
void reader_trust(struct reader *reader, uint64_t taken);

/* Books `bytes` of the last cursor_gather() as written to the reader's client. */
void reader_advance(struct reader *reader, uint64_t bytes);

/* The reader keeps the messages in its queue and gets no new messages. Returns 0, or -ENOMEM: the
 * reader is unchanged, and the caller must call reader_done(). */
int reader_leave(struct reader *reader);

/* Drops the oldest messages not begun (queue_full), until at most `limit` bytes wait, or a single
 * message. Returns the count of messages dropped. */
struct count reader_shorten(struct reader *reader, uint64_t limit);

/*
 * Ends a reader; its delivered messages are booked in the totals. In balance, messages not begun go
 * to other members or to the backlog. In broadcast, messages go to the backlog if the reader was
 * the only member and never took a byte. All other messages are dropped for `reason`: also a
 * message begun, and the messages offered by a send which a crash cut short (`sending`). Returns
 * the count of messages dropped.
 */
struct count reader_done(struct reader *reader, enum drop_reason reason);
