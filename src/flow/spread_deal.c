/* SPDX-License-Identifier: MIT */
/* Balance: which member the next messages go to, and what happens when extents are scarce. */
#include "flow/spread_internal.h"

#include "config/config.h"

enum {
        /* A queue counts as short if the queue is longer than the shortest queue by at most a
         * sixteenth of the shortest queue, and by at most 64 KiB. */
        SLACK_PART = 16,
        SLACK_MOST = 64 * 1024,
        OTHERS = 4, /* more cursors that may need extents: the backlog, and some to spare */
};

_Static_assert((int)CONFIG_PIECES == (int)IMAGE_EXTENTS, "the manual tells the number");
_Static_assert((int)CONFIG_PIECE_SIZE >= (int)(sizeof(struct image_extent) + 2 * sizeof(uint32_t)),
               "an extent, and its place in a list of free ones that grows by doubling");

void spread_given(struct spread *spread, struct log_place place)
{
        store_put(spread->store, &spread->image->given, place.pos);
        spread->given = place;
}

/* ---- the heir of the next messages ---- */

/* Returns the length of the shortest queue of the other members; UINT64_MAX: no other member. */
static uint64_t shortest_beside(const struct spread *spread, const struct reader *reader)
{
        uint32_t first = reader->rank ? 0 : 1, last = reader->rank ? 0 : 2;
        uint64_t least = UINT64_MAX;

        for (uint32_t i = first; i <= last && i < spread->n_members; i++) {
                uint64_t waiting = cursor_waiting(&spread->rank[i]->cursor);

                if (waiting < least)
                        least = waiting;
        }
        return least;
}

/* Returns how many bytes the member may get while its queue still counts as short. */
static uint64_t room_of(const struct spread *spread, const struct reader *reader)
{
        uint64_t waiting = cursor_waiting(&reader->cursor);
        uint64_t most = shortest_beside(spread, reader), slack = most / SLACK_PART;

        if (most == UINT64_MAX)
                return UINT64_MAX;
        most += slack < SLACK_MOST ? slack : SLACK_MOST;
        return most > waiting ? most - waiting : 0;
}

struct reader *spread_heir(struct spread *spread, uint64_t size, uint64_t *room)
{
        struct reader *reader = spread->last;

        *room = reader ? room_of(spread, reader) : 0;
        if (size > *room) {
                reader = spread->rank[0];
                *room = room_of(spread, reader);
        }
        return reader;
}

/* ---- scarce extents ---- */

/* Returns how many extents dealing leaves to other changes, which must not fail for lack of an
 * extent: a reader leaves, the mode changes, messages behind a begun message are dropped. */
static uint64_t spare(const struct spread *spread)
{
        return (uint64_t)spread->spare_each * (spread->n_all + OTHERS);
}

bool spread_may_split(const struct spread *spread)
{
        return extent_room(spread->store, (uint64_t)spread->n_all + OTHERS);
}

void spread_mind_extents(struct spread *spread)
{
        if (!spread->balance || spread->n_members < 2)
                spread->scant = false;
        else if (spread->scant)
                spread->scant = !extent_room(spread->store, spare(spread) + spare(spread) / 4);
}

/* Returns a member without need of an extent for the next messages, or else the member with the
 * shortest queue. */
static struct reader *heir_without_extent(const struct spread *spread)
{
        uint64_t from = spread->given.pos;

        if (cursor_grows(&spread->rank[0]->cursor, from))
                return spread->rank[0];
        if (spread->last && cursor_grows(&spread->last->cursor, from))
                return spread->last;
        for (uint32_t i = 1; !extent_room(spread->store, 1) && i < spread->n_members; i++)
                if (cursor_grows(&spread->rank[i]->cursor, from))
                        return spread->rank[i];
        return spread->rank[0];
}

/* ---- dealing ---- */

static void deal(struct spread *spread, struct reader *reader, struct log_place to)
{
        struct log_range range = {spread->given, to};

        if (spread->dealt)
                spread->dealt(spread->context, reader, range.from, range.to);
        store_begin(spread->store);
        if (cursor_extend(&reader->cursor, range.from, range.to) < 0)
                spread_book_dropped(spread, DROP_QUEUE_FULL, spread_range_count(&range));
        spread_given(spread, to);
        store_commit(spread->store);
        spread_served(spread, reader);
}

void spread_deal_all(struct spread *spread)
{
        struct log_place end = log_end(spread->log), next, to;
        uint32_t slab = SLAB_NONE;
        struct reader *reader;
        uint64_t room;

        if (spread->n_members == 1) {
                deal(spread, spread->rank[0], end);
                return;
        }
        for (next = log_step(spread->log, &slab, spread->given); spread->given.pos < end.pos;) {
                spread->scant = spread->scant || !extent_room(spread->store, spare(spread));
                if (spread->scant) {
                        deal(spread, heir_without_extent(spread), end);
                        return;
                }
                reader = spread_heir(spread, next.pos - spread->given.pos, &room);
                do {
                        to = next;
                        if (to.pos < end.pos)
                                next = log_step(spread->log, &slab, to);
                } while (next.pos > to.pos && next.pos - spread->given.pos <= room);
                deal(spread, reader, to);
        }
}
