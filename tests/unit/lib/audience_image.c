/* SPDX-License-Identifier: MIT */
/* What the image says of who gets what, beside the model of it. */
#include <string.h>

#include "audience.h"

struct range {
        uint64_t from, to; /* UINT64_MAX: whatever comes */
};

static void add_range(struct range *range, uint32_t *n, uint64_t from, uint64_t to)
{
        if (from == to)
                return;
        if (*n && range[*n - 1].to == from)
                range[*n - 1].to = to;
        else
                range[(*n)++] = (struct range){from, to};
}

static uint32_t ranges_of_image(const struct image *image, const struct image_cursor *cursor,
                                struct range *range)
{
        uint32_t n = 0;

        add_range(range, &n, cursor->pos, cursor->stop);
        for (uint64_t e = cursor->extent_head; e; e = image->extent[e - 1].next)
                add_range(range, &n, image->extent[e - 1].from, image->extent[e - 1].to);
        if (cursor->open_from != IMAGE_OPEN)
                add_range(range, &n, cursor->open_from, UINT64_MAX);
        return n;
}

bool listener_is(const struct audience *a, const struct listener *l, const struct image *image,
                 const struct image_cursor *cursor)
{
        static struct range is[RUNS + 2], should[RUNS + 2];
        uint32_t n = 0;

        for (uint32_t i = 0; i < l->n; i++)
                add_range(should, &n, a->pos(a->context, l->run[i].from) + (i ? 0 : l->off),
                          l->run[i].to == ENDLESS ? UINT64_MAX : a->pos(a->context, l->run[i].to));
        return ranges_of_image(image, cursor, is) == n && memcmp(is, should, n * sizeof(*is)) == 0;
}
