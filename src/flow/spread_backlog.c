/* SPDX-License-Identifier: MIT */
/* Drops, the backlog, and how a reader's messages return to other members or to the backlog. */
#include "flow/spread_internal.h"

/* ---- drops ---- */

void spread_book_dropped(struct spread *spread, enum drop_reason reason, struct count count)
{
        struct image_totals *totals = &spread->store->image->totals;

        store_add(spread->store, &totals->in_messages, count.messages);
        store_add(spread->store, &totals->in_bytes, count.bytes);
        store_add(spread->store, &totals->in_dropped[reason][0], count.messages);
        store_add(spread->store, &totals->in_dropped[reason][1], count.bytes);
}

/* A transaction for each range of messages: all ranges may be too many words for a transaction. */
struct count spread_drop_some(struct spread *spread, struct cursor *cursor, uint64_t most,
                              enum drop_reason reason)
{
        struct log_range range;

        if (!cursor_first(cursor, most, &range))
                return (struct count){0, 0};
        store_begin(spread->store);
        if (cursor_drop(cursor, &range) < 0) { /* no memory for an extent behind the range */
                cursor_first(cursor, UINT64_MAX, &range);
                cursor_drop(cursor, &range);
        }
        spread_book_dropped(spread, reason, spread_range_count(&range));
        store_commit(spread->store);
        return spread_range_count(&range);
}

struct count spread_drop_beyond(struct spread *spread, struct cursor *cursor, uint64_t limit,
                                enum drop_reason reason)
{
        struct count dropped = {0, 0}, some;
        uint64_t waiting = cursor_waiting(cursor), left;

        if (waiting <= limit)
                return dropped;
        left = cursor_queued(cursor).messages;
        while (waiting > limit && left > 1) {
                some = spread_drop_some(spread, cursor, waiting - limit, reason);
                if (!some.messages)
                        break;
                dropped = count_add(dropped, some);
                left -= some.messages;
                waiting = cursor_waiting(cursor);
        }
        return dropped;
}

/* ---- the backlog ---- */

static void begin_backlog(struct spread *spread)
{
        store_begin(spread->store);
        cursor_init(&spread->backlog, spread->log, &spread->image->backlog, !spread->balance);
        store_put(spread->store, &spread->image->has_backlog, 1);
        store_commit(spread->store);
}

static void end_backlog(struct spread *spread)
{
        while (spread_drop_some(spread, &spread->backlog, UINT64_MAX, DROP_HOLD_FULL).messages)
                ;
        store_begin(spread->store);
        store_put(spread->store, &spread->image->has_backlog, 0);
        cursor_done(&spread->backlog);
        store_commit(spread->store);
}

static bool somebody_waits(const struct spread *spread)
{
        for (size_t i = 0; i < spread->n_all; i++)
                if (spread->all[i]->role == READER_WAITS)
                        return true;
        return false;
}

/* While a reader waits, the limit is higher by the queue of a reader: no message is lost
 * between the arrival of the reader and the trust. */
void spread_limit_backlog(struct spread *spread)
{
        uint64_t limit = spread->backlog_size;

        if (!spread->image->has_backlog || cursor_waiting(&spread->backlog) <= limit)
                return;
        if (somebody_waits(spread))
                limit += spread->queue_size;
        spread_drop_beyond(spread, &spread->backlog, limit, DROP_HOLD_FULL);
}

/* Inserts the messages, in the order of the log, into the queue of the member, or, with NULL, into
 * the backlog. Returns 0 or -ENOMEM. */
static int give_on(struct spread *spread, struct reader *to, const struct log_range *range)
{
        uint64_t at;
        int result;

        if (!to)
                return cursor_insert(&spread->backlog, range->from, range->to, &spread->backlog_at);
        if (to->at_round != spread->rounds) {
                to->at_round = spread->rounds;
                to->at = 0;
        }
        at = to->at;
        result = cursor_insert(&to->cursor, range->from, range->to, &at);
        to->at = (uint32_t)at; /* an extent's number */
        spread_served(spread, to);
        return result;
}

/* Extends the range, a first message, by as many of the messages of the cursor behind it as its
 * heir may get. Returns the heir; NULL: the backlog. */
