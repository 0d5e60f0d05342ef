/* SPDX-License-Identifier: MIT */
/* Checks the chains of slabs and the logs on the chains; marks and messages must agree. */
#include "flow/recover_internal.h"

#include <stdlib.h>

#include "store/marks.h"

/* Grows the table of slabs up to `slab`. New entries count as free until a chain has the slab.
 * False: out of range, or no memory. */
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

static bool in_order(enum chain_kind kind, bool first, uint64_t last, uint64_t pos)
{
        if (kind == CHAIN_FULL)
                return pos % IMAGE_SLAB_SIZE == 0 && (first || pos - last == IMAGE_SLAB_SIZE);
        return first || (pos >= last && (kind == CHAIN_HOLES || pos - last <= IMAGE_SLAB_SIZE));
}

const char *recover_check_chain(struct recovery *r, const struct image_chain *chain,
                                enum chain_kind kind, bool aside)
{
        uint32_t prev = SLAB_NONE, slab = chain_head(chain);
        uint64_t last = 0;

        if (chain->head > IMAGE_SLABS || chain->tail > IMAGE_SLABS)
                return "a chain is out of range";
        for (; slab != SLAB_NONE; slab = slab_next(r->store, slab)) {
                const struct image_slab *s;
                uint64_t pos;

                if (!know_slab(r->store, slab) || r->store->slab[slab].used)
                        return "a slab is out of range or in two chains";
                s = &r->image->slab[slab];
                pos = aside ? s->aside_pos : s->pos;
                if (s->next > IMAGE_SLABS || pos > UINT64_MAX / 2 ||
                    !in_order(kind, prev == SLAB_NONE, last, pos))
                        return "the slabs of a chain are not in order";
                r->store->slab[slab] = (struct store_slab){.prev = prev, .used = true};
                last = pos;
                prev = slab;
        }
        return chain_tail(chain) == prev ? NULL : "a chain does not end at its tail";
}

uint64_t recover_chain_room(const struct store *store, const struct image_chain *chain)
{
        return chain->tail ? slab_pos(store, chain_tail(chain)) + IMAGE_SLAB_SIZE : 0;
}

bool recover_is_whole(const struct log *log, uint32_t slab, uint64_t from, uint64_t to)
{
        for (; slab != SLAB_NONE && from < to; slab = slab_next(log->store, slab)) {
                if (from < slab_pos(log->store, slab))
                        return false;
                if (from < slab_limit(log->store, slab))
                        from = slab_limit(log->store, slab);
        }
        return from >= to;
}

/* True if a walk over the headers from the mark on ends at this position and number. True as well
 * if bytes are missing on the way: no cursor walks over missing bytes. */
static bool leads_to(const struct log *log, const struct image_mark *mark, uint64_t pos,
                     uint64_t number)
{
        struct log_place place;

        if (!recover_is_whole(log, (uint32_t)(mark->where >> 32), mark->pos, pos))
                return true;
        place = log_walk(log, mark, pos);
        return place.pos == pos && place.number == number;
}

/* Checks that each mark is in its slab, at a message whose number the walk from the mark before
 * confirms. The same goes for the end of the log. Returns NULL, or the failed check. */
static const char *check_marks(const struct log *log)
{
        const struct image_log *image = log->image;
        const struct image_mark *prev = NULL, *before = NULL;
        uint32_t slab = chain_head(&image->data);

        for (uint64_t k = image->mark_first; k < image->mark_next; k++) {
                const struct image_mark *mark = marks_get(log, k);

                if (before && (mark->pos <= before->pos || mark->number <= before->number))
                        return "the marks of a log are not in order";
                if (mark->pos >= image->end || mark->number >= image->number)
                        return "a mark is behind the end of its log";
                before = mark;
                slab = log_seek(log, slab, mark->pos);
                if (slab == SLAB_NONE || mark->pos < slab_pos(log->store, slab) ||
                    mark->pos >= slab_limit(log->store, slab)) {
                        prev = NULL; /* the slab of the mark was freed, in the middle of the log */
                        continue;
                }
                if (mark->where >> 32 != slab)
                        return "a mark is not in its slab";
                if (prev && !leads_to(log, prev, mark->pos, mark->number))
                        return "the marks and the messages of a log disagree";
                prev = mark;
        }
        if (prev && !leads_to(log, prev, image->end, image->number))
                return "the messages of a log do not end where it ends";
        return NULL;
}

