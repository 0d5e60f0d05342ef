/* SPDX-License-Identifier: MIT */
/* Readers through flow/spread, beside the plain model of it: who gets which message of the peer. */
#include <string.h>

#include "sim.h"

/* ---- what the image says ---- */

/* In a change of mode that is under way, some are ahead. */
static bool has_followed(const struct audience *a, const struct listener *l,
                         const struct image *image, const struct image_cursor *cursor)
{
        static struct listener copy;

        if (!a->changing || l->role != READER_MEMBER)
                return false;
        copy = *l;
        audience_follow(a, &copy);
        return listener_is(a, &copy, image, cursor);
}

static bool is_same(const struct audience *a, const struct image *image)
{
        const struct image_spread *spread = &image->spread;

        if (spread->given != a->pos(a->context, a->given) || spread->balance != a->balance ||
            spread->has_backlog != a->has_backlog)
                return false;
        for (int i = 0; i < DROP_REASONS; i++)
                if (image->totals.in_dropped[i][0] != a->dropped[i].messages)
                        return false;
        if (a->has_backlog && !listener_is(a, &a->backlog, image, &spread->backlog))
                return false;
        for (uint32_t slot = 0; slot < SIM_SLOTS; slot++) {
                const struct image_client *client = &image->client[slot];
                const struct listener *l = &a->all[slot];

                if ((client->id ? client->reading : READER_NONE) != l->role)
                        return false;
                if (l->role != READER_NONE && !listener_is(a, l, image, &client->cursor) &&
                    !has_followed(a, l, image, &client->cursor))
                        return false;
                if (l->role == READER_WAITS && client->waits != a->pos(a->context, l->since) + 1)
                        return false;
        }
        return true;
}

/* ---- what happens; the model follows when it has happened ---- */

static void op_begins(struct world *world, enum sim_op op, uint32_t slot)
{
        world->op = op;
        world->op_slot = slot;
}

/* What is under way, in the model, as far as its budget goes. Returns what is dropped. */
static struct count op_in_model(const struct world *world, struct audience *a)
{
        switch (world->op) {
        case OP_JOIN: audience_join(a, world->op_slot); break;
        case OP_TRUST: audience_trust(a, world->op_slot, world->op_limit); break;
        case OP_LEAVE: audience_leave(a, world->op_slot); break;
        case OP_SHORTEN: return audience_shorten(a, world->op_slot, world->op_limit);
        case OP_DONE: return audience_done(a, world->op_slot, DROP_CLIENT_GONE);
        case OP_TAKE: audience_taken(a); break;
        case OP_SETTLE: audience_settle(a, world->backlog_size, world->queue_size); break;
        case OP_CONFIGURE:
                audience_configure(a, world->balance, world->backlog_size, world->queue_size);
                break;
        case OP_NONE:
        case OP_SEND: break;
        }
        return (struct count){0, 0};
}

/* What was dealt to one is never for another, whatever becomes of the mode. */
static void note_dealt(struct world *world, bool balance)
{
        while (world->dealt < world->audience.given)
                world->alone[world->dealt++] = balance && world->audience.balance;
}

static void op_ends(struct side *side, struct count dropped)
{
        struct world *world = side->world;
        bool balance = world->audience.balance;
        struct count expected = op_in_model(world, &world->audience);

        note_dealt(world, balance);
        world->op = OP_NONE;
        world_check(world, is_same(&world->audience, side->store.image),
                    "a reader has something else than it should");
        world_check(world, dropped.messages == expected.messages && dropped.bytes == expected.bytes,
                    "what is dropped is told otherwise");
}

void side_join(struct side *side, uint32_t slot)
{
        world_check(side->world, spread_room(&side->spread), "no memory");
        reader_join(&side->reader[slot], &side->spread, side_client(side, slot));
}

void side_reader_done(struct side *side, uint32_t slot)
{
        op_begins(side->world, OP_DONE, slot);
        op_ends(side, reader_done(&side->reader[slot], DROP_CLIENT_GONE));
}

void side_trust(struct side *side, uint32_t slot)
{
        struct world *world = side->world;
        struct cursor *offer = reader_offer(&side->reader[slot]);
        uint64_t taken = 0;

        op_begins(world, OP_TRUST, slot);
        world->op_limit = 0;
        if (offer) {
                struct iovec iov[SIM_IOV];
                int n = cursor_gather(offer, 1 + world_random(world, 3000), iov, SIM_IOV);

                for (int i = 0; i < n; i++)
                        taken += iov[i].iov_len;
                world->op_offered = taken;
                store_set(&side_client(side, slot)->sending, taken);
                taken = 1 + world_random(world, taken);
                world_offer(world, slot, iov, n, taken);
                world->op_limit = taken;
        }
        reader_trust(&side->reader[slot], taken);
        op_ends(side, (struct count){0, 0});
}

void side_leave(struct side *side, uint32_t slot)
{
        op_begins(side->world, OP_LEAVE, slot);
        world_check(side->world, reader_leave(&side->reader[slot]) == 0, "no memory");
        op_ends(side, (struct count){0, 0});
}

