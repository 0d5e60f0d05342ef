/* SPDX-License-Identifier: MIT */
/* The connection to the peer: bytes both ways, acknowledgements, heartbeats, beginning and end. */
#include <stdio.h>

#include "sim.h"

void side_hear(struct side *side)
{
        if (side->store.image->session.live && side->world->unheard != LEDGER_UNHEARD_ANSWER &&
            world_heard(side->world))
                ledger_heard(&side->ledger);
}

/* A whole message that is no heartbeat is the answer, in the transaction of log_take(). */
static bool drop_frame(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        struct side *side = context;
        void *all[] = {(void *)side->plan, &side->in, side};
        bool heartbeat = side->plan->filter.drop(all, slab, pos, size);

        if (!heartbeat && side->store.image->session.unheard == LEDGER_UNHEARD_ANSWER)
                ledger_heard(&side->ledger);
        return heartbeat;
}

void side_take_received(struct side *side, uint64_t read)
{
        struct image_session *session = &side->store.image->session;
        struct log_filter filter = {side->plan->filter.range, drop_frame, side,
                                    side->plan->seed % 4};
        struct log_taken taken;

        if (session->unheard == LEDGER_UNHEARD_ANSWER)
                filter.range = (struct frame_range){0, UINT64_MAX - 1};
        side->answered = 0;
        store_set(&session->rx_read, read);
        side_hear(side);
        do
                taken = log_take(&side->in, &session->rx_base, read, &filter, side->world->now, 0);
        while (taken.more);
        side_injected(side);
        if (side->plan->spread)
                side_taken(side);
        else
                store_set(&side->store.image->spread.given, side->in.image->end);
        world_check(side->world, taken.result == FRAME_MORE && !taken.no_memory,
                    "a frame was refused");
}

bool side_read_link(struct side *side, size_t want)
{
        struct image_session *session = &side->store.image->session;
        struct world *world = side->world;
        struct iovec iov[SIM_IOV];
        int n;

        if (world->conn != CONN_UP || world_tcp_drained(world))
                return false;
        n = log_room(&side->in, session->rx_base + session->rx_read, want, iov,
                     1 + (int)world_random(world, SIM_IOV));
        world_check(world, n > 0, "no room for the peer's bytes");
        world_tcp_recv(world, iov, n);
        side_crash_point();
        side_take_received(side, world->rx_read);
        if (!side->plan->spread)
                side_give(side);
        return true;
}

bool side_write_link(struct side *side, size_t limit, bool no_new)
{
        struct world *world = side->world;
        struct iovec iov[SIM_IOV];
        uint64_t sum = 0, went;
        int n;

        if (world->conn != CONN_UP)
                return false;
        no_new |= side->store.image->session.unheard > LEDGER_UNHEARD; /* SendAfter= */
        n = ledger_gather(&side->ledger, limit, no_new, iov, 1 + (int)world_random(world, SIM_IOV));
        for (int i = 0; i < n; i++)
                sum += iov[i].iov_len;
        if (!sum)
                return false;
        world->tx_no_new = no_new && !ledger_in_message(&side->ledger);
        went = world_tcp_send(world, iov, n,
                              world_random(world, 3) ? sum : 1 + world_random(world, sum));
        world->tx_no_new = false;
        side_crash_point();
        ledger_sent(&side->ledger, went);
        return true;
}

void side_ack(struct side *side)
{
        struct world *world = side->world;

        if (world->conn != CONN_UP)
                return;
        world->transmitted += world_random(world, world->written - world->transmitted + 1);
        world->acked += world_random(world, world->transmitted - world->acked + 1);
        if (world_random(world, 4) == 0)
                world->acked = world->transmitted = world->written;
        side_crash_point();
        ledger_acked(&side->ledger, world->acked);
}

static bool inject(struct side *side, uint32_t number)
{
        unsigned char frame[64];
        char body[32];
        struct iovec iov[2];
        size_t size;

        snprintf(body, sizeof(body), "I%08x", number);
        size = plan_frame(&side->plan->spec, body, SIM_KEY, frame);
        iov[0] = (struct iovec){frame, 5};
        iov[1] = (struct iovec){frame + 5, size - 5};
        return ledger_inject(&side->ledger, iov, 2);
}

void side_answer(struct side *side)
{
        side->answered += inject(side, side->world->inject + side->answered + 1);
}

void side_injected(struct side *side)
{
        struct world *world = side->world;
        uint64_t end = side->store.image->session.inject.end;
        unsigned char frame[64];

        world->inject += (uint32_t)((end - world->inject_end) /
                                    plan_frame(&side->plan->spec, "I00000000", SIM_KEY, frame));
        world->inject_end = end;
}

void side_inject(struct side *side)
{
        struct world *world = side->world;

        if (world->conn != CONN_UP)
                return;
        world_check(world, inject(side, world->inject + 1), "no room for what is injected");
        side_injected(side);
}

void side_connection_begins(struct side *side)
{
        struct world *world = side->world;

        world->rx_read = world->rx_off = 0;
        world->written = world->transmitted = world->acked = 0;
        world->unheard = (enum ledger_unheard)world_random(world, LEDGER_UNHEARD_ANSWER + 1);
        world->down_first = world->down;
        world->conn = CONN_NEW;
        side_crash_point();
        ledger_begin(&side->ledger, side->in.image->end, world->unheard);
        world->conn = CONN_UP;
}

void side_connection_ends(struct side *side)
{
        struct world *world = side->world;
        bool in_message = ledger_in_message(&side->ledger);
        struct image_totals *totals = &side->store.image->totals;
        struct ledger_end end, expected;

        store_begin(&side->store);
        end = ledger_end(&side->ledger, world->acked, world->transmitted, RESEND_UNACKED);
        store_add(&side->store, end.unheard ? &totals->failed[0] : &totals->lost[0], 1);
        if (world->ends_lingering) {
                ledger_linger(&side->ledger, world->now + 1);
                world->lingers = side->store.image->session.epoch;
        }
        store_commit(&side->store);
        slabs_free(&side->store, log_cut(&side->in));
        expected = world_cut(world, in_message);
        world_check(world, totals->lost[0] == totals->disconnects,
                    "the connections are counted in two ways");
        world_check(world,
                    end.unheard == expected.unheard && sim_same(end.acked, expected.acked) &&
                            sim_same(end.unacked, expected.unacked) &&
                            sim_same(end.unsent, expected.unsent),
                    "the end of a connection is told otherwise");
        world->inject_end = side->store.image->session.inject.end;
}

static void linger_over(struct side *side)
{
        side->world->linger_ends = true;
        ledger_linger_over(&side->ledger);
        side->world->linger_ends = false;
        side->world->lingers = 0;
}

void side_connection(struct side *side)
{
        struct world *world = side->world;

        if (world->conn == CONN_NONE) {
                side_connection_begins(side);
        } else if (world_random(world, 5) == 0) {
                world->ends_lingering = world_random(world, 2);
                if (world->ends_lingering || world_random(world, 2))
                        linger_over(side);
                world->conn = CONN_DEAD;
                side_crash_point();
                side_connection_ends(side);
        }
}
