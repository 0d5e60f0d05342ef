/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Shared by the files of the spread: spread.c (new messages, the mode), spread_deal.c (balance),
 * spread_backlog.c (the backlog, drops, messages that a reader returns), spread_rank.c (the
 * shortest queue) and spread_reader.c (the life of a reader).
 */
#include "flow/spread.h"

/* Returns the number of messages and bytes of the range. */
static inline struct count spread_range_count(const struct log_range *range)
{
        return (struct count){range->to.number - range->from.number,
                              range->to.pos - range->from.pos};
}

/* ---- spread_deal.c ---- */

/* All messages before this place are given. Part of a transaction. */
void spread_given(struct spread *spread, struct log_place place);

/* Returns the member that gets the next message, of `size` bytes. *room is set to how many bytes of
 * messages may follow one another to this member; the first message may be larger. The spread has a
 * member. */
struct reader *spread_heir(struct spread *spread, uint64_t size, uint64_t *room);

/* True if there are extents enough to divide messages that stand together among members. */
bool spread_may_split(const struct spread *spread);

/* In balance, with a member: deals all new messages. */
void spread_deal_all(struct spread *spread);

/* ---- spread_rank.c: rank[0] has the shortest queue; kept in order in balance only ---- */

/* Adds a member, of which the image says READER_MEMBER already. */
void spread_rank_add(struct spread *spread, struct reader *reader);

/* Removes a member; its role is the caller's to set. */
void spread_rank_remove(struct spread *spread, struct reader *reader);

/* Messages went to the member: the last one to be served among equals, and in its new rank. */
void spread_served(struct spread *spread, struct reader *reader);

/* Moves the member to the new rank after the queue has grown or shrunk. */
void spread_rank_mend(struct spread *spread, struct reader *reader);

/* Orders all members by the length of their queues. */
void spread_rank_all(struct spread *spread);

/* ---- spread_backlog.c ---- */

/* Books messages as accepted and dropped that are in no cursor any more, or never were. Part of a
 * transaction. */
void spread_book_dropped(struct spread *spread, enum drop_reason reason, struct count count);

/* Drops the first messages not begun by the cursor: of one range, at most `most` bytes but at least
 * a message. Returns the count of messages dropped; 0 if no message waits. */
struct count spread_drop_some(struct spread *spread, struct cursor *cursor, uint64_t most,
                              enum drop_reason reason);

/* Drops the oldest messages not begun by the cursor, until at most `limit` bytes wait, or a single
 * message. Returns the count of messages dropped. */
struct count spread_drop_beyond(struct spread *spread, struct cursor *cursor, uint64_t limit,
                                enum drop_reason reason);

/* Drops the oldest messages of the backlog beyond its limit. */
void spread_limit_backlog(struct spread *spread);

/* Begins or ends the backlog: afterwards a backlog exists exactly if the spread has no member and
 * HoldSize= is not 0. */
void spread_mind_backlog(struct spread *spread);

/* Returns the position from which the backlog has every message of the in log (its cursor is open
 * from here on); UINT64_MAX in balance. */
uint64_t spread_backlog_from(const struct spread *spread);

/* Returns the position where the first of the waiting readers came; UINT64_MAX: nobody waits. */
uint64_t spread_seen_from(const struct spread *spread);

/* Makes every waiting reader a member. In broadcast, the cursor of the reader starts where the
 * reader came, but not before `least`. */
void spread_admit_waiting(struct spread *spread, uint64_t least);

/*
 * Moves the messages not begun by the cursor to members, as spread_heir() says, or, without a
 * member, to the backlog. Messages before `dealt_from` are dropped for `reason`: broadcast gave the
 * messages to every member. Stops without memory; does nothing if the spread has neither a member
 * nor a backlog. Returns the count of messages dropped.
 */
struct count spread_return_all(struct spread *spread, struct cursor *cursor,
                               enum drop_reason reason);