void side_shorten(struct side *side, uint32_t slot, uint64_t limit)
{
        op_begins(side->world, OP_SHORTEN, slot);
        side->world->op_limit = limit;
        op_ends(side, reader_shorten(&side->reader[slot], limit));
}

void side_configure(struct side *side, bool balance, uint64_t backlog_size, uint64_t queue_size)
{
        side->world->balance = balance;
        side->world->backlog_size = backlog_size;
        side->world->queue_size = queue_size;
        op_begins(side->world, OP_CONFIGURE, 0);
        spread_configure(&side->spread, balance, backlog_size, queue_size);
        op_ends(side, (struct count){0, 0});
}

void side_taken(struct side *side)
{
        side->world->audience.end = (uint32_t)side->in.image->number;
        op_begins(side->world, OP_TAKE, 0);
        spread_taken(&side->spread);
        op_ends(side, (struct count){0, 0});
}

void side_sends(struct side *side, uint32_t slot, uint64_t bytes)
{
        op_begins(side->world, OP_SEND, slot);
        side->world->op_offered = bytes;
        side->world->undo = side->world->audience.all[slot];
}

void side_sent(struct side *side)
{
        side->world->op = OP_NONE;
}

/* ---- after a crash: what was under way happened as far as one of its changes ---- */

void side_settle_readers(struct side *side)
{
        static struct audience a;
        struct world *world = side->world;
        const struct image *image = side->store.image;
        bool balance;

        world->audience.end = (uint32_t)image->in.number;
        if (world->op == OP_SEND && image->client[world->op_slot].sending)
                world->audience.all[world->op_slot] = world->undo;
        if ((world->op == OP_SEND || world->op == OP_TRUST) &&
            image->client[world->op_slot].sending)
                world->audience.all[world->op_slot].offered = world->op_offered;
        for (uint64_t budget = 0;; budget++) {
                a = world->audience;
                a.budget = budget;
                op_in_model(world, &a);
                if (is_same(&a, image))
                        break;
                world_check(world, !a.budget,
                            "what the readers have after a crash is nothing that ever was");
        }
        balance = world->audience.balance;
        world->audience = a;
        note_dealt(world, balance);
        world->audience.budget = UINT64_MAX;
        world->audience.going = NOBODY;
        world->op = OP_NONE;
}

void side_recover_readers(struct side *side)
{
        side_open_readers(side);
        audience_recover(&side->world->audience);
        op_begins(side->world, OP_SETTLE, 0);
        spread_settle(&side->spread, side->world->backlog_size, side->world->queue_size);
        op_ends(side, (struct count){0, 0});
}

void side_make_scant(struct side *side)
{
        if (side->plan->scant)
                side->spread.spare_each = IMAGE_EXTENTS; /* for each reader: more than there are */
}

void side_open_readers(struct side *side)
{
        /* As the daemon: a client beyond the slots used is none. */
        uint64_t slots = side->store.image->totals.client_slots;

        spread_recover(&side->spread, &side->in);
        side_make_scant(side);
        for (uint32_t slot = 0; slot < SIM_SLOTS && slot < slots; slot++) {
                struct image_client *client = side_client(side, slot);

                if (client->id && client->reading && spread_room(&side->spread))
                        reader_recover(&side->reader[slot], &side->spread, client);
        }
}

/* ---- the truth ---- */

static void check_count(const struct world *world, struct count is, struct count should,
                        const char *what)
{
        world_check(world, is.messages == should.messages && is.bytes == should.bytes, what);
}

static void check_listener(const struct world *world, const struct cursor *cursor,
                           const struct listener *l)
{
        check_count(world, cursor_delivered(cursor), l->done,
                    "what was delivered to a reader is counted wrong");
        check_count(world, cursor_queued(cursor), listener_queued(&world->audience, l),
                    "what waits for a reader is counted wrong");
        world_check(world, cursor_waiting(cursor) == listener_waiting(&world->audience, l),
                    "the bytes that wait for a reader are counted wrong");
}

void side_check_readers(struct side *side)
{
        const struct world *world = side->world;
        const struct audience *a = &world->audience;
        struct books books;

        spread_books(&side->spread, 1000, world->now, &books);
        world_check(world, books_balance(&books), "the books do not balance");
        check_count(world, books.delivered, audience_delivered(a), "delivered");
        check_count(world, books.queued, audience_queued(a), "queued");
        for (int i = 0; i < DROP_REASONS; i++)
                check_count(world, books.dropped[i], a->dropped[i],
                            drop_reason_name((enum drop_reason)i));
        world_check(world, a->given == world->down && a->end == world->down,
                    "not everything was given");
        for (uint32_t slot = 0; slot < SIM_SLOTS; slot++)
                if (a->all[slot].role != READER_NONE)
                        check_listener(world, &side->reader[slot].cursor, &a->all[slot]);
        if (a->has_backlog)
                check_listener(world, &side->spread.backlog, &a->backlog);
}
