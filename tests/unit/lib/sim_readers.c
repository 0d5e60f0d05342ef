/* SPDX-License-Identifier: MIT */
/* What happens to readers of flow/spread, at random. */
#include "sim.h"

bool side_write_reader(struct side *side, uint32_t slot, size_t limit)
{
        struct image_client *client = side_client(side, slot);
        struct world *world = side->world;
        struct iovec iov[SIM_IOV];
        uint64_t went, sum = 0;
        int n = cursor_gather(&side->reader[slot].cursor, limit, iov,
                              1 + (int)world_random(world, SIM_IOV));

        for (int i = 0; i < n; i++)
                sum += iov[i].iov_len;
        if (!sum)
                return false;
        side_sends(side, slot, sum);
        store_set(&client->sending, sum);
        went = world_reader_send(world, slot, iov, n,
                                 world_random(world, 3) ? sum : 1 + world_random(world, sum));
        side_crash_point();
        store_begin(&side->store);
        reader_advance(&side->reader[slot], went);
        store_put(&side->store, &client->sending, 0);
        store_commit(&side->store);
        side_sent(side);
        return true;
}

static void do_trust(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot < SIM_SLOTS && side_client(side, slot)->reading == READER_WAITS)
                side_trust(side, slot);
}

static void do_leave(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot < SIM_SLOTS && side_client(side, slot)->reading && !world_random(side->world, 3))
                side_leave(side, slot);
}

/* Found to be a mere sender. */
static void do_deafen(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot < SIM_SLOTS && side_client(side, slot)->reading && !world_random(side->world, 3))
                side_reader_done(side, slot);
}

static void do_shorten(struct side *side)
{
        uint32_t slot = side_any_slot(side);

        if (slot < SIM_SLOTS && side_client(side, slot)->reading)
                side_shorten(side, slot, side_any_size(side->world));
}

static void do_configure(struct side *side)
{
        struct world *world = side->world;
        bool balance = world_random(world, 4) ? side->plan->balance : !side->plan->balance;

        side_configure(side, balance, world_random(world, 4) ? side_any_size(world) : 0,
                       side_any_size(world));
}

void side_configure_anew(struct side *side)
{
        struct world *world = side->world;

        if (world_random(world, 4) == 0)
                do_configure(side);
        else
                side_configure(side, world->balance, world->backlog_size, world->queue_size);
}

static const struct act reader_acts[] = {
        {"a client connects", 6, side_connect},
        {"a client vanishes", 12, side_vanish},
        {"a client is trusted", 6, do_trust},
        {"a client leaves", 6, do_leave},
        {"a client turns out to be a sender", 5, do_deafen},
        {"a queue is shortened", 14, do_shorten},
        {"another configuration", 8, do_configure},
};

void side_reader_act(struct side *side)
{
        side_any_act(side, reader_acts, sizeof(reader_acts) / sizeof(*reader_acts));
}
