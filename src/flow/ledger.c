/* SPDX-License-Identifier: MIT */
#include "flow/ledger.h"
#include "flow/ledger_internal.h"

#include <assert.h>
#include <string.h>

void ledger_init(struct ledger *ledger, struct log *log, bool recovered)
{
        struct image *image = log->store->image;
        struct log_place begun;

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
        ledger_look_ahead(ledger);
        begun = log_place(log, ledger_written(ledger));
        waits_skip(&ledger->waits, begun.pos, begun.number);
        waits_skip(&ledger->waits, ledger->image->begun, ledger->image->begun_number);
}

void ledger_push_piece(struct ledger *ledger, uint64_t log, uint64_t inject)
{
        struct store *store = ledger->log->store;
        struct image_piece *piece = ledger_piece(ledger, ledger->image->piece_next);

        store_put(store, &piece->offset, ledger->image->written);
        store_put(store, &piece->log, log);
        store_put(store, &piece->inject, inject);
        store_put(store, &ledger->image->piece_next, ledger->image->piece_next + 1);
}

uint64_t ledger_log_at(const struct ledger *ledger, uint64_t offset)
{
        const struct image_session *image = ledger->image;
        uint64_t k = image->piece_next - 1;
        const struct image_piece *piece;

        while (k > image->piece_first && ledger_piece(ledger, k)->offset > offset)
                k--;
        piece = ledger_piece(ledger, k);
        return piece->inject == IMAGE_OPEN ? piece->log + (offset - piece->offset) : piece->log;
}

uint64_t ledger_written(const struct ledger *ledger)
{
        return ledger->image->live ? ledger_log_at(ledger, ledger->image->written)
                                   : ledger->acked.image->pos;
}

void ledger_begin(struct ledger *ledger, uint64_t rx_base, enum ledger_unheard unheard)
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
        store_put(store, &image->skip_from, 0);
        store_put(store, &image->skip_to, 0);
        store_put(store, &image->skipped_messages, 0);
        store_put(store, &image->skipped_bytes, 0);
        store_put(store, &image->skipped_begun_messages, 0);
        store_put(store, &image->skipped_begun_bytes, 0);
        store_put(store, &image->start, start.pos);
        store_put(store, &image->start_number, start.number);
        store_put(store, &image->unheard, unheard);
        ledger_push_piece(ledger, start.pos, IMAGE_OPEN);
        if (!unheard)
                store_add(store, &ledger->totals->connects, 1);
        store_commit(store);
        ledger->slab = SLAB_NONE;
        ledger->slab_at = 0;
}

/* ---- the inject log ---- */

/* Copies the bytes to the room from *end on, and moves *end behind the bytes. False: no memory. */
static bool append(struct log *inject, uint64_t *end, const struct iovec *bytes)
{
        const unsigned char *from = bytes->iov_base;

        for (size_t left = bytes->iov_len; left;) {
                struct iovec room;

                if (!log_room(inject, *end, left, &room, 1))
                        return false;
                memcpy(room.iov_base, from, room.iov_len);
                from += room.iov_len;
                left -= room.iov_len;
                *end += room.iov_len;
        }
        return true;
}

/* An answer to a heartbeat is a part of the transaction that takes the heartbeat: a crash undoes
 * both, and the successor answers. */
bool ledger_inject(struct ledger *ledger, const struct iovec *iov, int n)
{
        struct store *store = ledger->log->store;
        struct log *inject = &ledger->inject;
        uint64_t end = inject->image->end;
        bool fits = true;

        if (ledger->image->piece_next - ledger->image->piece_first > IMAGE_PIECES - 4)
                return false;
        store_begin(store);
        for (int i = 0; i < n && fits; i++)
                fits = append(inject, &end, &iov[i]);
        if (fits)
                store_put(store, &inject->image->end, end);
        store_commit(store);
        if (fits)
                inject->end_slab = log_seek(inject, inject->end_slab, end);
        return fits;
}

uint64_t ledger_inject_at(const struct ledger *ledger)
{
        const struct image_piece *last = ledger_last_piece(ledger);

        if (!ledger->image->live || last->inject == IMAGE_OPEN)
                return ledger->image->inject_next;
        return last->inject + (ledger->image->written - last->offset);
}

uint64_t ledger_injected(const struct ledger *ledger)
{
        return ledger->inject.image->end - ledger_inject_at(ledger);
}

