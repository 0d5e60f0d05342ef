/* SPDX-License-Identifier: MIT */
#include "core/ledger.h"

#include <assert.h>
#include <string.h>

static struct image_piece *piece_at(const struct ledger *ledger, uint64_t k)
{
        return &ledger->image->piece[k % IMAGE_PIECES];
}

static struct image_piece *last_piece(const struct ledger *ledger)
{
        return piece_at(ledger, ledger->image->piece_next - 1);
}

void ledger_init(struct ledger *ledger, struct log *log, bool recovered)
{
        struct image *image = log->store->image;

        *ledger = (struct ledger){.log = log,
                                  .image = &image->session,
                                  .totals = &image->totals,
                                  .slab = SLAB_NONE,
                                  .inject_slab = SLAB_NONE};
        log_init(&ledger->inject, log->store, &image->session.inject, log->spec);
        if (recovered)
                cursor_recover(&ledger->acked, log, &image->acked);
        else
                cursor_init(&ledger->acked, log, &image->acked, true);
}

static void push_piece(struct ledger *ledger, uint64_t log, uint64_t inject)
{
        struct store *store = ledger->log->store;
        struct image_piece *piece = piece_at(ledger, ledger->image->piece_next);

        store_put(store, &piece->offset, ledger->image->written);
        store_put(store, &piece->log, log);
        store_put(store, &piece->inject, inject);
        store_put(store, &ledger->image->piece_next, ledger->image->piece_next + 1);
}

/* The out log's place at a TCP offset that is at or behind the first piece's. */
static uint64_t log_at(const struct ledger *ledger, uint64_t offset)
{
        const struct image_session *image = ledger->image;
        uint64_t k = image->piece_next - 1;
        const struct image_piece *piece;

        while (k > image->piece_first && piece_at(ledger, k)->offset > offset)
                k--;
        piece = piece_at(ledger, k);
        return piece->inject == IMAGE_OPEN ? piece->log + (offset - piece->offset) : piece->log;
}

uint64_t ledger_written(const struct ledger *ledger)
{
        return ledger->image->live ? log_at(ledger, ledger->image->written)
                                   : ledger->acked.image->pos;
}

void ledger_begin(struct ledger *ledger, uint64_t rx_base)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        struct log_place start = log_place(ledger->log, ledger->acked.image->pos);

        assert(start.pos == ledger->acked.image->pos);
        store_begin(store);
        store_add(store, &image->epoch, 1);
        store_put(store, &image->live, 1);
        store_put(store, &image->rx_base, rx_base);
        store_put(store, &image->rx_read, 0);
        store_put(store, &image->written, 0);
        store_put(store, &image->acked, 0);
        store_put(store, &image->piece_first, image->piece_next);
        store_put(store, &image->inject_next, image->inject.end);
        store_put(store, &image->start, start.pos);
        store_put(store, &image->start_number, start.number);
        push_piece(ledger, start.pos, IMAGE_OPEN);
        store_add(store, &ledger->totals->connects, 1);
        store_commit(store);
        ledger->slab = SLAB_NONE;
        ledger->slab_at = 0;
}

/* ---- what goes besides the log ---- */

bool ledger_inject(struct ledger *ledger, const struct iovec *iov, int n)
{
        struct log *inject = &ledger->inject;
        uint64_t end = inject->image->end;

        if (ledger->image->piece_next - ledger->image->piece_first > IMAGE_PIECES - 4)
                return false;
        for (int i = 0; i < n; i++) {
                const unsigned char *from = iov[i].iov_base;

                for (size_t left = iov[i].iov_len; left;) {
                        struct iovec room;

                        if (!log_room(inject, end, left, &room, 1))
                                return false;
                        memcpy(room.iov_base, from, room.iov_len);
                        from += room.iov_len;
                        left -= room.iov_len;
                        end += room.iov_len;
                }
        }
        store_set(&inject->image->end, end);
        inject->end_slab = log_seek(inject, inject->end_slab, end);
        return true;
}

/* The inject log's place from which the next injected byte comes. */
static uint64_t inject_at(const struct ledger *ledger)
{
        const struct image_piece *last = last_piece(ledger);

        if (!ledger->image->live || last->inject == IMAGE_OPEN)
                return ledger->image->inject_next;
        return last->inject + (ledger->image->written - last->offset);
}

