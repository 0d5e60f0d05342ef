/* SPDX-License-Identifier: MIT */
/* Checks cursors, clients and the session against the logs, and collects free slabs and extents. */
#include "flow/recover_internal.h"

#include <stdlib.h>

#include "core/books.h"
#include "flow/events.h"
#include "flow/hold.h"
#include "flow/ledger.h"
#include "flow/spread.h"
#include "store/histogram.h"

static bool list_ends(struct recovery *r, uint64_t e)
{
        uint64_t left = IMAGE_EXTENTS;

        for (; e; e = r->image->extent[e - 1].next)
                if (e > IMAGE_EXTENTS || !left-- || !recover_may_go_on(r, 1))
                        return false;
        return true;
}

static const char *check_extents(struct recovery *r, const struct log *log,
                                 const struct image_cursor *cursor)
{
        struct count sum = {0, 0};
        uint64_t last = 0;

        if (!list_ends(r, cursor->extent_head))
                return "an extent is out of range";
        for (uint64_t e = cursor->extent_head; e; e = r->image->extent[e - 1].next) {
                const struct image_extent *extent = &r->image->extent[e - 1];

                if (r->store->extents_used < e)
                        r->store->extents_used = (uint32_t)e;
                if (extent->from >= extent->to || extent->to > cursor->open_from ||
                    !recover_has_messages(r, log, extent->from, extent->from_number, extent->to,
                                          extent->to_number))
                        return "an extent is not in its log";
                sum.messages += extent->to_number - extent->from_number;
                sum.bytes += extent->to - extent->from;
                last = e;
        }
        if (last != cursor->extent_tail || sum.messages != cursor->extent_messages ||
            sum.bytes != cursor->extent_bytes)
                return "the extents of a cursor do not add up";
        return NULL;
}

static const char *check_cursor(struct recovery *r, const struct log *log,
                                const struct image_cursor *cursor)
{
        bool open = cursor->stop == IMAGE_OPEN, jump = cursor->open_from != IMAGE_OPEN;
        const struct image_log *image = log->image;

        if (cursor->from > cursor->pos || cursor->from_number > image->number)
                return "a cursor is out of order";
        if (open ? !recover_has_bytes(r, log, cursor->pos, image->end, image->number)
                 : !recover_has_bytes(r, log, cursor->pos, cursor->stop, cursor->stop_number))
                return "a cursor is not in its log";
        if (open ? jump || cursor->extent_head
                 : cursor->pos == cursor->stop && (jump || cursor->extent_head))
                return "a cursor reads nothing while something waits";
        if (jump && (cursor->open_from < cursor->stop ||
                     !recover_has_messages(r, log, cursor->open_from, cursor->open_from_number,
                                           image->end, image->number)))
                return "a jump is not in its log";
        return check_extents(r, log, cursor);
}

static uint64_t piece_at(const struct image_session *session, uint64_t k, uint64_t offset)
{
        const struct image_piece *piece = &session->piece[k % IMAGE_PIECES];

        return piece->inject == IMAGE_OPEN ? piece->log + (offset - piece->offset) : piece->log;
}

/* True if [from, to), behind the acknowledged position, consists of whole messages. */
static bool hole_is_good(struct recovery *r, uint64_t from, uint64_t to)
{
        return from <= to && to <= r->image->out.end && from >= r->image->acked.pos &&
               recover_is_boundary(r, &r->out, from) && recover_is_boundary(r, &r->out, to);
}

/* True if the skipped messages begin directly behind the message half written, if any. */
static bool skip_is_good(struct recovery *r)
{
        const struct image_session *s = &r->image->session;
        uint64_t written = piece_at(s, s->piece_next - 1, s->written);
        struct log_place place;

        if (!s->skip_to)
                return s->skip_from == 0;
        if (s->skip_from >= s->skip_to || s->skip_from < written ||
            !hole_is_good(r, s->skip_from, s->skip_to))
                return false;
        place = log_place(&r->out, written);
        return s->skip_from == (place.pos == written ? place : log_behind(&r->out, place)).pos;
}

