/* SPDX-License-Identifier: MIT */
/* What the daemon says of itself, beside the truth. */
#include "sim.h"

bool sim_same(struct count a, struct count b)
{
        return a.messages == b.messages && (a.bytes == b.bytes || b.bytes == UINT64_MAX);
}

static void check_client(const struct side *side, uint32_t slot)
{
        const struct world *world = side->world;
        uint32_t c = side_number(side, slot);
        const struct sim_client *client = &world->client[c];
        const struct image_client *image = side_client(side, slot);
        uint64_t boundary = side->plan->up[c].boundary[client->sent];

        world_check(world, client->state == SIM_THERE && image->rx_read == client->read,
                    "a client is not what it should be");
        world_check(world,
                    image->accepted_messages == client->sent && image->accepted_bytes == boundary,
                    "a client's messages are counted wrong");
        world_check(world, writer_partial(&side->writer[slot]) == client->read - boundary,
                    "a partial message has another size");
        world_check(world,
                    client->read == boundary || image->partial_since == client->partial_since,
                    "a partial message has another age");
        if (!image->reading || side->plan->spread)
                return;
        world_check(world, sim_same(cursor_delivered(&side->cursor[slot]), client->got),
                    "what was delivered to a client is counted wrong");
        world_check(world, sim_same(cursor_queued(&side->cursor[slot]), world_queued(world, c)),
                    "what is queued for a client is counted wrong");
}

static void check_ledger(const struct side *side)
{
        const struct world *world = side->world;
        const struct image *image = side->store.image;
        bool up = world->conn == CONN_UP;
        uint32_t acked = up ? world_delivered(world, image->session.acked) : world->first;

        world_check(world,
                    sim_same(cursor_delivered(&side->ledger.acked), world_order(world, 0, acked)),
                    "what was acknowledged is counted wrong");
        world_check(world, sim_same(ledger_sent_count(&side->ledger), world->sent),
                    "what was sent is counted wrong");
        world_check(world, sim_same(ledger_resent_count(&side->ledger), world->resent),
                    "what was sent again is counted wrong");
        world_check(world,
                    sim_same(ledger_unacked(&side->ledger, UINT64_MAX),
                             world_order(world, acked, world->index)),
                    "what is not acknowledged is counted wrong");
        world_check(world,
                    image->totals.disconnects == world->cuts &&
                            image->totals.connects == world->connects + (up && world_heard(world)),
                    "the connections are counted wrong");
        world_check(world,
                    image->session.unheard ==
                            (up && !world_heard(world) ? world->unheard : LEDGER_HEARD),
                    "a peer was heard, or was not");
        world_check(world, !up || ledger_provisional(&side->ledger) == 0 || !world_heard(world),
                    "what is delivered is provisional");
}

void side_check(struct side *side)
{
        const struct world *world = side->world;
        struct count up = {0, 0};

        for (uint32_t c = 0; c < world->n_clients; c++)
                up = count_add(up,
                               (struct count){world->client[c].sent,
                                              side->plan->up[c].boundary[world->client[c].sent]});
        world_check(
                world,
                sim_same(count_add((struct count){side->out.image->number, side->out.image->end},
                                   world->discarded),
                         up),
                "messages to the peer are lost or too many");
        world_check(world,
                    side->store.image->totals.out_dropped[DROP_LINK_DOWN][0] ==
                                    world->discarded.messages &&
                            side->store.image->totals.out_dropped[DROP_LINK_DOWN][1] ==
                                    world->discarded.bytes,
                    "what was discarded is counted wrong");
        world_check(world,
                    side->in.image->number == world->down &&
                            side->in.image->end == side->plan->down.boundary[world->down],
                    "messages from the peer are lost or too many");
        for (uint32_t slot = 0; slot < SIM_SLOTS; slot++)
                if (side_client(side, slot)->id)
                        check_client(side, slot);
        check_ledger(side);
        world_check(world, side->store.image->session.lingers == world->lingers,
                    "another connection lingers");
        if (side->plan->spread)
                side_check_readers(side);
}
