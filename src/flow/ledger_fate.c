/* SPDX-License-Identifier: MIT */
/* The fate of messages without an acknowledgement: age, the end of a connection, the books. */
#include "flow/ledger_internal.h"

#include "flow/ledger.h"
#include "store/marks.h"

/* Half of the map is kept free for heartbeats, however many holes the map has. */
enum { HOLE_PIECES = IMAGE_PIECES / 2 };

static struct log_place boundary_behind(const struct log *log, uint64_t pos)
{
        struct log_place place = log_place(log, pos);

        return place.pos == pos ? place : log_behind(log, place);
}

static struct count between(struct log_place from, struct log_place to)
{
        return (struct count){to.number - from.number, to.pos - from.pos};
}

/* ---- holes: messages dropped behind messages that are under way ---- */

uint64_t ledger_piece_end(const struct ledger *ledger, uint64_t k)
{
        const struct image_piece *piece = ledger_piece(ledger, k);

        return piece->inject == IMAGE_OPEN
                       ? piece->log + (ledger_piece(ledger, k + 1)->offset - piece->offset)
                       : piece->log;
}

static struct count hole(const struct ledger *ledger, uint64_t from, uint64_t to)
{
        return between(log_place(ledger->log, from), log_place(ledger->log, to));
}

/* Returns the count of messages of [from, to) that are in holes, with the skipped messages. *last,
 * unless NULL, gets the end of the last hole, if any. */
static struct count holes_in(const struct ledger *ledger, uint64_t from, uint64_t to,
                             struct log_place *last)
{
        const struct image_session *image = ledger->image;
        struct count sum = {0, 0};
        uint64_t behind = 0;

        for (uint64_t k = image->piece_first; k + 1 < image->piece_next; k++) {
                uint64_t begin = ledger_piece_end(ledger, k),
                         end = ledger_piece(ledger, k + 1)->log;

                if (end <= begin || begin < from || end > to)
                        continue;
                sum = count_add(sum, hole(ledger, begin, end));
                behind = end;
        }
        if (image->skip_to && image->skip_from >= from && image->skip_to <= to) {
                sum = count_add(sum, hole(ledger, image->skip_from, image->skip_to));
                behind = image->skip_to;
        }
        if (last && behind)
                *last = log_place(ledger->log, behind);
        return sum;
}

void ledger_look_ahead(struct ledger *ledger)
{
        ledger->ahead = holes_in(ledger, ledger->acked.image->pos, UINT64_MAX, NULL);
}

/* At a boundary: the next message to be written begins at `to`. False: the map is full. Part of a
 * transaction. */
static bool push_hole(struct ledger *ledger, uint64_t to)
{
        struct image_session *image = ledger->image;
        struct image_piece *last = ledger_last_piece(ledger);
        uint64_t pieces = image->piece_next - image->piece_first;

        /* Nothing was written since the last piece: the piece begins behind the hole. */
        if (pieces > 1 && last->offset == image->written)
                store_put(ledger->log->store, &last->log, to);
        else if (pieces < HOLE_PIECES)
                ledger_push_piece(ledger, to,
                                  last->inject == IMAGE_OPEN ? IMAGE_OPEN
                                                             : ledger_inject_at(ledger));
        else
                return false;
        return true;
}

/* Writing goes on behind the hole: its messages are no part of the connection's counts, which are
 * differences of positions. */
static void count_skipped(struct ledger *ledger, struct log_place from, struct log_place to)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        struct log_place begun = {.pos = image->begun, .number = image->begun_number};
        struct count all = between(from, to), again = {0, 0};

        if (from.pos < begun.pos)
                again = between(from, to.pos < begun.pos ? to : begun);
        store_add(store, &image->skipped_messages, all.messages);
        store_add(store, &image->skipped_bytes, all.bytes);
        store_add(store, &image->skipped_begun_messages, again.messages);
        store_add(store, &image->skipped_begun_bytes, again.bytes);
        waits_skip(&ledger->waits, to.pos, to.number);
}

void ledger_settle(struct ledger *ledger)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;

        if (!image->skip_to || ledger_written(ledger) != image->skip_from)
                return;
        store_begin(store);
        if (push_hole(ledger, image->skip_to)) {
                count_skipped(ledger, log_place(ledger->log, image->skip_from),
                              log_place(ledger->log, image->skip_to));
                store_put(store, &image->skip_from, 0);
                store_put(store, &image->skip_to, 0);
                if (image->acked == image->written)
                        ledger_follow(ledger);
        }
        store_commit(store);
}

/* ---- drops ---- */

static void count_dropped(struct ledger *ledger, enum drop_reason reason, struct count count)
{
        struct store *store = ledger->log->store;

        store_add(store, &ledger->totals->out_dropped[reason][0], count.messages);
        store_add(store, &ledger->totals->out_dropped[reason][1], count.bytes);
}

