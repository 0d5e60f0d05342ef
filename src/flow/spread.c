/* SPDX-License-Identifier: MIT */
/* Gives new messages to members or to the backlog, changes the mode, and sums up the books. */
#include "flow/spread_internal.h"

#include <stdlib.h>

/* Of each: one when the reader leaves or the mode changes, one when messages come before those
 * behind a message that is begun, one when messages behind it are dropped, one to spare. */
enum { SPARE_EACH = 4 };

/* Without a member: new messages go to the backlog, or are dropped and counted. */
static void keep(struct spread *spread)
{
        struct log_range range = {spread->given, log_end(spread->log)};
        bool full = false;

        store_begin(spread->store);
        if (!spread->image->has_backlog)
                spread_book_dropped(spread, DROP_NO_CLIENT, spread_range_count(&range));
        else if (spread->balance)
                full = cursor_extend(&spread->backlog, range.from, range.to) < 0;
        if (full)
                spread_book_dropped(spread, DROP_HOLD_FULL, spread_range_count(&range));
        spread_given(spread, range.to);
        store_commit(spread->store);
        if (spread->image->has_backlog)
                spread_limit_backlog(spread);
        else
                log_trim(spread->log);
}

bool spread_has_readers(const struct spread *spread)
{
        return spread->n_members > 0;
}

/* ---- life ---- */

void spread_init(struct spread *spread, struct log *log)
{
        *spread = (struct spread){.store = log->store,
                                  .log = log,
                                  .spare_each = SPARE_EACH,
                                  .image = &log->store->image->spread,
                                  .given = log_end(log)};
        store_set(&spread->image->given, spread->given.pos);
}

void spread_recover(struct spread *spread, struct log *log)
{
        *spread = (struct spread){.store = log->store,
                                  .log = log,
                                  .spare_each = SPARE_EACH,
                                  .image = &log->store->image->spread};
        spread->given = log_place(log, spread->image->given);
        spread->balance = spread->wanted = spread->image->balance;
        if (spread->image->has_backlog)
                cursor_recover(&spread->backlog, log, &spread->image->backlog);
}

void spread_done(struct spread *spread)
{
        free(spread->all);
        free(spread->rank);
        *spread = (struct spread){0};
}

static void follow_mode(struct spread *spread, struct cursor *cursor)
{
        if (!spread->balance)
                cursor_open(cursor, spread->given);
        else if (cursor_close(cursor) < 0)
                abort(); /* change_mode() has made sure of the extents */
}

/* Opens or closes all cursors as the mode says: a crash amid a change of the mode leaves some of
 * the cursors unchanged. */
static void follow_all(struct spread *spread)
{
        for (size_t i = 0; i < spread->n_members; i++)
                follow_mode(spread, &spread->rank[i]->cursor);
        if (spread->balance)
                spread_rank_all(spread);
        if (spread->image->has_backlog)
                follow_mode(spread, &spread->backlog);
}

/* Messages queued for a reader stay queued for the reader; new messages follow the new mode.
 * Without an extent for each reader the old mode stays for now: balance closes cursors. */
static void change_mode(struct spread *spread)
{
        struct image_spread *image = spread->image;

        if (!spread->balance && !spread_may_split(spread))
                return;
        spread->balance = !spread->balance;
        store_begin(spread->store);
        store_put(spread->store, &image->balance, spread->balance);
        if (spread->balance) /* no reader has the messages of the backlog */
                store_put(spread->store, &image->dealt_from,
                          image->has_backlog ? image->backlog.pos : spread->given.pos);
        store_commit(spread->store);
        follow_all(spread);
}

void spread_taken(struct spread *spread)
{
        if (spread->given.pos == spread->log->image->end)
                return;
        if (!spread->n_members) {
                keep(spread);
                return;
        }
        spread->news = true;
        if (spread->balance) {
                spread_deal_all(spread);
                return;
        }
        spread->given = log_end(spread->log);
        store_set(&spread->image->given, spread->given.pos);
        if (spread->wanted)
                change_mode(spread);
}

void spread_settle(struct spread *spread, uint64_t backlog_size, uint64_t queue_size)
{
        spread->backlog_size = UINT64_MAX;
        follow_all(spread);
        spread_taken(spread);
        if (!spread->image->has_backlog) /* a crash amid reader_trust() leaves waiting readers */
                spread_admit_waiting(spread, spread->image->admit);
        spread->backlog_size = backlog_size;
        spread->queue_size = queue_size;
}

void spread_configure(struct spread *spread, bool balance, uint64_t backlog_size,
                      uint64_t queue_size)
{
        spread->backlog_size = backlog_size;
        spread->queue_size = queue_size;
        if (!backlog_size) /* the messages of the backlog came in the mode before */
                spread_mind_backlog(spread);
        spread->wanted = balance;
        if (balance != spread->balance)
                change_mode(spread);
        spread_mind_backlog(spread);
        spread_limit_backlog(spread);
}

static bool grow(struct reader ***readers, size_t room)
{
        struct reader **more = reallocarray(*readers, room, sizeof(**readers));

        if (more)
                *readers = more;
        return more != NULL;
}

bool spread_room(struct spread *spread)
{
        uint32_t room = spread->room * 2 + 64;

        if (spread->n_all < spread->room)
                return true;
        if (!grow(&spread->all, room) || !grow(&spread->rank, room))
                return false;
        spread->room = room;
        return true;
}

static void count_age(struct cursor *cursor, uint64_t now, struct books *books)
{
        uint64_t oldest = cursor_oldest(cursor), age = now > oldest ? now - oldest : 0;

        if (oldest && (books->oldest_usec == BOOKS_NONE || age > books->oldest_usec))
                books->oldest_usec = age;
}

/* Adds the queue of a cursor to the books. True if the queue is fuller, for its limit, than every
 * queue added before. */
static bool count_queue(struct cursor *cursor, uint64_t limit, uint64_t now, struct books *books)
{
        struct count done, queued;

        cursor_counts(cursor, &done, &queued);
        books->delivered = count_add(books->delivered, done);
        books->queued = count_add(books->queued, queued);
        books->accepted = count_add(books->accepted, count_add(done, queued));
        count_age(cursor, now, books);
        if ((double)queued.bytes * (double)books->limit_bytes <=
            (double)books->fullest_bytes * (double)limit)
                return false;
        books->fullest_bytes = queued.bytes;
        books->limit_bytes = limit;
        return true;
}

void spread_books(struct spread *spread, uint64_t queue_limit, uint64_t now, struct books *books)
{
        const struct image_totals *totals = &spread->store->image->totals;

        *books = (struct books){
                .accepted = {totals->in_messages, totals->in_bytes},
                .delivered = {totals->in_done_messages, totals->in_done_bytes},
                .limit_bytes = queue_limit,
                .oldest_usec = BOOKS_NONE,
        };
        for (int i = 0; i < DROP_REASONS; i++)
                books->dropped[i] =
                        (struct count){totals->in_dropped[i][0], totals->in_dropped[i][1]};
        for (size_t i = 0; i < spread->n_all; i++)
                count_queue(&spread->all[i]->cursor, queue_limit, now, books);
        if (!spread->image->has_backlog)
                return;
        books->fullest_is_backlog = count_queue(&spread->backlog, spread->backlog_size, now, books);
}