/* All injected bytes are written; the next bytes come from the out log again. */
static void back_to_log(struct ledger *ledger)
{
        struct store *store = ledger->log->store;

        store_begin(store);
        store_put(store, &ledger->image->inject_next, ledger_inject_at(ledger));
        ledger_push_piece(ledger, ledger_last_piece(ledger)->log, IMAGE_OPEN);
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

/* Returns the end of the bytes of the out log that may be written now. stop: the next message
 * boundary, because injected bytes wait or no message may be begun. */
static uint64_t log_until(const struct ledger *ledger, uint64_t written, bool stop)
{
        struct log_place place;

        if (!stop)
                return ledger->image->skip_to ? ledger->image->skip_from : ledger->log->image->end;
        place = log_place(ledger->log, written);
        return place.pos == written ? written : log_behind(ledger->log, place).pos;
}

int ledger_gather(struct ledger *ledger, size_t limit, bool no_new_messages, struct iovec *iov,
                  int max)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;
        uint64_t written, inject, until;
        bool waiting, injecting;

        ledger_settle(ledger);
        written = ledger_written(ledger);
        inject = ledger_inject_at(ledger);
        waiting = inject != image->inject.end;
        injecting = ledger_last_piece(ledger)->inject != IMAGE_OPEN;
        if (injecting && !waiting) {
                back_to_log(ledger);
                injecting = false;
        }
        until = log_until(ledger, written, waiting || no_new_messages);
        if (waiting && (injecting || until == written)) {
                if (!injecting) {
                        store_begin(store);
                        ledger_push_piece(ledger, written, inject);
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

void ledger_tell_waits(struct ledger *ledger, uint64_t bytes, uint64_t now_usec)
{
        const struct image_session *image = ledger->image;
        const struct log *log = ledger->log;
        uint64_t pos = ledger_log_at(ledger, image->written + bytes), number = WAITS_UNKNOWN;

        if (pos == log->image->end)
                number = log->image->number;
        else if (image->skip_to && pos == image->skip_from)
                number = log_place(log, pos).number;
        waits_pass(&ledger->waits, log, pos, number, now_usec,
                   &log->store->image->latency[LATENCY_TO_UPSTREAM]);
}

void ledger_sent(struct ledger *ledger, uint64_t bytes)
{
        store_set(&ledger->image->written, ledger->image->written + bytes);
        ledger_settle(ledger);
}

/* ---- acknowledgements ---- */

/* True if piece k is to stay in the map of an unheard connection: behind the piece is a hole, and
 * the messages before the hole may have to go again. */
static bool is_kept(const struct ledger *ledger, uint64_t k)
{
        return ledger->image->unheard &&
               ledger_piece_end(ledger, k) != ledger_piece(ledger, k + 1)->log;
}

static void trim_map(struct ledger *ledger, uint64_t acked)
{
        struct image_session *image = ledger->image;
        uint64_t first = image->piece_first;

        while (first + 1 < image->piece_next && ledger_piece(ledger, first + 1)->offset <= acked &&
               !is_kept(ledger, first))
                first++;
        store_put(ledger->log->store, &image->piece_first, first);
}

void ledger_drop_inject(struct ledger *ledger)
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
                if (ledger_piece(ledger, k)->inject != IMAGE_OPEN)
                        return true;
        return false;
}

/* The slab of the next byte to write may have been freed with acknowledged messages. */
static void check_hint(struct ledger *ledger)
{
        const struct store *store = ledger->log->store;

        if (ledger->acked.pin != SLAB_NONE && slab_pos(store, ledger->acked.pin) >= ledger->slab_at)
                ledger->slab = ledger->acked.pin;
}

void ledger_follow(struct ledger *ledger)
{
        struct image_session *image = ledger->image;
        uint64_t pos = ledger_log_at(ledger, image->acked);

        if (image->acked == image->written && ledger_last_piece(ledger)->inject != IMAGE_OPEN &&
            ledger_inject_at(ledger) == image->inject.end)
                back_to_log(ledger);
        trim_map(ledger, image->acked);
        if (image->inject.data.head && ledger_inject_at(ledger) == image->inject.end &&
            !inject_in_map(ledger))
                ledger_drop_inject(ledger);
        if (pos > ledger->acked.image->pos && !image->unheard)
                cursor_advance(&ledger->acked, pos - ledger->acked.image->pos);
        check_hint(ledger);
        if (ledger->ahead.messages)
                ledger_look_ahead(ledger);
}

void ledger_heard(struct ledger *ledger)
{
        struct store *store = ledger->log->store;

        if (!ledger->image->unheard)
                return;
        store_begin(store);
        store_put(store, &ledger->image->unheard, LEDGER_HEARD);
        store_add(store, &ledger->totals->connects, 1);
        ledger_follow(ledger);
        store_commit(store);
        ledger_settle(ledger); /* the map may have room now */
}

uint64_t ledger_provisional(const struct ledger *ledger)
{
        const struct image_session *image = ledger->image;

        if (!image->live || !image->unheard)
                return 0;
        return ledger_log_at(ledger, image->acked) - ledger->acked.image->pos;
}

void ledger_acked(struct ledger *ledger, uint64_t acked)
{
        struct image_session *image = ledger->image;
        struct store *store = ledger->log->store;

        if (acked == image->acked)
                return;
        assert(acked > image->acked && acked <= image->written);
        store_begin(store);
        store_put(store, &image->acked, acked);
        ledger_follow(ledger);
        store_commit(store);
        ledger_settle(ledger); /* the map may have room now */
}
