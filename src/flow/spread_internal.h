/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What spread.c (what comes, the mode), spread_backlog.c (what is held, given up and passed on),
 * spread_rank.c (who has the shortest queue) and spread_reader.c (a reader's life) have in common.
 */
#include "flow/spread.h"

static inline struct log_place log_end(const struct log *log)
{
        return (struct log_place){log->image->end, log->image->number, 0};
}

static inline struct count range_count(const struct log_range *range)
{
        return (struct count){range->to.number - range->from.number,
                              range->to.pos - range->from.pos};
}

/* ---- spread_rank.c: rank[0] is the member with the shortest queue; kept only in balance ---- */

/* A new one; its words say so already. */
void spread_rank_add(struct spread *spread, struct reader *reader);
void spread_rank_remove(struct spread *spread, struct reader *reader);

/* Its queue has become longer or shorter. */
void spread_rank_mend(struct spread *spread, struct reader *reader);

/* They stand in any order. */
void spread_rank_all(struct spread *spread);

/* ---- spread_backlog.c ---- */

/* Messages that no cursor has any more, or ever had. Part of a transaction. */
void spread_book_dropped(struct spread *spread, enum drop_reason reason, struct count count);

/* Drops what a cursor has not begun: `most` bytes of what stands together, one message at least.
 * Returns what was dropped: no messages when it has none. */
struct count spread_drop_some(struct spread *spread, struct cursor *cursor, uint64_t most,
                              enum drop_reason reason);

/* The oldest of it, until at most `limit` bytes wait, or one message alone. */
struct count spread_drop_beyond(struct spread *spread, struct cursor *cursor, uint64_t limit,
                                enum drop_reason reason);

/* What is held is not more than may be. */
void spread_limit_backlog(struct spread *spread);

/* Something is held exactly while nobody reads and it may be. */
void spread_mind_backlog(struct spread *spread);

/* Where what is held goes on without an end: the beginning of what may be told from the log. */
uint64_t spread_backlog_from(const struct spread *spread);

/* Who waited gets what came since it is there, from position `least` on. */
void spread_admit_waiting(struct spread *spread, uint64_t least);

/*
 * What a reader has not begun goes on to others, as long as there is anybody and memory. But what
 * came while each message was for all, the others have got; returns what was dropped of it.
 */
struct count spread_return_all(struct spread *spread, struct cursor *cursor,
                               enum drop_reason reason);
