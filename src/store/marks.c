/* SPDX-License-Identifier: MIT */
#include "store/marks.h"

enum {
        RUN_USEC = 1000,
        RUN_USEC_DEEP = 50000, /* with more than DEEP marks, whose memory begins to weigh */
        DEEP = 65536,
        RUN_MOST = 1024,   /* messages, but for those of a single walk */
        MIXED_BYTES = 256, /* a change of origin does not end a shorter run: the run's origin
                              becomes 0 */
};

struct image_mark *marks_get(const struct log *log, uint64_t k)
{
        const struct image_chain *chain = &log->image->marks;
        uint32_t slab = chain_tail(chain);

        if (k * sizeof(struct image_mark) < slab_pos(log->store, slab)) {
                slab = chain_head(chain);
                while (k * sizeof(struct image_mark) >=
                       slab_pos(log->store, slab) + IMAGE_SLAB_SIZE)
                        slab = slab_next(log->store, slab);
        }
        return (struct image_mark *)(slab_data(log->store, slab) +
                                     (k * sizeof(struct image_mark) - slab_pos(log->store, slab)));
}

/* True if these messages extend the last mark's run; updates that mark. */
static bool run_goes_on(struct log *log, uint64_t pos, uint64_t number, uint32_t slab, uint64_t now,
                        uint32_t origin)
{
        const struct image_log *image = log->image;
        uint64_t grain = !log->exact && image->mark_next - image->mark_first > DEEP ? RUN_USEC_DEEP
                                                                                    : RUN_USEC;
        struct image_mark *last;

        if (image->mark_next == image->mark_first)
                return false;
        last = marks_get(log, image->mark_next - 1);
        if (last->where >> 32 != slab || last->time_usec / grain != now / grain ||
            number - last->number >= RUN_MOST)
                return false;
        if (last->pos < slab_pos(log->store, slab))
                return false; /* the slab left the chain and came back */
        if ((uint32_t)last->where != origin) {
                if (pos - last->pos >= MIXED_BYTES)
                        return false;
                store_set_alone(&last->where, (uint64_t)slab << 32);
        }
        if (last->time_usec != now)
                store_set_alone(&last->time_usec, now);
        return true;
}

bool marks_add(struct log *log, uint64_t pos, uint64_t number, uint32_t slab, uint64_t now_usec,
               uint32_t origin)
{
        struct image_log *image = log->image;
        uint64_t at = image->mark_next * sizeof(struct image_mark);

        if (run_goes_on(log, pos, number, slab, now_usec, origin))
                return true;
        if (chain_tail(&image->marks) == SLAB_NONE ||
            at == slab_pos(log->store, chain_tail(&image->marks)) + IMAGE_SLAB_SIZE) {
                uint32_t more = slab_new(log->store, IMAGE_SLAB_SIZE);

                if (more == SLAB_NONE)
                        return false;
                chain_append(log->store, &image->marks, more, at);
        }
        *marks_get(log, image->mark_next) =
                (struct image_mark){pos, number, now_usec, (uint64_t)slab << 32 | origin};
        store_put(log->store, &image->mark_next, image->mark_next + 1);
        return true;
}

void marks_trim(struct log *log, uint64_t pos)
{
        struct image_log *image = log->image;
        uint64_t first = image->mark_first;

        while (first < image->mark_next && marks_get(log, first)->pos < pos)
                first++;
        store_put(log->store, &image->mark_first, first);
        for (uint32_t head = chain_head(&image->marks); head != chain_tail(&image->marks);
             head = chain_head(&image->marks)) {
                if (first * sizeof(struct image_mark) <
                    slab_pos(log->store, head) + IMAGE_SLAB_SIZE)
                        break;
                chain_remove(log->store, &image->marks, head);
                slab_free(log->store, head);
        }
}

const struct image_mark *log_find_mark(const struct log *log, uint64_t pos, uint64_t *hint)
{
        const struct image_log *image = log->image;
        uint64_t low = *hint, high = image->mark_next;
        const struct image_mark *mark = NULL;

        if (low >= image->mark_first && low < high)
                mark = marks_get(log, low);
        if (!mark || mark->pos > pos) {
                low = image->mark_first;
                mark = low < high ? marks_get(log, low) : NULL;
        }
        if (!mark || mark->pos > pos)
                return NULL;
        while (high - low > 1) { /* mark number low is at or before pos, number high behind pos */
                uint64_t middle = low + (high - low) / 2;
                const struct image_mark *at = marks_get(log, middle);

                if (at->pos <= pos) {
                        low = middle;
                        mark = at;
                } else {
                        high = middle;
                }
        }
        *hint = low;
        return mark;
}
