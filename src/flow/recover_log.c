/* SPDX-License-Identifier: MIT */
/* Checks the chains of slabs and the logs on the chains; marks and messages must agree. */
#include "flow/recover_internal.h"

#include <stdlib.h>

#include "store/marks.h"

enum { WALK_UNIT = 64 };

/* Grows the table of slabs up to `slab`. New entries count as free until a chain has the slab.
 * False: out of range, or no memory. */
static bool know_slab(struct store *store, uint32_t slab)
{
        if (slab >= IMAGE_SLABS)
                return false;
        if (slab >= store->slabs) {
                if (!store_slab_room(store, slab + 1)) {
                        store->starved = true;
                        return false;
                }
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

                if (!recover_may_go_on(r, 1) || !know_slab(r->store, slab) ||
                    r->store->slab[slab].used)
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

bool recover_is_whole(struct recovery *r, const struct log *log, uint32_t slab, uint64_t from,
                      uint64_t to)
{
        for (; slab != SLAB_NONE && from < to; slab = slab_next(log->store, slab)) {
                if (from < slab_pos(log->store, slab) || !recover_may_go_on(r, 1))
                        return false;
                if (from < slab_limit(log->store, slab))
                        from = slab_limit(log->store, slab);
        }
        return from >= to;
}

/* Counts the steps of a walk over the headers from the mark to pos. */
static bool may_walk(struct recovery *r, const struct image_mark *mark, uint64_t pos)
{
        return recover_may_go_on(r, pos > mark->pos ? 1 + (pos - mark->pos) / WALK_UNIT : 1);
}

bool recover_is_boundary(struct recovery *r, const struct log *log, uint64_t pos)
{
        uint64_t hint = 0;
        const struct image_mark *mark = log_find_mark(log, pos, &hint);

        if (pos >= log->image->end)
                return pos == log->image->end;
        return mark && may_walk(r, mark, pos) && log_walk(log, mark, pos).pos == pos;
}

/* True if a walk over the headers from the mark on ends at this position and number. True as well
 * if bytes are missing on the way: no cursor walks over missing bytes. */
static bool leads_to(struct recovery *r, const struct log *log, const struct image_mark *mark,
                     uint64_t pos, uint64_t number)
{
        struct log_place place;

        if (!recover_is_whole(r, log, (uint32_t)(mark->where >> 32), mark->pos, pos))
                return true;
        if (!may_walk(r, mark, pos))
                return false;
        place = log_walk(log, mark, pos);
        return place.pos == pos && place.number == number;
}

/* Checks that each mark is in its slab, at a message whose number the walk from the mark before
 * confirms. The same goes for the end of the log. Returns NULL, or the failed check. */
static const char *check_marks(struct recovery *r, const struct log *log)
{
        const struct image_log *image = log->image;
        const struct image_mark *prev = NULL, *before = NULL, *mark = NULL;
        uint32_t slab = chain_head(&image->data);

        for (uint64_t k = image->mark_first; k < image->mark_next; k++) {
                mark = mark ? marks_behind(log, mark, k - 1) : marks_get(log, k);
                if (!recover_may_go_on(r, 1))
                        return "a log has too many marks";
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
                if (prev && !leads_to(r, log, prev, mark->pos, mark->number))
                        return "the marks and the messages of a log disagree";
                prev = mark;
        }
        if (prev && !leads_to(r, log, prev, image->end, image->number))
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
               recover_is_whole(r, &log, log.end_slab, image->end,
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
        return check_marks(r, &log);
}

/* check_marks() walked from each mark to the next one wherever no byte is missing, so only the way
 * from the last mark on is left. */
bool recover_has_bytes(struct recovery *r, const struct log *log, uint64_t from, uint64_t to,
                       uint64_t to_number)
{
        const struct image_mark *mark, *last;
        uint64_t hint = 0, last_hint = 0;
        uint32_t slab;

        if (from > to || to > log->image->end)
                return false;
        if (from == to)
                return true;
        mark = log_find_mark(log, from, &hint);
        last = log_find_mark(log, to, &last_hint);
        if (!mark || !last || !recover_may_go_on(r, 1))
                return false;
        slab = (uint32_t)(mark->where >> 32);
        return log_seek(log, SLAB_NONE, mark->pos) == slab &&
               recover_is_whole(r, log, slab, mark->pos, to) &&
               leads_to(r, log, last, to, to_number);
}

bool recover_has_messages(struct recovery *r, const struct log *log, uint64_t from,
                          uint64_t from_number, uint64_t to, uint64_t to_number)
{
        struct log_place place;

        if (!recover_has_bytes(r, log, from, to, to_number) || !recover_is_boundary(r, log, from))
                return false;
        place = log_place(log, from);
        return place.pos == from && place.number == from_number;
}