/* Without a connection: drops all messages before `to`, and counts the messages outside of holes.
 */
static struct count drop_until(struct ledger *ledger, struct log_place to, enum drop_reason reason)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        struct count holes = holes_in(ledger, ledger->acked.image->pos, to.pos, NULL);
        struct count dropped = count_sub(cursor_jump(&ledger->acked, to.pos), holes);

        count_dropped(ledger, reason, dropped);
        store_put(store, &image->start, to.pos);
        store_put(store, &image->start_number, to.number);
        waits_skip(&ledger->waits, to.pos, to.number);
        return dropped;
}

/* Returns the last boundary at or behind `from`, as far as marks tell, with only messages older
 * than the time between `from` and the boundary. */
static struct log_place older_than(const struct log *log, struct log_place from, uint64_t before)
{
        uint64_t hint = 0;
        const struct image_mark *mark = log_find_mark(log, from.pos, &hint);

        while (mark && mark->time_usec < before) {
                if (++hint >= log->image->mark_next)
                        return (struct log_place){log->image->end, log->image->number, 0};
                mark = marks_get(log, hint);
                if (mark->pos > from.pos)
                        from = (struct log_place){mark->pos, mark->number, mark->time_usec};
        }
        return from;
}

/* On a connection: only messages behind the message begun and behind the skipped messages. */
static struct count expire_live(struct ledger *ledger, uint64_t before_usec)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        uint64_t at = image->skip_to ? image->skip_to : ledger_written(ledger);
        struct log_place from = boundary_behind(ledger->log, at);
        struct log_place to = older_than(ledger->log, from, before_usec);
        struct count dropped = between(from, to);

        if (!dropped.messages)
                return dropped;
        store_begin(store);
        if (!image->skip_to)
                store_put(store, &image->skip_from, from.pos);
        store_put(store, &image->skip_to, to.pos);
        ledger->ahead = count_add(ledger->ahead, dropped);
        count_dropped(ledger, DROP_EXPIRED, dropped);
        ledger_settle(ledger);
        store_commit(store);
        return dropped;
}

struct count ledger_expire(struct ledger *ledger, uint64_t before_usec)
{
        struct store *store = ledger->log->store;
        struct log_place from, to;
        struct count dropped = {0, 0};

        if (ledger->image->live)
                return expire_live(ledger, before_usec);
        from = log_place(ledger->log, ledger->acked.image->pos);
        to = older_than(ledger->log, from, before_usec);
        if (to.pos == from.pos)
                return dropped;
        store_begin(store);
        dropped = drop_until(ledger, to, DROP_EXPIRED);
        store_commit(store);
        return dropped;
}

/* ---- counts ---- */

struct count ledger_unacked(const struct ledger *ledger, uint64_t transmitted)
{
        struct log_place acked, there;
        uint64_t from = ledger->acked.image->pos;

        if (!ledger->image->live || transmitted < ledger->image->acked)
                return (struct count){0, 0};
        acked = log_place(ledger->log, from);
        there = log_place(ledger->log, transmitted < ledger->image->written
                                               ? ledger_log_at(ledger, transmitted)
                                               : ledger_written(ledger));
        if (there.pos <= acked.pos)
                return (struct count){0, 0};
        return count_sub(between(acked, there), ledger->ahead.messages
                                                        ? holes_in(ledger, from, there.pos, NULL)
                                                        : (struct count){0, 0});
}

/* Returns the count of messages written whole on this connection, up to boundary `to`, less the
 * messages in holes before `to` (skipped). */
static struct count sent_here(const struct ledger *ledger, struct log_place to,
                              struct count skipped)
{
        const struct image_session *image = ledger->image;
        struct log_place start = {.pos = image->start, .number = image->start_number}, written;

        if (!image->live)
                return (struct count){0, 0};
        written = log_place(ledger->log, ledger_written(ledger));
        if (written.pos > to.pos)
                written = to;
        if (written.pos <= start.pos)
                return (struct count){0, 0};
        return count_sub(between(start, written), skipped);
}

struct count ledger_sent_count(const struct ledger *ledger)
{
        const struct image_session *image = ledger->image;
        struct count before = {ledger->totals->sent_messages, ledger->totals->sent_bytes};

        return count_add(before,
                         sent_here(ledger, (struct log_place){.pos = UINT64_MAX},
                                   (struct count){image->skipped_messages, image->skipped_bytes}));
}

struct count ledger_resent_count(const struct ledger *ledger)
{
        const struct image_session *image = ledger->image;
        struct count before = {ledger->totals->resent_messages, ledger->totals->resent_bytes};

        return count_add(before, sent_here(ledger,
                                           (struct log_place){.pos = image->begun,
                                                              .number = image->begun_number},
                                           (struct count){image->skipped_begun_messages,
                                                          image->skipped_begun_bytes}));
}

