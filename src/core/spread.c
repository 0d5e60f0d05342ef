/* SPDX-License-Identifier: MIT */
#include "core/spread.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- the members, the one with the shortest queue first: a heap ---- */

static bool goes_before(const struct reader *a, const struct reader *b)
{
        uint64_t x = cursor_waiting(&a->cursor), y = cursor_waiting(&b->cursor);

        return x < y || (x == y && a->served < b->served);
}

static void rank_put(struct spread *spread, uint32_t rank, struct reader *reader)
{
        spread->rank[rank] = reader;
        reader->rank = rank;
}

/* It goes behind those below it that are before it. */
static void rank_sink(struct spread *spread, uint32_t at)
{
        struct reader *reader = spread->rank[at];
        uint32_t child;

        while ((child = 2 * at + 1) < spread->n_members) {
                if (child + 1 < spread->n_members &&
                    goes_before(spread->rank[child + 1], spread->rank[child]))
                        child++;
                if (!goes_before(spread->rank[child], reader))
                        break;
                rank_put(spread, at, spread->rank[child]);
                at = child;
        }
        rank_put(spread, at, reader);
}

/* Its queue has become longer or shorter. */
static void rank_mend(struct spread *spread, struct reader *reader)
{
        uint32_t at = reader->rank;

        for (; at > 0 && goes_before(reader, spread->rank[(at - 1) / 2]); at = (at - 1) / 2)
                rank_put(spread, at, spread->rank[(at - 1) / 2]);
        rank_put(spread, at, reader);
        rank_sink(spread, at);
}

/* Its words say so already. */
static void member_add(struct spread *spread, struct reader *reader)
{
        reader->role = READER_MEMBER;
        reader->served = ++spread->serves;
        rank_put(spread, spread->n_members++, reader);
        if (spread->balance)
                rank_mend(spread, reader);
}

static void member_remove(struct spread *spread, struct reader *reader)
{
        struct reader *last = spread->rank[--spread->n_members];

        if (last == reader)
                return;
        rank_put(spread, reader->rank, last);
        if (spread->balance)
                rank_mend(spread, last);
}

/* ---- what is given up ---- */

/* Messages that no cursor has any more, or ever had. Part of a transaction. */
static void book_dropped(struct spread *spread, enum drop_reason reason, struct count count)
{
        struct image_totals *totals = &spread->store->image->totals;

        store_add(spread->store, &totals->in_messages, count.messages);
        store_add(spread->store, &totals->in_bytes, count.bytes);
        store_add(spread->store, &totals->in_dropped[reason][0], count.messages);
        store_add(spread->store, &totals->in_dropped[reason][1], count.bytes);
}

static struct count range_count(const struct log_range *range)
{
        return (struct count){range->to.number - range->from.number,
                              range->to.pos - range->from.pos};
}

/* One transaction for each range that stands together: they may be many. */
static struct count drop_some(struct spread *spread, struct cursor *cursor, uint64_t most,
                              enum drop_reason reason)
{
        struct log_range range;

        if (!cursor_first(cursor, most, &range))
                return (struct count){0, 0};
        store_begin(spread->store);
        if (cursor_drop(cursor, &range) < 0) { /* no memory to keep what is behind it */
                cursor_first(cursor, UINT64_MAX, &range);
                cursor_drop(cursor, &range);
        }
        book_dropped(spread, reason, range_count(&range));
        store_commit(spread->store);
        return range_count(&range);
}

static struct count shorten(struct spread *spread, struct cursor *cursor, uint64_t limit,
                            enum drop_reason reason)
{
        struct count dropped = {0, 0}, some;
        uint64_t waiting = cursor_waiting(cursor), left;

        if (waiting <= limit)
                return dropped;
        left = cursor_queued(cursor).messages;
        while (waiting > limit && left > 1) {
                some = drop_some(spread, cursor, waiting - limit, reason);
                if (!some.messages)
                        break;
                dropped = count_add(dropped, some);
                left -= some.messages;
                waiting = cursor_waiting(cursor);
        }
        return dropped;
}

/* ---- what is held ---- */

static struct log_place log_end(const struct log *log)
{
        return (struct log_place){log->image->end, log->image->number, 0};
}

static void hold_begin(struct spread *spread)
{
        store_begin(spread->store);
        cursor_init(&spread->held, spread->log, &spread->image->held, !spread->balance);
        store_put(spread->store, &spread->image->holding, 1);
        store_commit(spread->store);
}

static void hold_end(struct spread *spread)
{
        while (drop_some(spread, &spread->held, UINT64_MAX, DROP_HOLD_FULL).messages)
                ;
        store_begin(spread->store);
        store_put(spread->store, &spread->image->holding, 0);
        cursor_done(&spread->held);
        store_commit(spread->store);
}