/* True if the cursor is where the map has the acknowledged offset; on an unheard connection, where
 * the connection began. */
static bool acked_is_good(const struct image *image, uint64_t mapped)
{
        if (!image->session.unheard)
                return mapped == image->acked.pos;
        return image->session.start == image->acked.pos && mapped >= image->acked.pos;
}

/* True if the pieces are in order by TCP offset and by position, and the last piece describes the
 * next byte to be written. */
static bool map_is_good(struct recovery *r)
{
        const struct image *image = r->image;
        const struct image_session *s = &image->session;
        uint64_t inject = s->inject_next;

        if (s->piece_next <= s->piece_first || s->piece_next - s->piece_first > IMAGE_PIECES - 2 ||
            s->piece[s->piece_first % IMAGE_PIECES].offset > s->acked || s->acked > s->written ||
            s->written > UINT64_MAX / 2)
                return false;
        for (uint64_t k = s->piece_first; k < s->piece_next; k++) {
                const struct image_piece *piece = &s->piece[k % IMAGE_PIECES];
                bool last = k + 1 == s->piece_next;
                uint64_t to = last ? s->written : s->piece[(k + 1) % IMAGE_PIECES].offset;
                uint64_t log = last ? UINT64_MAX : s->piece[(k + 1) % IMAGE_PIECES].log;

                if (to < piece->offset || to > s->written || piece->log > image->out.end ||
                    piece_at(s, k, to) > image->out.end)
                        return false;
                if (!last && piece_at(s, k, to) != log && (to > s->acked || s->unheard) &&
                    !hole_is_good(r, piece_at(s, k, to), log))
                        return false;
                if (!last && log < piece_at(s, k, to))
                        return false;
                if (piece->inject != IMAGE_OPEN &&
                    (piece->inject > s->inject.end ||
                     to - piece->offset > s->inject.end - piece->inject))
                        return false;
                if (k == s->piece_first || piece->offset <= s->acked)
                        if ((last || to > s->acked) &&
                            !acked_is_good(image, piece_at(s, k, s->acked)))
                                return false;
                if (last && piece->inject != IMAGE_OPEN)
                        inject = piece->inject + (s->written - piece->offset);
        }
        return inject <= s->inject.end;
}

/* True if the inject log has all bytes not written yet. */
static bool inject_is_good(struct recovery *r, const struct log *inject)
{
        const struct image_session *session = &r->image->session;
        const struct image_piece *last = &session->piece[(session->piece_next - 1) % IMAGE_PIECES];
        uint64_t from = session->inject_next;

        if (session->live && last->inject != IMAGE_OPEN)
                from = last->inject + (session->written - last->offset);
        return from <= inject->image->end &&
               recover_is_whole(r, inject, chain_head(&inject->image->data), from,
                                inject->image->end);
}

/* True if the places from which the ledger counts are in the out log. */
static bool has_good_places(const struct image *image)
{
        const struct image_session *s = &image->session;

        return s->start <= image->out.end && s->start_number <= image->out.number &&
               s->begun <= image->out.end && s->begun_number <= image->out.number;
}

static const char *check_session(struct recovery *r, const struct frame_spec *spec)
{
        struct image *image = r->image;
        struct image_session *session = &image->session;
        uint64_t fill = session->rx_base + session->rx_read;
        struct log inject;

        log_init(&inject, r->store, &session->inject, spec);
        if (session->lingers > session->epoch ||
            (session->live && session->lingers == session->epoch))
                return "the connection that lingers is no earlier one";
        if (!recover_has_good_end(r, &session->inject))
                return "the end of what is sent besides is out of range";
        if (!has_good_places(image))
                return "the messages of a connection are out of range";
        if (session->unheard > (session->live ? LEDGER_UNHEARD_ANSWER : LEDGER_HEARD))
                return "what the connection waits for is out of range";
        if (!session->live &&
            (session->skip_from || session->skip_to || session->piece_first != session->piece_next))
                return "there is a map without a connection";
        if (!session->live)
                return recover_is_boundary(r, &r->out, image->acked.pos)
                               ? NULL
                               : "what is to be sent next does not begin a message";
        if (fill < image->in.end || fill - image->in.end > UINT64_MAX / 2 ||
            (fill > image->in.end && fill > recover_chain_room(r->store, &image->in.data)))
                return "the bytes received are out of range";
        if (!map_is_good(r))
                return "the map is out of order";
        if (!skip_is_good(r))
                return "what is to be skipped is out of range";
        return inject_is_good(r, &inject) ? NULL : "what is to be sent besides is missing";
}

