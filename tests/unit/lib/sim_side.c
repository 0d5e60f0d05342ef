/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "sim.h"

/* A crash may come here, too, where the kernel did something and no store says so yet. */
void side_crash_point(void)
{
        if (store_hook)
                store_hook();
}

struct image_client *side_client(const struct side *side, uint32_t slot)
{
        return &side->store.image->client[slot];
}

uint32_t side_number(const struct side *side, uint32_t slot)
{
        return (uint32_t)side_client(side, slot)->id - 1;
}

/* A slot in use, or SIM_SLOTS. */
uint32_t side_any_slot(struct side *side)
{
        uint32_t slot = (uint32_t)world_random(side->world, SIM_SLOTS);

        for (int i = 0; i < SIM_SLOTS; i++, slot = (slot + 1) % SIM_SLOTS)
                if (side_client(side, slot)->id)
                        return slot;
        return SIM_SLOTS;
}

uint64_t side_any_size(struct world *world)
{
        switch (world_random(world, 4)) {
        case 0: return 1 + world_random(world, 8);
        case 1: return 1 + world_random(world, 300);
        case 2: return 1 + world_random(world, 10000);
        default: return 1 + world_random(world, 200000);
        }
}

/* ---- clients ---- */

static void fill_slot(struct side *side, uint32_t slot, uint32_t c)
{
        struct image_client *client = side_client(side, slot);
        enum sim_kind kind = side->world->client[c].kind;
        struct store *store = &side->store;

        store_begin(store);
        store_put(store, &client->rx_read, 0);
        store_put(store, &client->sending, 0);
        store_put(store, &client->accepted_messages, 0);
        store_put(store, &client->accepted_bytes, 0);
        store_put(store, &client->reading, kind != SIM_SENDER);
        if (side->plan->spread && kind != SIM_SENDER)
                side_join(side, slot);
        else if (kind != SIM_SENDER)
                cursor_init(&side->cursor[slot], &side->in, &client->cursor, kind == SIM_OPEN);
        if (store->image->totals.client_slots <= slot)
                store_put(store, &store->image->totals.client_slots, slot + 1);
        store_put(store, &client->id, c + 1);
        store_commit(store);
        writer_init(&side->writer[slot], &side->turn, slot);
}

void side_connect(struct side *side)
{
        struct world *world = side->world;
        struct sim_client *client = &world->client[world->n_clients];
        uint64_t kind = world_random(world, 100);
        uint32_t slot = 0;

        while (slot < side->plan->slots && side_client(side, slot)->id)
                slot++;
        if (slot == side->plan->slots || world->n_clients == SIM_CLIENTS)
                return;
        world_check(world, store_client_ready(&side->store, slot), "no memory");
        client->kind = kind < side->plan->closed                         ? SIM_CLOSED
                       : kind < side->plan->closed + side->plan->senders ? SIM_SENDER
                                                                         : SIM_OPEN;
        client->at = world->down;
        client->state = SIM_THERE;
        world->op = side->plan->spread && client->kind != SIM_SENDER ? OP_JOIN : OP_NONE;
        world->op_slot = slot;
        fill_slot(side, slot, world->n_clients++);
        if (world->op == OP_JOIN)
                audience_join(&world->audience, slot);
        world->op = OP_NONE;
}

/* The end of a client that closed, or was closed. */
void side_dispose(struct side *side, uint32_t slot)
{
        struct image_client *client = side_client(side, slot);
        uint32_t c = side_number(side, slot);
        struct store *store = &side->store;

        writer_done(&side->writer[slot]);
        if (client->reading && side->plan->spread)
                side_reader_done(side, slot);
        store_begin(store);
        if (client->reading)
                cursor_done(&side->cursor[slot]);
        store_put(store, &client->reading, 0);
        store_commit(store);
        store_set(&client->id, 0);
        side->world->client[c].state = SIM_GONE;
}

void side_vanish(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot == SIM_SLOTS || world_random(side->world, 4))
                return;
        side->world->client[side_number(side, slot)].state = SIM_DEAD;
        side_crash_point();
        side_dispose(side, slot);
}