static bool somebody_waits(const struct spread *spread)
{
        for (size_t i = 0; i < spread->n_all; i++)
                if (spread->all[i]->role == READER_WAITS)
                        return true;
        return false;
}

/* Who is there, but not trusted yet, does not lose what comes meanwhile. */
static void limit_hold(struct spread *spread)
{
        uint64_t limit = spread->hold_size;

        if (!spread->image->holding || cursor_waiting(&spread->held) <= limit)
                return;
        if (somebody_waits(spread))
                limit += spread->queue_size;
        shorten(spread, &spread->held, limit, DROP_HOLD_FULL);
}

/* To the one with the shortest queue, in its place there; or to what is held. */
static int give_on(struct spread *spread, const struct log_range *range)
{
        struct reader *to = spread->n_members ? spread->rank[0] : NULL;
        uint64_t at;
        int result;

        if (!to)
                return cursor_insert(&spread->held, range->from, range->to, &spread->held_at);
        if (to->at_round != spread->rounds) {
                to->at_round = spread->rounds;
                to->at = 0;
        }
        at = to->at;
        result = cursor_insert(&to->cursor, range->from, range->to, &at);
        to->at = (uint32_t)at; /* an extent's number */
        to->served = ++spread->serves;
        rank_mend(spread, to);
        return result;
}

/*
 * What a reader has not begun goes on to others, as long as there is anybody and memory. But what
 * came while each message was for all, the others have got; returns what was dropped of it.
 */
static struct count return_all(struct spread *spread, struct cursor *cursor,
                               enum drop_reason reason)
{
        uint64_t most = spread->n_members > 1 ? 1 : UINT64_MAX;
        uint64_t dealt_from = spread->image->dealt_from;
        struct count dropped = {0, 0};
        struct log_range range;
        int result = 0;

        if (!spread->n_members && !spread->image->holding)
                return dropped;
        spread->rounds++;
        spread->held_at = 0;
        while (result == 0 && cursor_first(cursor, most, &range)) {
                if (range.from.pos < dealt_from) {
                        most = dealt_from - range.from.pos;
                        dropped = count_add(dropped, drop_some(spread, cursor, most, reason));
                        most = spread->n_members > 1 ? 1 : UINT64_MAX;
                        continue;
                }
                store_begin(spread->store);
                result = give_on(spread, &range);
                if (result == 0)
                        result = cursor_drop(cursor, &range);
                store_commit(spread->store);
        }
        spread->news = true;
        return dropped;
}

/* Where a newcomer begins that came at this position, or what is left of what came since. */
static struct log_place since_then(const struct spread *spread, uint64_t pos, uint64_t least)
{
        return log_place(spread->log, pos > least ? pos : least);
}

/* Who waited gets what came since it is there, from position `least` on. */
static void admit_waiting(struct spread *spread, uint64_t least)
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
                member_add(spread, reader);
                spread->news = true;
        }
}

/* Where what is held goes on without an end: the beginning of what may be told from the log. */
static uint64_t held_from(const struct spread *spread)
{
        const struct image_cursor *held = &spread->image->held;

        if (spread->balance)
                return UINT64_MAX;
        return held->resume != IMAGE_OPEN ? held->resume : held->pos;
}

/* Something is held exactly while nobody reads and it may be. */
static void mind_hold(struct spread *spread)
{
        bool hold = spread->hold_size && !spread->n_members;
        uint64_t from;

        if (hold && !spread->image->holding)
                hold_begin(spread);
        if (hold || !spread->image->holding)
                return;
        from = held_from(spread);
        /* After a crash while the last one went: what it had returned so far is its again. */
        if (spread->balance && spread->n_members)
                return_all(spread, &spread->held, DROP_HOLD_FULL);
        /* First those who wait take hold of the log. */
        admit_waiting(spread, from);
        hold_end(spread);
}

/* ---- what comes ---- */

/* Part of a transaction. */
static void give_until(struct spread *spread, struct log_place place)
{
        store_put(spread->store, &spread->image->given, place.pos);
        spread->given = place;
}

static void deal(struct spread *spread, struct reader *reader, struct log_place to)
{
        struct log_range range = {spread->given, to};

        if (spread->dealt)
                spread->dealt(spread->context, reader, range.from, range.to);
        store_begin(spread->store);
        if (cursor_extend(&reader->cursor, range.from, range.to) < 0)
                book_dropped(spread, DROP_QUEUE_FULL, range_count(&range));
        give_until(spread, to);
        store_commit(spread->store);
        reader->served = ++spread->serves;
        rank_mend(spread, reader);
}

static void deal_all(struct spread *spread)
{
        uint32_t slab = SLAB_NONE;

        if (spread->n_members == 1) {
                deal(spread, spread->rank[0], log_end(spread->log));
                return;
        }
        while (spread->given.pos < spread->log->image->end)
                deal(spread, spread->rank[0], log_step(spread->log, &slab, spread->given));
}