static const char *check_turn(struct recovery *r)
{
        const struct image_turn *turn = &r->image->turn;
        const struct image_client *client;
        uint64_t fill, end = r->image->out.end;

        if (!turn->holder)
                return NULL;
        if (turn->holder > r->image->totals.client_slots)
                return "the turn's holder is out of range";
        client = &r->image->client[turn->holder - 1];
        fill = turn->base + client->rx_read;
        if (!client->id || client->aside.data.head || fill < end ||
            (fill > end && fill > recover_chain_room(r->store, &r->image->out.data)))
                return "the turn's holder is not what it should be";
        return NULL;
}

static bool partial_is_good(const struct image *image, const struct image_client *client)
{
        const struct image_chain *data = &client->aside.data;
        uint64_t partial = client->rx_read - client->aside.base;

        if (!data->head)
                return true;
        return client->aside.base < client->rx_read && image->slab[data->head - 1].aside_pos == 0 &&
               partial <= image->slab[data->tail - 1].aside_pos + IMAGE_SLAB_SIZE;
}

static bool somebody_waits(const struct image *image)
{
        for (uint64_t i = 0; i < image->totals.client_slots; i++)
                if (image->client[i].id && image->client[i].reading == READER_WAITS)
                        return true;
        return false;
}

/* Checks the spread: messages not given yet, messages for waiting readers, and messages of the
 * backlog are in the in log. */
static const char *check_spread(struct recovery *r)
{
        const struct image_spread *spread = &r->image->spread;
        const struct image_log *in = &r->image->in;

        if (spread->given > in->end || spread->balance > 1 || spread->has_backlog > 1)
                return "what was given to readers is out of range";
        if (spread->given < in->end &&
            (!recover_has_bytes(r, &r->in, spread->given, in->end, in->number) ||
             !recover_is_boundary(r, &r->in, spread->given)))
                return "what is to be given to readers is missing";
        if (!spread->has_backlog && !spread->balance && somebody_waits(r->image) &&
            !recover_has_bytes(r, &r->in, spread->admit, in->end, in->number))
                return "what is to be given to who waits is missing";
        return spread->has_backlog ? check_cursor(r, &r->in, &spread->backlog) : NULL;
}

/* True if `reading` and `waits` of the client agree; the cursor of a waiting reader must be empty.
 */
static bool role_is_good(const struct image *image, const struct image_client *client)
{
        bool waits = client->reading == READER_WAITS;

        if (client->reading > READER_LEAVING || waits != (client->waits != 0) ||
            client->inherited > UINT64_MAX / 2)
                return false;
        return !waits ||
               (client->waits - 1 <= image->in.end && client->cursor.pos == client->cursor.stop);
}

static const char *check_clients(struct recovery *r)
{
        struct image *image = r->image;

        if (image->totals.client_slots > IMAGE_CLIENTS)
                return "the client table is out of range";
        for (uint64_t i = 0; i < image->totals.client_slots; i++) {
                struct image_client *client = &image->client[i];
                const char *wrong;

                if (!client->id)
                        continue;
                if (!role_is_good(image, client))
                        return "a client is not what it should be";
                wrong = recover_check_chain(r, &client->aside.data, CHAIN_WHOLE, true);
                if (!wrong && client->reading)
                        wrong = check_cursor(r, &r->in, &client->cursor);
                if (wrong)
                        return wrong;
                if (!partial_is_good(image, client))
                        return "a partial message is outside its slabs";
        }
        return NULL;
}