static bool read_client(struct side *side, uint32_t slot, size_t want)
{
        struct world *world = side->world;
        struct iovec iov[SIM_IOV];
        int n = turn_room(&side->writer[slot], want, iov, 1 + (int)world_random(world, SIM_IOV));
        uint32_t c = side_number(side, slot);
        uint64_t took;
        struct log_taken taken;

        world_check(world, n > 0, "no room for a client's bytes");
        side->turn.discard = side->plan->discards && world->conn != CONN_UP;
        world->discarding.client = side->turn.discard ? c + 1 : 0;
        world->discarding.from = world->client[c].sent;
        took = world_client_recv(world, c, iov, n);
        world->discarding.to = world->client[c].sent;
        side_crash_point();
        if (!took)
                return false;
        taken = turn_take(&side->writer[slot], took, world->now);
        if (world->discarding.client)
                world_discarded(world);
        world_check(world, taken.result == FRAME_MORE && !taken.no_memory, "a frame was refused");
        return true;
}

static bool write_client(struct side *side, uint32_t slot, size_t limit)
{
        struct image_client *client = side_client(side, slot);
        struct world *world = side->world;
        struct iovec iov[SIM_IOV];
        uint64_t went, sum = 0;
        int n;

        if (!client->reading)
                return false;
        if (side->plan->spread)
                return side_write_reader(side, slot, limit);
        n = cursor_gather(&side->cursor[slot], limit, iov, 1 + (int)world_random(world, SIM_IOV));
        for (int i = 0; i < n; i++)
                sum += iov[i].iov_len;
        if (!sum)
                return false;
        store_set(&client->sending, sum);
        went = world_client_send(world, side_number(side, slot), iov, n,
                                 world_random(world, 3) ? sum : 1 + world_random(world, sum));
        side_crash_point();
        store_begin(&side->store);
        cursor_advance(&side->cursor[slot], went);
        store_put(&side->store, &client->sending, 0);
        store_commit(&side->store);
        return true;
}

static void do_read_client(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot < SIM_SLOTS)
                read_client(side, slot, side_any_size(side->world));
}

static void do_write_client(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot < SIM_SLOTS)
                write_client(side, slot, side_any_size(side->world));
}

static void do_jump(struct side *side)
{
        struct world *world = side->world;
        uint32_t slot = side_any_slot(side), to, c;
        struct sim_client *client;
        struct count skipped, expected;

        if (side->plan->spread || slot == SIM_SLOTS || world_random(world, 3))
                return;
        c = side_number(side, slot);
        client = &world->client[c];
        if (client->kind != SIM_OPEN || client->at >= world->down)
                return;
        to = client->at + 1 + (uint32_t)world_random(world, world->down - client->at);
        world->jumping.client = c + 1;
        world->jumping.to = to;
        skipped = cursor_jump(&side->cursor[slot], side->plan->down.boundary[to]);
        world->jumping.client = 0;
        expected = world_jump(world, c, to);
        world_check(world, skipped.messages == expected.messages && skipped.bytes == expected.bytes,
                    "a jump tells another number");
}

/* ---- messages of the peer for closed cursors ---- */

static struct log_place place_of(const struct plan *plan, uint32_t message)
{
        return (struct log_place){plan->down.boundary[message], message, 0};
}

static uint32_t closed_slot(struct side *side)
{
        uint32_t slot = (uint32_t)world_random(side->world, SIM_SLOTS);

        for (int i = 0; i < SIM_SLOTS; i++, slot = (slot + 1) % SIM_SLOTS)
                if (side_client(side, slot)->id &&
                    side->world->client[side_number(side, slot)].kind == SIM_CLOSED)
                        return slot;
        return SIM_SLOTS;
}

void world_given(struct world *world, uint32_t c, uint32_t from, uint32_t to)
{
        memset(world->owner + from, (int)c + 1, to - from);
        world->given = to;
}

/* Messages nobody has been given yet go to readers of extents, some to each. */
void side_give(struct side *side)
{
        struct world *world = side->world;

        while (world->given < world->down) {
                uint32_t slot = closed_slot(side), from = world->given;
                uint32_t to = from + 1 + (uint32_t)world_random(world, 5), c;

                if (slot == SIM_SLOTS) {
                        world->given = world->down;
                        break;
                }
                if (to > world->down)
                        to = world->down;
                c = side_number(side, slot);
                world->extending.client = c + 1;
                world->extending.from = from;
                world->extending.to = to;
                world_check(world,
                            cursor_extend(&side->cursor[slot], place_of(side->plan, from),
                                          place_of(side->plan, to)) == 0,
                            "no memory");
                world->extending.client = 0;
                world_given(world, c, from, to);
        }
        log_trim(&side->in);
}