bool recover_has_good_end(struct recovery *r, struct image_log *image)
{
        struct log log;

        if (image->end > UINT64_MAX / 2 || image->number > image->end)
                return false;
        if (!image->data.head)
                return true;
        log_init(&log, r->store, image, NULL);
        return image->end <= recover_chain_room(r->store, &image->data) &&
               recover_is_whole(&log, log.end_slab, image->end,
                                recover_chain_room(r->store, &image->data)) &&
               image->end >= slab_pos(r->store, log.end_slab);
}

/* Finishes a move of bytes behind the end, if one is under way; copying twice does no harm. Returns
 * NULL, or the failed check. */
static const char *finish_move(struct recovery *r, struct image_log *image)
{
        struct image_move *move = &image->move;
        struct log log;

        if (!move->slab)
                return NULL;
        if (move->slab > IMAGE_SLABS || !know_slab(r->store, (uint32_t)move->slab - 1) ||
            r->store->slab[move->slab - 1].used || move->size > IMAGE_SLAB_SIZE ||
            move->pos < image->end || move->pos > UINT64_MAX / 2 || !image->data.head ||
            move->pos + move->size > recover_chain_room(r->store, &image->data))
                return "bytes on their way into a log are not where they should be";
        log_init(&log, r->store, image, NULL);
        log_write(&log, log.end_slab, move->pos, slab_data(r->store, (uint32_t)move->slab - 1),
                  move->size);
        store_set(&move->slab, 0);
        return NULL;
}

const char *recover_check_log(struct recovery *r, struct image_log *image,
                              const struct frame_spec *spec)
{
        const char *wrong = recover_check_chain(r, &image->data, CHAIN_HOLES, false);
        uint64_t size = sizeof(struct image_mark), most = UINT64_MAX / 2 / size;
        struct log log;

        if (!wrong)
                wrong = recover_check_chain(r, &image->marks, CHAIN_FULL, false);
        if (wrong)
                return wrong;
        if (!recover_has_good_end(r, image))
                return "the end of a log is out of range";
        wrong = finish_move(r, image);
        if (wrong)
                return wrong;
        if (image->mark_first > image->mark_next || image->mark_next > most)
                return "the marks of a log are out of range";
        if (image->mark_first < image->mark_next &&
            (!image->marks.head || !image->data.head ||
             image->mark_first * size < slab_pos(r->store, chain_head(&image->marks)) ||
             image->mark_next * size > recover_chain_room(r->store, &image->marks)))
                return "the marks of a log are outside their slabs";
        log_init(&log, r->store, image, spec);
        return check_marks(&log);
}

bool recover_has_bytes(const struct log *log, uint64_t from, uint64_t to, uint64_t to_number)
{
        const struct image_mark *mark;
        uint64_t hint = 0;

        if (from > to || to > log->image->end)
                return false;
        if (from == to)
                return true;
        mark = log_find_mark(log, from, &hint);
        return mark && log_seek(log, SLAB_NONE, mark->pos) == (uint32_t)(mark->where >> 32) &&
               recover_is_whole(log, (uint32_t)(mark->where >> 32), mark->pos, to) &&
               leads_to(log, mark, to, to_number);
}

bool recover_has_messages(const struct log *log, uint64_t from, uint64_t from_number, uint64_t to,
                          uint64_t to_number)
{
        struct log_place place;

        if (!recover_has_bytes(log, from, to, to_number))
                return false;
        place = log_place(log, from);
        return place.pos == from && place.number == from_number;
}