uint64_t ledger_injected(const struct ledger *ledger)
{
        return ledger->inject.image->end - inject_at(ledger);
}

/* What was injected is written; the log goes on. */
static void back_to_log(struct ledger *ledger)
{
        struct store *store = ledger->log->store;

        store_begin(store);
        store_put(store, &ledger->image->inject_next, inject_at(ledger));
        push_piece(ledger, last_piece(ledger)->log, IMAGE_OPEN);
        store_commit(store);
}

bool ledger_in_message(const struct ledger *ledger)
{
        uint64_t written = ledger_written(ledger);

        return log_place(ledger->log, written).pos != written;
}

bool ledger_pending(const struct ledger *ledger, bool inject_only)
{
        if (ledger_injected(ledger))
                return true;
        return !inject_only && ledger_written(ledger) != ledger->log->image->end;
}

/* The end of what may be sent of the log now: a message boundary where something else waits or
 * nothing may be begun. */
static uint64_t log_until(const struct ledger *ledger, uint64_t written, bool stop)
{
        struct log_place place;

        if (!stop)
                return ledger->log->image->end;
        place = log_place(ledger->log, written);
        return place.pos == written ? written : log_behind(ledger->log, place).pos;
}

int ledger_gather(struct ledger *ledger, size_t limit, bool hold_log, struct iovec *iov, int max)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        uint64_t written = ledger_written(ledger), inject = inject_at(ledger);
        bool waiting = inject != image->inject.end;
        bool injecting = last_piece(ledger)->inject != IMAGE_OPEN;
        uint64_t until;

        if (injecting && !waiting) {
                back_to_log(ledger);
                injecting = false;
        }
        until = log_until(ledger, written, waiting || hold_log);
        if (waiting && (injecting || until == written)) {
                if (!injecting) {
                        store_begin(store);
                        push_piece(ledger, written, inject);
                        store_commit(store);
                }
                return log_gather(&ledger->inject, &ledger->inject_slab, inject, image->inject.end,
                                  limit, iov, max);
        }
        if (until == written)
                return 0;
        if (ledger->slab == SLAB_NONE)
                ledger->slab = ledger->acked.pin;
        max = log_gather(ledger->log, &ledger->slab, written, until, limit, iov, max);
        ledger->slab_at = slab_pos(store, ledger->slab);
        return max;
}

void ledger_sent(struct ledger *ledger, uint64_t bytes)
{
        store_set(&ledger->image->written, ledger->image->written + bytes);
}

/* ---- what the peer's kernel has ---- */

static void trim_map(struct ledger *ledger, uint64_t acked)
{
        struct image_session *image = ledger->image;
        uint64_t first = image->piece_first;

        while (first + 1 < image->piece_next && piece_at(ledger, first + 1)->offset <= acked)
                first++;
        store_put(ledger->log->store, &image->piece_first, first);
}

/* Nobody needs the injected bytes any more. */
static void drop_inject(struct ledger *ledger)
{
        struct log *inject = &ledger->inject;
        struct store *store = inject->store;

        slabs_free(store, chain_cut(store, &inject->image->data, SLAB_NONE));
        store_put(store, &ledger->image->inject_next, inject->image->end);
        inject->end_slab = inject->fill_slab = ledger->inject_slab = SLAB_NONE;
}

static bool inject_in_map(const struct ledger *ledger)
{
        for (uint64_t k = ledger->image->piece_first; k < ledger->image->piece_next; k++)
                if (piece_at(ledger, k)->inject != IMAGE_OPEN)
                        return true;
        return false;
}

/* The place to write from may be on a slab that went with what was acknowledged. */
static void check_hint(struct ledger *ledger)
{
        const struct store *store = ledger->log->store;

        if (ledger->acked.pin != SLAB_NONE && slab_pos(store, ledger->acked.pin) >= ledger->slab_at)
                ledger->slab = ledger->acked.pin;
}