static struct reader *heir_of(struct spread *spread, const struct cursor *cursor,
                              struct log_range *range)
{
        uint64_t size = range->to.pos - range->from.pos, room = UINT64_MAX;
        struct reader *to = spread->n_members ? spread_heir(spread, size, &room) : NULL;

        if (!spread_may_split(spread))
                room = UINT64_MAX; /* whole, the messages need no further extent */
        if (room > size)
                cursor_first(cursor, room, range);
        return to;
}

struct count spread_return_all(struct spread *spread, struct cursor *cursor,
                               enum drop_reason reason)
{
        uint64_t dealt_from = spread->image->dealt_from;
        struct count dropped = {0, 0};
        struct log_range range;
        struct reader *to;
        int result = 0;

        if (!spread->n_members && !spread->image->has_backlog)
                return dropped;
        spread->rounds++;
        spread->backlog_at = 0;
        while (result == 0 && cursor_first(cursor, 1, &range)) {
                if (range.from.pos < dealt_from) {
                        dropped = count_add(dropped,
                                            spread_drop_some(spread, cursor,
                                                             dealt_from - range.from.pos, reason));
                        continue;
                }
                to = heir_of(spread, cursor, &range);
                store_begin(spread->store);
                result = give_on(spread, to, &range);
                if (result == 0)
                        result = cursor_drop(cursor, &range);
                store_commit(spread->store);
        }
        spread->news = true;
        return dropped;
}

/* Where a waiting reader begins to read: at `pos`, where the reader came, but not before `least`.
 */
static struct log_place since_then(const struct spread *spread, uint64_t pos, uint64_t least)
{
        return log_place(spread->log, pos > least ? pos : least);
}

void spread_admit_waiting(struct spread *spread, uint64_t least)
{
        for (size_t i = 0; i < spread->n_all; i++) {
                struct reader *reader = spread->all[i];

                if (reader->role != READER_WAITS)
                        continue;
                store_begin(spread->store);
                if (!spread->balance)
                        cursor_open(&reader->cursor,
                                    since_then(spread, reader->image->waits - 1, least));
                store_put(spread->store, &reader->image->waits, 0);
                store_put(spread->store, &reader->image->reading, READER_MEMBER);
                store_commit(spread->store);
                spread_rank_add(spread, reader);
                spread->news = true;
        }
}

/* Drops the messages of the backlog that came before every waiting reader. */
static void drop_unseen(struct spread *spread)
{
        uint64_t seen = spread_seen_from(spread);
        struct log_range range;

        while (cursor_first(&spread->backlog, 1, &range) && range.from.pos < seen)
                spread_drop_some(spread, &spread->backlog, seen - range.from.pos, DROP_HOLD_FULL);
}

uint64_t spread_seen_from(const struct spread *spread)
{
        uint64_t least = UINT64_MAX;

        for (size_t i = 0; i < spread->n_all; i++) {
                const struct reader *reader = spread->all[i];

                if (reader->role == READER_WAITS && reader->image->waits - 1 < least)
                        least = reader->image->waits - 1;
        }
        return least;
}

uint64_t spread_backlog_from(const struct spread *spread)
{
        const struct image_cursor *backlog = &spread->image->backlog;

        if (spread->balance)
                return UINT64_MAX;
        return backlog->open_from != IMAGE_OPEN ? backlog->open_from : backlog->pos;
}

void spread_mind_backlog(struct spread *spread)
{
        bool keep = spread->backlog_size && !spread->n_members;
        uint64_t from;

        if (keep && !spread->image->has_backlog)
                begin_backlog(spread);
        if (keep || !spread->image->has_backlog)
                return;
        from = spread_backlog_from(spread);
        if (spread->balance && !spread->n_members)
                drop_unseen(spread);
        /* First the cursors of the waiting readers pin their slabs of the log. */
        spread_admit_waiting(spread, from);
        /* Messages that came while readers waited; or, after a crash amid reader_done() of the last
         * member, which is back, the messages that were returned to the backlog so far. */
        if (spread->balance && spread->n_members)
                spread_return_all(spread, &spread->backlog, DROP_HOLD_FULL);
        end_backlog(spread);
}