/* ---- the end of a connection ---- */

static void fold_counts(struct ledger *ledger)
{
        struct image_totals *totals = ledger->totals;
        struct store *store = ledger->log->store;
        struct count sent = ledger_sent_count(ledger), resent = ledger_resent_count(ledger);

        store_put(store, &totals->sent_messages, sent.messages);
        store_put(store, &totals->sent_bytes, sent.bytes);
        store_put(store, &totals->resent_messages, resent.messages);
        store_put(store, &totals->resent_bytes, resent.bytes);
}

/* Returns the count of messages between two places, outside of holes. */
static struct count begun_in(const struct ledger *ledger, struct log_place from,
                             struct log_place to)
{
        return count_sub(between(from, to), holes_in(ledger, from.pos, to.pos, NULL));
}

/* Ends the connection: all messages from `sure` on are to be written again; messages before `begun`
 * have been begun. */
static void set_back(struct ledger *ledger, struct log_place sure, struct log_place begun)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;

        if (begun.pos > image->begun) {
                store_put(store, &image->begun, begun.pos);
                store_put(store, &image->begun_number, begun.number);
        }
        store_put(store, &ledger->acked.image->pos, sure.pos);
        store_put(store, &image->start, sure.pos);
        store_put(store, &image->start_number, sure.number);
        store_put(store, &image->live, 0);
        ledger_drop_inject(ledger);
}

struct ledger_end ledger_end(struct ledger *ledger, uint64_t acked, uint64_t transmitted,
                             enum config_resend resend)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        struct log_place start = {.pos = image->start, .number = image->start_number};
        struct log_place begun, sure, maybe, expired = {0};
        struct ledger_end end = {0};
        struct count passed;

        store_begin(store);
        fold_counts(ledger);
        ledger_acked(ledger, acked);
        begun = boundary_behind(ledger->log, ledger_written(ledger));
        /* The peer cannot have a message whose last byte was never transmitted. */
        maybe = log_place(ledger->log, ledger_log_at(ledger, transmitted));
        sure = log_place(ledger->log, ledger->acked.image->pos);
        if (maybe.pos < sure.pos)
                maybe = sure;
        passed = count_sub((struct count){image->skipped_messages, image->skipped_bytes},
                           holes_in(ledger, sure.pos, begun.pos, NULL));
        holes_in(ledger, sure.pos, UINT64_MAX, &expired);
        end.acked = count_sub(between(start, sure), passed);
        end.unacked = begun_in(ledger, sure, maybe);
        end.unsent = begun_in(ledger, maybe, begun);
        end.unheard = image->unheard != LEDGER_HEARD;
        set_back(ledger, sure, begun);
        if (resend != RESEND_UNACKED)
                end.dropped = drop_until(ledger, resend == RESEND_UNSENT ? maybe : begun,
                                         DROP_NOT_RESENT);
        /* Messages before a hole are older than the messages of the hole, which were too old. */
        if (expired.pos > ledger->acked.image->pos)
                end.dropped = count_add(end.dropped, drop_until(ledger, expired, DROP_EXPIRED));
        store_put(store, &image->piece_first, image->piece_next);
        store_put(store, &image->skip_from, 0);
        store_put(store, &image->skip_to, 0);
        store_put(store, &image->unheard, LEDGER_HEARD);
        if (!end.unheard)
                store_add(store, &ledger->totals->disconnects, 1);
        store_commit(store);
        ledger->ahead = (struct count){0, 0};
        ledger->slab = SLAB_NONE;
        ledger->was_unheard = end.unheard;
        return end;
}

void ledger_linger(struct ledger *ledger, uint64_t until_usec)
{
        store_put(ledger->log->store, &ledger->image->lingers, ledger->image->epoch);
        store_put(ledger->log->store, &ledger->image->linger_until, until_usec);
}

void ledger_linger_over(struct ledger *ledger)
{
        store_set(&ledger->image->lingers, 0);
}

/* ---- the books ---- */

void ledger_books(const struct ledger *ledger, struct books *books)
{
        const struct image_log *log = ledger->log->image;
        struct log_place acked = log_place(ledger->log, ledger->acked.image->pos);
        struct log_place end = {.pos = log->end, .number = log->number};

        for (int i = 0; i < DROP_REASONS; i++)
                books->dropped[i] = (struct count){ledger->totals->out_dropped[i][0],
                                                   ledger->totals->out_dropped[i][1]};
        books->queued = count_sub(between(acked, end), ledger->ahead);
        /* Messages discarded while the link was down never stood in the log. */
        books->accepted =
                count_add((struct count){log->number, log->end}, books->dropped[DROP_LINK_DOWN]);
        books->delivered = count_sub(books->accepted, books->queued);
        for (int i = 0; i < DROP_REASONS; i++)
                books->delivered = count_sub(books->delivered, books->dropped[i]);
}
