/* SPDX-License-Identifier: MIT */
#include "core/recover.h"
#include "core/books.h"
#include "core/marks.h"

#include <stdlib.h>

struct recovery {
        struct store *store;
        struct image *image;
};

/* The tables grow to whatever is referred to; slabs nobody refers to are free. */
static bool know_slab(struct store *store, uint32_t slab)
{
        if (slab >= IMAGE_SLABS)
                return false;
        if (slab >= store->slabs) {
                uint32_t room = (slab / 1024 + 1) * 1024;
                void *p = reallocarray(store->slab, room, sizeof(*store->slab));

                if (!p)
                        return false;
                store->slab = p;
                for (uint32_t i = store->slabs; i <= slab; i++)
                        store->slab[i] = (struct store_slab){.prev = SLAB_NONE};
                store->slabs = slab + 1;
        }
        return true;
}

/* Every slab of a chain is in no other one, in order, and the last one is its tail. */
static const char *check_chain(struct recovery *r, const struct image_chain *chain, bool own,
                               uint64_t step)
{
        uint32_t prev = SLAB_NONE, slab = chain_head(chain);
        uint64_t last = 0;

        for (; slab != SLAB_NONE; slab = slab_next(r->store, slab)) {
                const struct image_slab *s;
                uint64_t pos;

                if (!know_slab(r->store, slab) || r->store->slab[slab].used)
                        return "a slab is out of range or in two chains";
                s = &r->image->slab[slab];
                pos = own ? s->own : s->pos;
                if (s->next > IMAGE_SLABS ||
                    (prev != SLAB_NONE && (pos < last || (step && pos != last + step))) ||
                    pos > UINT64_MAX / 2)
                        return "the slabs of a chain are not in order";
                r->store->slab[slab] = (struct store_slab){.prev = prev, .used = true};
                last = pos;
                prev = slab;
        }
        return chain_tail(chain) == prev ? NULL : "a chain does not end at its tail";
}

static bool slab_is_in(const struct store *store, const struct image_chain *chain, uint32_t slab)
{
        for (uint32_t s = chain_head(chain); s != SLAB_NONE; s = slab_next(store, s))
                if (s == slab)
                        return true;
        return false;
}

/* Are the bytes of [from, to) there without a hole, beginning in this slab? */
static bool is_whole(const struct log *log, uint32_t slab, uint64_t from, uint64_t to)
{
        for (; slab != SLAB_NONE && from < to; slab = slab_next(log->store, slab)) {
                if (from < slab_pos(log->store, slab))
                        return false;
                if (from < slab_limit(log->store, slab))
                        from = slab_limit(log->store, slab);
        }
        return from >= to;
}

/* Each mark stands in its slab, at a message, with the number that walking from the one before
 * gives. */
static const char *check_marks(const struct log *log)
{
        const struct image_log *image = log->image;
        uint32_t slab = chain_head(&image->data);
        const struct image_mark *prev = NULL;

        for (uint64_t k = image->mark_first; k < image->mark_next; k++) {
                const struct image_mark *mark = marks_get(log, k);
                uint32_t in = (uint32_t)(mark->where >> 32);

                if (prev && (mark->pos <= prev->pos || mark->number <= prev->number))
                        return "the marks of a log are not in order";
                if (mark->pos >= image->end || mark->number >= image->number)
                        return "a mark is behind the end of its log";
                while (slab != SLAB_NONE && slab != in)
                        slab = slab_next(log->store, slab);
                if (slab == SLAB_NONE) { /* of a slab that went out of the middle; only the order
                                            must hold */
                        slab = chain_head(&image->data);
                        prev = NULL;
                        continue;
                }
                if (mark->pos < slab_pos(log->store, in) || mark->pos >= slab_limit(log->store, in))
                        return "a mark is not in its slab";
                if (prev && is_whole(log, (uint32_t)(prev->where >> 32), prev->pos, mark->pos)) {
                        struct log_place place = log_place(log, mark->pos);

                        if (place.pos != mark->pos || place.number != mark->number)
                                return "the marks and the messages of a log disagree";
                }
                prev = mark;
        }
        return NULL;
}