/* ---- the scenario ---- */

static void do_read_link(struct side *side)
{
        side_read_link(side, side_any_size(side->world));
}

static void do_write_link(struct side *side)
{
        uint64_t limit = side_any_size(side->world);

        side_write_link(side, limit, world_random(side->world, 8) == 0);
}

/* One of these, each as often as its weight says. */
void side_any_act(struct side *side, const struct act *acts, size_t n)
{
        uint64_t dice = 0;
        size_t i;

        for (i = 0; i < n; i++)
                dice += acts[i].weight;
        dice = world_random(side->world, dice);
        for (i = 0; dice >= acts[i].weight; i++)
                dice -= acts[i].weight;
        side->world->doing = acts[i].name;
        acts[i].act(side);
}

void side_step(struct side *side)
{
        static const struct act acts[] = {
                {"a client connects", 3, side_connect},
                {"a client vanishes", 4, side_vanish},
                {"a client's bytes are read", 24, do_read_client},
                {"a client is written to", 24, do_write_client},
                {"a jump", 6, do_jump},
                {"the link is read", 14, do_read_link},
                {"the link is written to", 16, do_write_link},
                {"an acknowledgement", 8, side_ack},
                {"a heartbeat", 4, side_inject},
                {"the connection", 3, side_connection},
        };

        side->world->step++;
        side->world->now += world_random(side->world, 3) ? world_random(side->world, 400)
                                                         : world_random(side->world, 9000);
        if (side->plan->spread && world_random(side->world, 4) == 0)
                side_reader_act(side);
        else
                side_any_act(side, acts, sizeof(acts) / sizeof(*acts));
}

/* How many slabs an image without work needs: ends, marks, and what was made ready behind them. */
static void check_slabs(const struct side *side)
{
        uint32_t used = 0;

        for (uint32_t i = 0; i < side->store.slabs; i++)
                used += side->store.slab[i].used;
        world_check(side->world, used <= 16, "slabs are lost");
}

void side_finish(struct side *side)
{
        struct world *world = side->world;
        bool more = true;

        world->doing = "finishing";
        for (uint32_t slot = 0; side->plan->spread && slot < SIM_SLOTS; slot++)
                if (side_client(side, slot)->id && side_client(side, slot)->reading == READER_WAITS)
                        side_trust(side, slot);
        if (side->plan->spread)
                side_configure(side, world->balance, 0, 1);
        if (world->conn == CONN_NONE)
                side_connection_begins(side);
        world->unheard = LEDGER_HEARD; /* another configuration: the peer may say nothing more */
        side_hear(side);
        while (more) {
                more = side_read_link(side, 100000);
                for (uint32_t slot = 0; slot < SIM_SLOTS; slot++)
                        if (side_client(side, slot)->id) {
                                more |= read_client(side, slot, 100000);
                                more |= write_client(side, slot, 1000000);
                        }
                more |= side_write_link(side, 1000000, false);
                world->transmitted = world->acked = world->written;
                ledger_acked(&side->ledger, world->acked);
        }
        side_check(side);
        world_check(world, world->index == world->n_order && !world->tx_off,
                    "not everything was sent again");
        world_check(world, world->inject_seen == world->inject, "something injected is lost");
        world_check(world, world->n_order == side->out.image->number, "messages are lost");
        for (uint32_t c = 0; c < world->n_clients; c++)
                for (uint32_t i = world->client[c].out; i < world->client[c].sent; i++)
                        world_check(world, world->is_discarded[c][i], "a message is lost");
        world_check(world, !ledger_pending(&side->ledger, false), "something is left");
        check_slabs(side);
}

void side_run(struct side *side)
{
        while (side->world->step < side->plan->steps) {
                side_step(side);
                if (side->world->step % 16 == 0)
                        side_check(side);
        }
        side_finish(side);
}

/* ---- beginning ---- */

void side_init(struct side *side, struct world *world)
{
        *side = (struct side){.plan = world->plan, .world = world};
        world_check(world, store_init(&side->store) == 0, "no image");
        side_init_logs(side, false);
        if (!side->plan->spread)
                return;
        spread_init(&side->spread, &side->in);
        side_make_scant(side);
        world->audience.scant = side->plan->scant;
        side_configure(side, side->plan->balance, 10000, 1000);
}

void side_done(struct side *side)
{
        spread_done(&side->spread);
        store_done(&side->store);
}