/* What comes while nobody reads is held, or dropped and counted. */
static void keep(struct spread *spread)
{
        struct log_range range = {spread->given, log_end(spread->log)};
        bool full = false;

        store_begin(spread->store);
        if (!spread->image->holding)
                book_dropped(spread, DROP_NO_CLIENT, range_count(&range));
        else if (spread->balance)
                full = cursor_extend(&spread->held, range.from, range.to) < 0;
        if (full)
                book_dropped(spread, DROP_HOLD_FULL, range_count(&range));
        give_until(spread, range.to);
        store_commit(spread->store);
        if (spread->image->holding)
                limit_hold(spread);
        else
                log_trim(spread->log);
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
                deal_all(spread);
                return;
        }
        spread->given = log_end(spread->log);
        store_set(&spread->image->given, spread->given.pos);
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
                                  .image = &log->store->image->spread,
                                  .given = log_end(log)};
        store_set(&spread->image->given, spread->given.pos);
}

void spread_recover(struct spread *spread, struct log *log)
{
        *spread = (struct spread){
                .store = log->store, .log = log, .image = &log->store->image->spread};
        spread->given = log_place(log, spread->image->given);
        spread->balance = spread->image->balance;
        if (spread->image->holding)
                cursor_recover(&spread->held, log, &spread->image->held);
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
                abort(); /* some bytes a reader */
}

/* A crash in the middle of a change leaves some as they were. */
static void follow_all(struct spread *spread)
{
        for (size_t i = 0; i < spread->n_members; i++)
                follow_mode(spread, &spread->rank[i]->cursor);
        for (size_t i = spread->n_members / 2; spread->balance && i-- > 0;)
                rank_sink(spread, i);
        if (spread->image->holding)
                follow_mode(spread, &spread->held);
}

/* What each reader has stays its own; what comes is dealt out, or is for everybody, from now on. */
static void change_mode(struct spread *spread)
{
        struct image_spread *image = spread->image;

        spread->balance = !spread->balance;
        store_begin(spread->store);
        store_put(spread->store, &image->balance, spread->balance);
        if (spread->balance) /* what is held nobody else has */
                store_put(spread->store, &image->dealt_from,
                          image->holding ? image->held.pos : spread->given.pos);
        store_commit(spread->store);
        follow_all(spread);
}