/* The only reader of the out log is an open cursor, for all messages. */
static const char *check_acked(struct recovery *r)
{
        if (r->image->acked.stop != IMAGE_OPEN)
                return "the out log's reader is none";
        return check_cursor(r, &r->out, &r->image->acked);
}

/* Marks the extents of the cursor as taken. False: an extent is in two lists. */
static bool mark_extents(const struct recovery *r, const struct image_cursor *cursor, bool *taken)
{
        for (uint64_t e = cursor->extent_head; e; e = r->image->extent[e - 1].next) {
                if (taken[e])
                        return false;
                taken[e] = true;
        }
        return true;
}

/* Frees extents outside of all lists. False: an extent is in two lists, or no memory. */
static bool collect_extents(struct recovery *r)
{
        uint32_t used = r->store->extents_used;
        bool *taken = calloc(used + 1, sizeof(*taken));
        bool good = taken && store_extent_room(r->store, used);

        r->store->starved = !good;
        if (good && r->image->spread.has_backlog)
                good = mark_extents(r, &r->image->spread.backlog, taken);
        for (uint64_t i = 0; good && i < r->image->totals.client_slots; i++) {
                const struct image_client *client = &r->image->client[i];

                if (client->id && client->reading)
                        good = mark_extents(r, &client->cursor, taken);
        }
        for (uint32_t e = used; good && e > 0; e--)
                if (!taken[e])
                        extent_free(r->store, e - 1);
        free(taken);
        return good;
}

/* Frees slabs that are in no chain. */
static void collect_slabs(struct recovery *r)
{
        struct store *store = r->store;

        store->clients_ready = (uint32_t)r->image->totals.client_slots;
        store->extents_ready = store->extents_used;
        store->slabs_ready = store->slabs;
        store_lend_all(store);
        for (uint32_t slab = store->slabs; slab-- > 0;) {
                if (store->slab[slab].used) {
                        slab_commit(store, slab, IMAGE_SLAB_SIZE);
                } else {
                        store->slab[slab].used = true;
                        slab_free(store, slab);
                }
        }
}

static const char *check_logs(struct recovery *r, const struct frame_spec *spec)
{
        struct image *image = r->image;
        const char *wrong;

        if (!frame_spec_is_sound(spec))
                return "the frame is out of range";
        if ((wrong = recover_check_log(r, &image->in, spec)) ||
            (wrong = recover_check_log(r, &image->out, spec)) ||
            (wrong = recover_check_chain(r, &image->session.inject.data, CHAIN_WHOLE, false)))
                return wrong;
        log_init(&r->in, r->store, &image->in, spec);
        log_init(&r->out, r->store, &image->out, spec);
        return NULL;
}

const char *recover_image_within(struct store *store, const struct frame_spec *spec, uint64_t most,
                                 uint64_t *steps)
{
        struct recovery r = {.store = store, .image = store->image, .most = most};
        const char *wrong;

        if (!(wrong = check_logs(&r, spec)) && !(wrong = check_clients(&r)) &&
            !(wrong = check_spread(&r)) && !(wrong = check_acked(&r)) &&
            !(wrong = check_session(&r, spec)) && !(wrong = check_turn(&r)) &&
            !(wrong = events_check(store)))
                wrong = hold_check(store->image);
        *steps = r.steps;
        if (r.steps == most)
                return "its checks take too many steps";
        if (wrong)
                return wrong;
        if (!collect_extents(&r))
                return "an extent is in two lists";
        collect_slabs(&r);
        for (int i = 0; i < IMAGE_LATENCIES; i++)
                histogram_mend(&store->image->latency[i]);
        return NULL;
}

const char *recover_image(struct store *store, const struct frame_spec *spec)
{
        uint64_t steps;

        return recover_image_within(store, spec, RECOVER_STEPS, &steps);
}
