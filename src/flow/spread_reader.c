/* SPDX-License-Identifier: MIT */
/* The life of a reader: join, wait to be trusted, advance, leave. */
#include "flow/spread_internal.h"

#include <assert.h>

static void enlist(struct reader *reader, struct spread *spread, struct image_client *image)
{
        *reader = (struct reader){.spread = spread, .image = image, .index = spread->n_all};
        assert(spread->n_all < spread->room);
        spread->all[spread->n_all++] = reader;
}

void reader_join(struct reader *reader, struct spread *spread, struct image_client *image)
{
        bool waits = spread->image->has_backlog;

        enlist(reader, spread, image);
        cursor_init(&reader->cursor, spread->log, &image->cursor, !waits && !spread->balance);
        store_put(spread->store, &image->waits, waits ? spread->given.pos + 1 : 0);
        store_put(spread->store, &image->reading, waits ? READER_WAITS : READER_MEMBER);
        if (waits)
                reader->role = READER_WAITS;
        else
                spread_rank_add(spread, reader);
}

void reader_recover(struct reader *reader, struct spread *spread, struct image_client *image)
{
        enlist(reader, spread, image);
        cursor_recover(&reader->cursor, spread->log, &image->cursor);
        reader->role = (enum reader_role)image->reading;
        if (reader->role == READER_MEMBER)
                spread_rank_add(spread, reader);
}

bool reader_is_next(const struct reader *reader)
{
        const struct spread *spread = reader->spread;

        if (reader->role != READER_WAITS)
                return true;
        for (size_t i = 0; i < spread->n_all; i++)
                if (spread->all[i]->role == READER_WAITS &&
                    spread->all[i]->image->id < reader->image->id)
                        return false;
        return true;
}

struct cursor *reader_offer(struct reader *reader)
{
        struct spread *spread = reader->spread;

        return reader->role == READER_WAITS && cursor_waiting(&spread->backlog) ? &spread->backlog
                                                                                : NULL;
}

void reader_advance(struct reader *reader, uint64_t bytes)
{
        cursor_advance(&reader->cursor, bytes);
        if (reader->spread->balance && reader->role == READER_MEMBER)
                spread_rank_mend(reader->spread, reader);
}

void reader_trust(struct reader *reader, uint64_t taken)
{
        struct spread *spread = reader->spread;
        uint64_t from;

        if (reader->role != READER_WAITS)
                return;
        from = spread_backlog_from(spread);
        store_begin(spread->store);
        cursor_inherit(&reader->cursor, &spread->backlog);
        store_put(spread->store, &reader->image->waits, 0);
        store_put(spread->store, &reader->image->reading, READER_MEMBER);
        store_put(spread->store, &spread->image->has_backlog, 0);
        store_put(spread->store, &spread->image->admit, from);
        store_commit(spread->store);
        spread_rank_add(spread, reader);
        spread->news = true;
        spread_admit_waiting(spread, from);
        /* Only now: the cursors of the other readers pin the slabs of the bytes taken. */
        store_begin(spread->store);
        reader_advance(reader, taken);
        store_put(spread->store, &reader->image->sending, 0);
        store_commit(spread->store);
}

int reader_leave(struct reader *reader)
{
        struct spread *spread = reader->spread;
        int result;

        if (reader->role == READER_NONE || reader->role == READER_LEAVING)
                return 0;
        store_begin(spread->store);
        result = cursor_close(&reader->cursor);
        if (result == 0) {
                store_put(spread->store, &reader->image->waits, 0);
                store_put(spread->store, &reader->image->reading, READER_LEAVING);
        }
        store_commit(spread->store);
        if (result < 0)
                return result;
        if (reader->role == READER_MEMBER)
                spread_rank_remove(spread, reader);
        reader->role = READER_LEAVING;
        spread_mind_backlog(spread);
        spread_limit_backlog(spread);
        return 0;
}

struct count reader_shorten(struct reader *reader, uint64_t limit)
{
        struct spread *spread = reader->spread;
        struct count dropped = spread_drop_beyond(spread, &reader->cursor, limit, DROP_QUEUE_FULL);

        if (dropped.messages && spread->balance && reader->role == READER_MEMBER)
                spread_rank_mend(spread, reader);
        return dropped;
}

/* Returns the position before which messages of the backlog are for one reader alone: no other
 * waiting reader had come yet, or the messages came in balance. */
static uint64_t unseen(const struct spread *spread)
{
        uint64_t from = spread_backlog_from(spread), seen = spread_seen_from(spread);

        return seen > from ? seen : from;
}