void ledger_acked(struct ledger *ledger, uint64_t acked)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        uint64_t pos;

        if (acked == image->acked)
                return;
        assert(acked > image->acked && acked <= image->written);
        store_begin(store);
        pos = log_at(ledger, acked);
        store_put(store, &image->acked, acked);
        if (acked == image->written && last_piece(ledger)->inject != IMAGE_OPEN &&
            inject_at(ledger) == image->inject.end)
                back_to_log(ledger);
        trim_map(ledger, acked);
        if (image->inject.data.head && inject_at(ledger) == image->inject.end &&
            !inject_in_map(ledger))
                drop_inject(ledger);
        if (pos > ledger->acked.image->pos)
                cursor_advance(&ledger->acked, pos - ledger->acked.image->pos);
        check_hint(ledger);
        store_commit(store);
}

/* ---- counts ---- */

struct count ledger_unacked(const struct ledger *ledger)
{
        struct log_place acked, written;

        if (!ledger->image->live)
                return (struct count){0, 0};
        acked = log_place(ledger->log, ledger->acked.image->pos);
        written = log_place(ledger->log, ledger_written(ledger));
        return (struct count){written.number - acked.number, written.pos - acked.pos};
}

/* Whole messages written on this connection, up to a boundary. */
static struct count sent_here(const struct ledger *ledger, uint64_t pos, uint64_t number)
{
        const struct image_session *image = ledger->image;
        struct log_place written = log_place(ledger->log, ledger_written(ledger));

        if (!image->live)
                return (struct count){0, 0};
        if (written.pos > pos)
                written = (struct log_place){pos, number, 0};
        if (written.pos <= image->start)
                return (struct count){0, 0};
        return (struct count){written.number - image->start_number, written.pos - image->start};
}

struct count ledger_sent_count(const struct ledger *ledger)
{
        struct count before = {ledger->totals->sent_messages, ledger->totals->sent_bytes};

        return count_add(before, sent_here(ledger, UINT64_MAX, 0));
}

struct count ledger_resent_count(const struct ledger *ledger)
{
        struct count before = {ledger->totals->resent_messages, ledger->totals->resent_bytes};

        return count_add(before,
                         sent_here(ledger, ledger->image->begun, ledger->image->begun_number));
}

/* ---- the end of a connection ---- */

static struct log_place boundary_behind(const struct log *log, uint64_t pos)
{
        struct log_place place = log_place(log, pos);

        return place.pos == pos ? place : log_behind(log, place);
}

static struct count between(struct log_place from, struct log_place to)
{
        return (struct count){to.number - from.number, to.pos - from.pos};
}

struct ledger_end ledger_end(struct ledger *ledger, uint64_t acked, uint64_t transmitted)
{
        struct image_session *image = ledger->image;
        struct image_totals *totals = ledger->totals;
        struct store *store = ledger->log->store;
        struct log_place begun = boundary_behind(ledger->log, ledger_written(ledger));
        struct count sent = ledger_sent_count(ledger), resent = ledger_resent_count(ledger);
        struct log_place sure, maybe;
        struct ledger_end end;

        store_begin(store);
        ledger_acked(ledger, acked);
        /* A message whose last byte was never transmitted can't be there, whatever of it was. */
        maybe = log_place(ledger->log, log_at(ledger, transmitted));
        sure = log_place(ledger->log, ledger->acked.image->pos);
        if (maybe.pos < sure.pos)
                maybe = sure;
        end = (struct ledger_end){
                .acked = {sure.number - image->start_number, sure.pos - image->start},
                .unacked = between(sure, maybe),
                .unsent = between(maybe, begun)};
        store_put(store, &totals->sent_messages, sent.messages);
        store_put(store, &totals->sent_bytes, sent.bytes);
        store_put(store, &totals->resent_messages, resent.messages);
        store_put(store, &totals->resent_bytes, resent.bytes);
        if (begun.pos > image->begun) {
                store_put(store, &image->begun, begun.pos);
                store_put(store, &image->begun_number, begun.number);
        }
        store_put(store, &ledger->acked.image->pos, sure.pos);
        store_put(store, &image->start, sure.pos);
        store_put(store, &image->start_number, sure.number);
        store_put(store, &image->live, 0);
        drop_inject(ledger);
        store_add(store, &totals->disconnects, 1);
        store_commit(store);
        ledger->slab = SLAB_NONE;
        return end;
}
