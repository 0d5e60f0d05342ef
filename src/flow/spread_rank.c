/* SPDX-License-Identifier: MIT */
/* The members as a heap, the shortest queue on top. */
#include "flow/spread_internal.h"

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

/* Moves the reader down, below every child with a shorter queue. */
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

void spread_rank_mend(struct spread *spread, struct reader *reader)
{
        uint32_t at = reader->rank;

        for (; at > 0 && goes_before(reader, spread->rank[(at - 1) / 2]); at = (at - 1) / 2)
                rank_put(spread, at, spread->rank[(at - 1) / 2]);
        rank_put(spread, at, reader);
        rank_sink(spread, at);
}

void spread_served(struct spread *spread, struct reader *reader)
{
        spread->last = reader;
        reader->served = ++spread->serves;
        spread_rank_mend(spread, reader);
}

void spread_rank_all(struct spread *spread)
{
        for (size_t i = spread->n_members / 2; i-- > 0;)
                rank_sink(spread, (uint32_t)i);
}

void spread_rank_add(struct spread *spread, struct reader *reader)
{
        reader->role = READER_MEMBER;
        reader->served = ++spread->serves;
        rank_put(spread, spread->n_members++, reader);
        if (spread->balance)
                spread_rank_mend(spread, reader);
}

void spread_rank_remove(struct spread *spread, struct reader *reader)
{
        struct reader *last = spread->rank[--spread->n_members];

        if (spread->last == reader)
                spread->last = NULL;
        if (last == reader)
                return;
        rank_put(spread, reader->rank, last);
        if (spread->balance)
                spread_rank_mend(spread, last);
}