/* The walk over the headers comes out exactly at the end, with the number that the log has. */
static const char *check_end(struct log *log)
{
        struct image_log *image = log->image;
        const struct image_mark *last;
        struct log_place place;

        if (image->mark_next == image->mark_first)
                return NULL;
        last = marks_get(log, image->mark_next - 1);
        if (!is_whole(log, (uint32_t)(last->where >> 32), last->pos, image->end))
                return "bytes before the end of a log are missing";
        place = log_behind(log, log_place(log, image->end - 1));
        if (place.pos != image->end)
                return "the messages of a log do not end where it ends";
        return place.number == image->number ? NULL
                                             : "a log has another number of messages than it says";
}

static const char *check_log(struct recovery *r, struct image_log *image,
                             const struct frame_spec *spec, bool marks)
{
        uint32_t tail = chain_tail(&image->data), head = chain_head(&image->data);
        const char *wrong = check_chain(r, &image->data, false, 0);
        uint64_t size = sizeof(struct image_mark);
        struct log log;

        if (!wrong)
                wrong = check_chain(r, &image->marks, false, IMAGE_SLAB_SIZE);
        if (wrong)
                return wrong;
        if (image->end > UINT64_MAX / 2 || image->number > UINT64_MAX / 2)
                return "the end of a log is out of range";
        if (head != SLAB_NONE && (image->end < slab_pos(r->store, head) ||
                                  image->end > slab_pos(r->store, tail) + IMAGE_SLAB_SIZE))
                return "the end of a log is outside its slabs";
        if (!marks)
                return NULL;
        head = chain_head(&image->marks);
        tail = chain_tail(&image->marks);
        if (image->mark_first > image->mark_next ||
            (image->mark_first < image->mark_next &&
             (head == SLAB_NONE || image->mark_first * size < slab_pos(r->store, head) ||
              image->mark_next * size > slab_pos(r->store, tail) + IMAGE_SLAB_SIZE)))
                return "the marks of a log are outside their slabs";
        log_init(&log, r->store, image, spec);
        wrong = check_marks(&log);
        return wrong ? wrong : check_end(&log);
}

/* Are the bytes of [from, to) in the log, and is `from` a message with this number? */
static bool holds(const struct log *log, uint64_t from, uint64_t to)
{
        const struct image_mark *mark;
        uint64_t hint = 0;

        if (from > to || to > log->image->end)
                return false;
        if (from == log->image->end)
                return true;
        mark = log_mark(log, from, &hint);
        return mark && slab_is_in(log->store, &log->image->data, (uint32_t)(mark->where >> 32)) &&
               is_whole(log, (uint32_t)(mark->where >> 32), mark->pos, to);
}

static bool holds_place(const struct log *log, uint64_t pos, uint64_t number, uint64_t to)
{
        struct log_place place;

        if (!holds(log, pos, to))
                return false;
        place = log_place(log, pos);
        return place.pos == pos && place.number == number;
}