/*
 * A crash cut a send short. Any of the bytes offered may be in the reader's socket, and no other
 * reader may get them: each message that begins within *offered bytes of the cursor and before
 * position `before` is dropped. *offered, a word of the image, shrinks with each drop, and becomes
 * IMAGE_SENT when all is dropped, however often ftcpd ends amid the drops. Returns the count of
 * messages dropped.
 */
static struct count drop_offered(struct spread *spread, struct cursor *cursor, uint64_t before,
                                 uint64_t *offered, enum drop_reason reason)
{
        struct count dropped = {0, 0}, some;
        uint64_t begun = cursor_begun(cursor), most;
        struct log_range range;

        while (*offered != IMAGE_SENT) {
                most = *offered > begun ? *offered - begun : 0;
                if (!most || !cursor_first(cursor, most, &range) || range.from.pos >= before) {
                        store_set(offered, IMAGE_SENT);
                        break;
                }
                if (most > before - range.from.pos)
                        most = before - range.from.pos;
                store_begin(spread->store);
                some = spread_drop_some(spread, cursor, most, reason);
                store_put(spread->store, offered,
                          some.bytes < *offered - begun ? *offered - some.bytes : IMAGE_SENT);
                store_commit(spread->store);
                dropped = count_add(dropped, some);
        }
        return dropped;
}

/* In broadcast, the messages of the only member become the backlog if the member never took a byte:
 * whether its client reads at all is not known. After a crash amid reader_done(), the reader waits
 * to be trusted again. In balance, spread_return_all() moves the messages. */
static void keep_as_backlog(struct spread *spread, struct reader *reader)
{
        const struct image_cursor *image = reader->cursor.image;

        if (!spread->backlog_size || spread->n_members || spread->balance || image->done_bytes ||
            image->pos != image->from)
                return;
        store_begin(spread->store);
        cursor_init(&spread->backlog, spread->log, &spread->image->backlog, false);
        cursor_inherit(&spread->backlog, &reader->cursor);
        cursor_init(&reader->cursor, spread->log, &reader->image->cursor, false);
        store_put(spread->store, &reader->image->waits, spread->given.pos + 1);
        store_put(spread->store, &reader->image->reading, READER_WAITS);
        store_put(spread->store, &spread->image->has_backlog, 1);
        store_commit(spread->store);
}

struct count reader_done(struct reader *reader, enum drop_reason reason)
{
        struct spread *spread = reader->spread;
        struct image_totals *totals = &spread->store->image->totals;
        struct count dropped = {0, 0}, some, done;
        enum reader_role role = reader->role;

        if (role == READER_NONE)
                return dropped;
        reader->role = READER_NONE;
        if (role == READER_MEMBER)
                spread_rank_remove(spread, reader);
        if (reader->image->sending && role != READER_WAITS)
                dropped = drop_offered(spread, &reader->cursor, UINT64_MAX, &reader->image->sending,
                                       reason);
        else if (reader->image->sending && spread->image->has_backlog)
                dropped = drop_offered(spread, &spread->backlog, unseen(spread),
                                       &reader->image->sending, reason);
        if (role == READER_MEMBER)
                keep_as_backlog(spread, reader);
        spread_mind_backlog(spread);
        if (spread->balance)
                dropped = count_add(dropped, spread_return_all(spread, &reader->cursor, reason));
        spread_limit_backlog(spread);
        while ((some = spread_drop_some(spread, &reader->cursor, UINT64_MAX, reason)).messages)
                dropped = count_add(dropped, some);
        done = cursor_delivered(&reader->cursor);
        some = cursor_queued(&reader->cursor);
        store_begin(spread->store);
        store_add(spread->store, &totals->in_messages, done.messages);
        store_add(spread->store, &totals->in_bytes, done.bytes);
        store_add(spread->store, &totals->in_done_messages, done.messages);
        store_add(spread->store, &totals->in_done_bytes, done.bytes);
        spread_book_dropped(spread, reason, some);
        store_put(spread->store, &reader->image->gone_messages, done.messages);
        store_put(spread->store, &reader->image->gone_bytes, done.bytes);
        store_put(spread->store, &reader->image->waits, 0);
        store_put(spread->store, &reader->image->reading, READER_NONE);
        cursor_done(&reader->cursor);
        store_commit(spread->store);
        spread->all[reader->index] = spread->all[--spread->n_all];
        spread->all[reader->index]->index = reader->index;
        return count_add(dropped, some);
}