void spread_configure(struct spread *spread, bool balance, uint64_t hold_size, uint64_t queue_size)
{
        spread->hold_size = hold_size;
        spread->queue_size = queue_size;
        follow_all(spread);
        spread_taken(spread);
        if (!spread->image->holding) /* a crash may have kept some waiting */
                admit_waiting(spread, spread->image->admit);
        if (balance != spread->balance)
                change_mode(spread);
        mind_hold(spread);
        limit_hold(spread);
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

/* Is it fuller than those before it, for what it may hold? */
static bool count_queue(struct cursor *cursor, uint64_t limit, uint64_t now, struct books *books)
{
        struct count done = cursor_delivered(cursor), queued = cursor_queued(cursor);

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
        if (!spread->image->holding)
                return;
        books->fullest_held = count_queue(&spread->held, spread->hold_size, now, books);
}

/* ---- readers ---- */

static void enlist(struct reader *reader, struct spread *spread, struct image_client *image)
{
        *reader = (struct reader){.spread = spread, .image = image, .place = spread->n_all};
        assert(spread->n_all < spread->room);
        spread->all[spread->n_all++] = reader;
}

void reader_join(struct reader *reader, struct spread *spread, struct image_client *image)
{
        bool waits = spread->image->holding;

        enlist(reader, spread, image);
        cursor_init(&reader->cursor, spread->log, &image->cursor, !waits && !spread->balance);
        store_put(spread->store, &image->waits, waits ? spread->given.pos + 1 : 0);
        store_put(spread->store, &image->reading, waits ? READER_WAITS : READER_MEMBER);
        if (waits)
                reader->role = READER_WAITS;
        else
                member_add(spread, reader);
}

void reader_recover(struct reader *reader, struct spread *spread, struct image_client *image)
{
        enlist(reader, spread, image);
        cursor_recover(&reader->cursor, spread->log, &image->cursor);
        reader->role = (enum reader_role)image->reading;
        if (reader->role == READER_MEMBER)
                member_add(spread, reader);
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

        return reader->role == READER_WAITS && cursor_waiting(&spread->held) ? &spread->held : NULL;
}

void reader_advance(struct reader *reader, uint64_t bytes)
{
        cursor_advance(&reader->cursor, bytes);
        if (reader->spread->balance && reader->role == READER_MEMBER)
                rank_mend(reader->spread, reader);
}

void reader_trust(struct reader *reader, uint64_t taken)
{
        struct spread *spread = reader->spread;
        uint64_t from;

        if (reader->role != READER_WAITS)
                return;
        from = held_from(spread);
        store_begin(spread->store);
        cursor_inherit(&reader->cursor, &spread->held);
        store_put(spread->store, &reader->image->waits, 0);
        store_put(spread->store, &reader->image->reading, READER_MEMBER);
        store_put(spread->store, &spread->image->holding, 0);
        store_put(spread->store, &spread->image->admit, from);
        store_commit(spread->store);
        member_add(spread, reader);
        spread->news = true;
        admit_waiting(spread, from);
        /* Not before the others have hold of what it has taken already. */
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
                member_remove(spread, reader);
        reader->role = READER_LEAVING;
        mind_hold(spread);
        limit_hold(spread);
        return 0;
}

struct count reader_shorten(struct reader *reader, uint64_t limit)
{
        struct spread *spread = reader->spread;
        struct count dropped = shorten(spread, &reader->cursor, limit, DROP_QUEUE_FULL);

        if (dropped.messages && spread->balance && reader->role == READER_MEMBER)
                rank_mend(spread, reader);
        return dropped;
}

/* In what is held: what stands before this is for one alone. Others who wait did not see it come,
 * or it came while each message was for one. */
static uint64_t unseen(const struct spread *spread)
{
        uint64_t least = UINT64_MAX, from = held_from(spread);

        for (size_t i = 0; i < spread->n_all && !spread->balance; i++) {
                const struct reader *reader = spread->all[i];

                if (reader->role == READER_WAITS && reader->image->waits - 1 < least)
                        least = reader->image->waits - 1;
        }
        return least > from ? least : from;
}

/*
 * A crash cut a send short. Whatever it offered may be in the reader's socket, so that nobody else
 * may get it: each message before this position that begins there is dropped. The mark in the image
 * shrinks with what it marks, and stays until the client has gone, however often ftcpd ends here.
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
                some = drop_some(spread, cursor, most, reason);
                store_put(spread->store, offered,
                          some.bytes < *offered - begun ? *offered - some.bytes : IMAGE_SENT);
                store_commit(spread->store);
                dropped = count_add(dropped, some);
        }
        return dropped;
}

/* What the only reader had is held, if it never took a byte: then nobody knows that it reads at
 * all, and after a crash it waits to be trusted again. Dealt messages go on to others anyway. */
static void hold_what_it_had(struct spread *spread, struct reader *reader)
{
        const struct image_cursor *image = reader->cursor.image;

        if (!spread->hold_size || spread->n_members || spread->balance || image->done_bytes ||
            image->pos != image->from)
                return;
        store_begin(spread->store);
        cursor_init(&spread->held, spread->log, &spread->image->held, false);
        cursor_inherit(&spread->held, &reader->cursor);
        cursor_init(&reader->cursor, spread->log, &reader->image->cursor, false);
        store_put(spread->store, &reader->image->waits, spread->given.pos + 1);
        store_put(spread->store, &reader->image->reading, READER_WAITS);
        store_put(spread->store, &spread->image->holding, 1);
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
                member_remove(spread, reader);
        if (reader->image->sending && role != READER_WAITS)
                dropped = drop_offered(spread, &reader->cursor, UINT64_MAX, &reader->image->sending,
                                       reason);
        else if (reader->image->sending && spread->image->holding)
                dropped = drop_offered(spread, &spread->held, unseen(spread),
                                       &reader->image->sending, reason);
        if (role == READER_MEMBER)
                hold_what_it_had(spread, reader);
        mind_hold(spread);
        if (spread->balance)
                dropped = count_add(dropped, return_all(spread, &reader->cursor, reason));
        limit_hold(spread);
        while ((some = drop_some(spread, &reader->cursor, UINT64_MAX, reason)).messages)
                dropped = count_add(dropped, some);
        done = cursor_delivered(&reader->cursor);
        some = cursor_queued(&reader->cursor);
        store_begin(spread->store);
        store_add(spread->store, &totals->in_messages, done.messages);
        store_add(spread->store, &totals->in_bytes, done.bytes);
        store_add(spread->store, &totals->in_done_messages, done.messages);
        store_add(spread->store, &totals->in_done_bytes, done.bytes);
        book_dropped(spread, reason, some);
        store_put(spread->store, &reader->image->gone_messages, done.messages);
        store_put(spread->store, &reader->image->gone_bytes, done.bytes);
        store_put(spread->store, &reader->image->waits, 0);
        store_put(spread->store, &reader->image->reading, READER_NONE);
        cursor_done(&reader->cursor);
        store_commit(spread->store);
        spread->all[reader->place] = spread->all[--spread->n_all];
        spread->all[reader->place]->place = reader->place;
        return count_add(dropped, some);
}