static const char *check_extents(struct recovery *r, const struct log *log,
                                 const struct image_cursor *cursor)
{
        struct count sum = {0, 0};
        uint64_t last = 0, left = IMAGE_EXTENTS;

        for (uint64_t e = cursor->extent_head; e; e = r->image->extent[e - 1].next) {
                const struct image_extent *extent;

                if (e > IMAGE_EXTENTS || !left--)
                        return "an extent is out of range";
                extent = &r->image->extent[e - 1];
                if (r->store->extents_used < e)
                        r->store->extents_used = (uint32_t)e;
                if (!holds_place(log, extent->from, extent->from_number, extent->to) ||
                    extent->from >= extent->to)
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

static const char *check_cursor(struct recovery *r, struct image_log *image,
                                const struct image_cursor *cursor, const struct frame_spec *spec)
{
        bool open = cursor->stop == IMAGE_OPEN;
        uint64_t to = open ? image->end : cursor->stop;
        struct log log;

        log_init(&log, r->store, image, spec);
        if (cursor->pos > to || cursor->from > cursor->pos)
                return "a cursor is out of order";
        if (cursor->pos < to && !holds(&log, cursor->pos, to))
                return "a cursor is not in its log";
        if (!open && cursor->resume != IMAGE_OPEN &&
            (cursor->resume < to ||
             !holds_place(&log, cursor->resume, cursor->resume_number, image->end)))
                return "a jump is not in its log";
        return check_extents(r, &log, cursor);
}

static const char *check_session(const struct image_session *session, const struct image_log *out)
{
        uint64_t offset = 0;

        if (session->piece_next < session->piece_first ||
            session->piece_next - session->piece_first > IMAGE_PIECES)
                return "the map is out of range";
        if (!session->live)
                return NULL;
        if (session->acked > session->written || session->piece_next == session->piece_first)
                return "the session is out of order";
        for (uint64_t k = session->piece_first; k < session->piece_next; k++) {
                const struct image_piece *piece = &session->piece[k % IMAGE_PIECES];

                if ((k > session->piece_first && piece->offset < offset) || piece->log > out->end ||
                    (piece->inject != IMAGE_OPEN && piece->inject > session->inject.end))
                        return "the map is out of order";
                offset = piece->offset;
        }
        return NULL;
}

static const char *check_turn(struct recovery *r)
{
        const struct image_turn *turn = &r->image->turn;
        const struct image_client *client;
        uint32_t tail = chain_tail(&r->image->out.data);
        uint64_t fill;

        if (!turn->holder)
                return NULL;
        if (turn->holder > r->image->totals.client_slots)
                return "the turn's holder is out of range";
        client = &r->image->client[turn->holder - 1];
        fill = turn->base + client->taken;
        if (!client->id || client->own.data.head || fill < r->image->out.end ||
            (tail != SLAB_NONE ? fill > slab_pos(r->store, tail) + IMAGE_SLAB_SIZE
                               : fill != r->image->out.end))
                return "the turn's holder is not what it should be";
        return NULL;
}

static const char *check_clients(struct recovery *r, const struct frame_spec *spec)
{
        struct image *image = r->image;

        if (image->totals.client_slots > IMAGE_CLIENTS)
                return "the client table is out of range";
        for (uint64_t i = 0; i < image->totals.client_slots; i++) {
                struct image_client *client = &image->client[i];
                const char *wrong;
                uint32_t tail;

                if (!client->id)
                        continue;
                wrong = check_chain(r, &client->own.data, true, 0);
                if (!wrong && client->reading)
                        wrong = check_cursor(r, &image->in, &client->cursor, spec);
                if (wrong)
                        return wrong;
                tail = chain_tail(&client->own.data);
                if (tail != SLAB_NONE &&
                    (client->own.base > client->taken ||
                     client->taken - client->own.base > image->slab[tail].own + IMAGE_SLAB_SIZE))
                        return "a partial message is outside its slabs";
        }
        return NULL;
}

/* Extents that no list has are free; false: one is in two, or there is no memory. */
static bool collect_extents(struct recovery *r)
{
        uint32_t used = r->store->extents_used;
        bool *taken = calloc(used + 1, sizeof(*taken)), good = taken != NULL;

        for (uint64_t i = 0; good && i < r->image->totals.client_slots; i++) {
                const struct image_client *client = &r->image->client[i];

                if (!client->id || !client->reading)
                        continue;
                for (uint64_t e = client->cursor.extent_head; good && e;
                     e = r->image->extent[e - 1].next) {
                        good = !taken[e];
                        taken[e] = true;
                }
        }
        for (uint32_t e = used; good && e > 0; e--)
                if (!taken[e])
                        extent_free(r->store, e - 1);
        free(taken);
        return good;
}

/* What nobody refers to is free. */
static void collect_slabs(struct recovery *r)
{
        struct store *store = r->store;

        store->clients_ready = (uint32_t)r->image->totals.client_slots;
        store->extents_ready = store->extents_used;
        store->slabs_ready = store->slabs;
        for (uint32_t slab = store->slabs; slab-- > 0;) {
                if (store->slab[slab].used) {
                        slab_commit(store, slab, IMAGE_SLAB_SIZE);
                } else {
                        store->slab[slab].used = true;
                        slab_free(store, slab);
                }
        }
}

const char *recover_image(struct store *store, const struct frame_spec *spec)
{
        struct recovery r = {store, store->image};
        struct image *image = store->image;
        const char *wrong;

        if ((wrong = check_log(&r, &image->in, spec, true)) ||
            (wrong = check_log(&r, &image->out, spec, true)) ||
            (wrong = check_log(&r, &image->session.inject, spec, false)) ||
            (wrong = check_clients(&r, spec)) ||
            (wrong = check_cursor(&r, &image->out, &image->acked, spec)) ||
            (wrong = check_session(&image->session, &image->out)) || (wrong = check_turn(&r)))
                return wrong;
        if (!collect_extents(&r))
                return "an extent is in two lists";
        collect_slabs(&r);
        return NULL;
}
