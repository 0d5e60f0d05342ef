/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim.h"

void world_init(struct world *world, const struct plan *plan)
{
        memset(world, 0, sizeof(*world));
        world->plan = plan;
        world->rng = plan->seed * 0x9e3779b97f4a7c15u + 1;
        world->now = 1000000;
        world->doing = "nothing";
        audience_init(&world->audience, plan_pos, plan);
}

void world_parts(const struct world *world, struct world_part part[WORLD_PARTS])
{
        part[0] = (struct world_part){0, offsetof(struct world, order_bytes)};
        part[1] = (struct world_part){offsetof(struct world, order),
                                      world->n_order * sizeof(*world->order)};
        part[2] = (struct world_part){offsetof(struct world, order_bytes),
                                      (world->n_order + 1) * sizeof(*world->order_bytes)};
        part[3] = (struct world_part){offsetof(struct world, ends),
                                      (world->index - world->first) * sizeof(*world->ends)};
        part[4] = (struct world_part){offsetof(struct world, audience),
                                      world->plan->spread ? sizeof(world->audience) : 0};
}

void world_copy(struct world *to, const struct world *from)
{
        struct world_part part[WORLD_PARTS];

        world_parts(from, part);
        for (int i = 0; i < WORLD_PARTS; i++)
                memcpy((char *)to + part[i].at, (const char *)from + part[i].at, part[i].size);
}

uint64_t world_random(struct world *world, uint64_t below)
{
        world->rng ^= world->rng << 13;
        world->rng ^= world->rng >> 7;
        world->rng ^= world->rng << 17;
        return (world->rng >> 11) % below;
}

void world_fail(const struct world *world, const char *what)
{
        fail_msg("%s, seed %llu, step %u (%s): %s", world->plan->name,
                 (unsigned long long)world->plan->seed, world->step, world->doing, what);
        abort();
}

/* ---- Unix sockets ---- */

uint64_t world_client_recv(struct world *world, uint32_t c, const struct iovec *iov, int n)
{
        struct sim_client *client = &world->client[c];
        const struct stream *up = &world->plan->up[c];
        bool begins = client->read == up->boundary[client->sent];
        uint64_t took = 0;

        for (int i = 0; i < n; i++) {
                uint64_t k = up->boundary[up->n] - client->read;

                if (k > iov[i].iov_len)
                        k = iov[i].iov_len;
                memcpy(iov[i].iov_base, up->data + client->read, k);
                client->read += k;
                took += k;
        }
        while (client->sent < up->n && up->boundary[client->sent + 1] <= client->read) {
                client->sent++;
                begins = true;
        }
        if (begins)
                client->partial_since = world->now;
        return took;
}

static uint64_t down_size(const struct world *world, uint32_t message)
{
        const uint64_t *boundary = world->plan->down.boundary;

        return boundary[message + 1] - boundary[message];
}

static void go_aside(const struct world *world, uint32_t c, uint32_t *at)
{
        while (*at < world->down && world->owner[*at] != c + 1)
                ++*at;
}

static void got_one(struct world *world, struct sim_client *client)
{
        client->got = count_add(client->got, (struct count){1, down_size(world, client->at)});
        client->at_off = 0;
        client->at++;
        if (client->jump_to && client->at == client->jump_at) {
                client->at = client->jump_to;
                client->jump_to = 0;
        }
}

/* The client sees exactly what comes next in the peer's stream. */
static void client_gets(struct world *world, uint32_t c, const unsigned char *data, uint64_t size)
{
        struct sim_client *client = &world->client[c];

        while (size) {
                uint64_t k;

                if (client->kind == SIM_CLOSED && !client->at_off)
                        go_aside(world, c, &client->at);
                world_check(world, client->at < world->down, "a client got bytes too many");
                k = down_size(world, client->at) - client->at_off;
                if (k > size)
                        k = size;
                world_check(world,
                            memcmp(data,
                                   world->plan->down.data + world->plan->down.boundary[client->at] +
                                           client->at_off,
                                   k) == 0,
                            "a client got other bytes than the peer sent");
                client->at_off += k;
                data += k;
                size -= k;
                if (client->at_off == down_size(world, client->at))
                        got_one(world, client);
        }
}

uint64_t world_client_send(struct world *world, uint32_t c, const struct iovec *iov, int n,
                           uint64_t most)
{
        uint64_t went = 0;

        for (int i = 0; i < n && went < most; i++) {
                uint64_t k = iov[i].iov_len < most - went ? iov[i].iov_len : most - went;

                client_gets(world, c, iov[i].iov_base, k);
                went += k;
        }
        return went;
}

/* The same for a reader of flow/spread. */
static void reader_gets(struct world *world, struct audience *a, uint32_t slot,
                        const unsigned char *data, uint64_t size)
{
        while (size) {
                uint64_t off, k;
                uint32_t at = audience_next(a, slot, &off);

                world_check(world, at != NOBODY, "a reader got bytes too many");
                world_check(world, off || !world->alone[at] || !world->touched[at],
                            "a message for one got to two");
                world->touched[at] = true;
                k = down_size(world, at) - off;
                if (k > size)
                        k = size;
                world_check(world,
                            memcmp(data,
                                   world->plan->down.data + world->plan->down.boundary[at] + off,
                                   k) == 0,
                            "a reader got other bytes than were for it");
                audience_advance(a, slot, k);
                data += k;
                size -= k;
        }
}

static uint64_t reader_gets_some(struct world *world, struct audience *a, uint32_t slot,
                                 const struct iovec *iov, int n, uint64_t most)
{
        uint64_t went = 0;

        for (int i = 0; i < n && went < most; i++) {
                uint64_t k = iov[i].iov_len < most - went ? iov[i].iov_len : most - went;

                reader_gets(world, a, slot, iov[i].iov_base, k);
                went += k;
        }
        return went;
}

uint64_t world_reader_send(struct world *world, uint32_t slot, const struct iovec *iov, int n,
                           uint64_t most)
{
        return reader_gets_some(world, &world->audience, slot, iov, n, most);
}

void world_offer(struct world *world, uint32_t slot, const struct iovec *iov, int n, uint64_t most)
{
        static struct audience then;

        then = world->audience;
        audience_trust(&then, slot, 0);
        reader_gets_some(world, &then, slot, iov, n, most);
}

static struct count down_count(const struct world *world, uint32_t from, uint32_t to)
{
        const uint64_t *boundary = world->plan->down.boundary;

        return (struct count){to - from, boundary[to] - boundary[from]};
}

struct count world_jump(struct world *world, uint32_t c, uint32_t to)
{
        struct sim_client *client = &world->client[c];
        uint32_t from = client->jump_to ? client->jump_to : client->at + (client->at_off > 0);

        if (to <= from)
                return (struct count){0, 0};
        if (client->jump_to || client->at_off) {
                client->jump_at = client->at + 1;
                client->jump_to = to;
        } else {
                client->at = to;
        }
        return down_count(world, from, to);
}

struct count world_queued(const struct world *world, uint32_t c)
{
        const struct sim_client *client = &world->client[c];
        struct count queued = {0, 0};

        if (client->kind == SIM_OPEN && client->jump_to)
                return count_add(down_count(world, client->at, client->jump_at),
                                 down_count(world, client->jump_to, world->down));
        if (client->kind == SIM_OPEN)
                return down_count(world, client->at, world->down);
        for (uint32_t at = client->at; at < world->given; at++)
                if (world->owner[at] == c + 1)
                        queued = count_add(queued, down_count(world, at, at + 1));
        return queued;
}

/* ---- the TCP connection: what comes ---- */

static void rx_next(struct world *world)
{
        uint64_t hash = (++world->rx_frames + world->plan->seed) * 0x9e3779b97f4a7c15u;

        world->rx_off = 0;
        world->rx_heartbeat = (hash >> 40) % 4 == 0;
}

bool world_tcp_drained(const struct world *world)
{
        return world->down == world->plan->down.n && !world->rx_off;
}

static uint64_t rx_some(struct world *world, unsigned char *to, uint64_t size)
{
        const struct plan *plan = world->plan;
        bool heartbeat = world->rx_heartbeat || world->down == plan->down.n;
        const unsigned char *from =
                heartbeat ? plan->heartbeat : plan->down.data + plan->down.boundary[world->down];
        uint64_t total = heartbeat ? plan->heartbeat_size : down_size(world, world->down);
        uint64_t k = total - world->rx_off < size ? total - world->rx_off : size;

        memcpy(to, from + world->rx_off, k);
        world->rx_off += k;
        if (world->rx_off == total) {
                world->down += !heartbeat;
                rx_next(world);
        }
        return k;
}

uint64_t world_tcp_recv(struct world *world, const struct iovec *iov, int n)
{
        uint64_t took = 0;

        for (int i = 0; i < n; i++)
                for (uint64_t at = 0; at < iov[i].iov_len && !world_tcp_drained(world);) {
                        uint64_t k = rx_some(world, (unsigned char *)iov[i].iov_base + at,
                                             iov[i].iov_len - at);

                        at += k;
                        took += k;
                }
        world->rx_read += took;
        return took;
}

/* ---- what goes ---- */

struct count world_order(const struct world *world, uint32_t from, uint32_t to)
{
        return (struct count){to - from, world->order_bytes[to] - world->order_bytes[from]};
}

static void skip_discarded(struct world *world, uint32_t c)
{
        struct sim_client *client = &world->client[c];

        while (client->out < client->sent && world->is_discarded[c][client->out])
                client->out++;
}

void world_discarded(struct world *world)
{
        uint32_t c = world->discarding.client - 1;
        const uint64_t *boundary = world->plan->up[c].boundary;

        for (uint32_t i = world->discarding.from; i < world->discarding.to; i++) {
                struct count one = {1, boundary[i + 1] - boundary[i]};

                world->is_discarded[c][i] = true;
                world->discarded = count_add(world->discarded, one);
        }
        world->discarding.client = 0;
}

/* Whose message is this? It is the one begun at this place before, or the next one of its client.
 */
static void tx_message(struct world *world, const char *key)
{
        const uint64_t *boundary;
        unsigned c, seq;

        world_check(world, sscanf(key, "M%2x%6x", &c, &seq) == 2, "the peer got a torn message");
        world_check(world, c < SIM_CLIENTS && seq < world->client[c].sent,
                    "the peer got what was not sent");
        world_check(world, !world->tx_no_new, "a message was begun while no new one may be");
        boundary = world->plan->up[c].boundary;
        world->tx_client = c;
        world->tx_seq = seq;
        world->tx_size = boundary[seq + 1] - boundary[seq];
        skip_discarded(world, c);
        if (world->index < world->n_order) {
                world_check(world, world->order[world->index] == (c << 16 | seq),
                            "messages go again in another order");
        } else {
                world_check(world, seq == world->client[c].out,
                            "a client's messages are lost, doubled or out of order");
                world->client[c].out++;
                world->order[world->n_order++] = c << 16 | seq;
                world->order_bytes[world->n_order] =
                        world->order_bytes[world->n_order - 1] + world->tx_size;
        }
}

static void tx_injected(struct world *world, const char *key)
{
        unsigned number;

        world_check(world, sscanf(key, "I%8x", &number) == 1, "the peer got a torn message");
        world_check(world, number == world->inject_seen + 1 && number <= world->inject,
                    "something injected is lost, doubled or out of order");
        world->inject_seen = number;
        world->tx_client = SIM_CLIENTS;
        world->tx_size = plan_frame(&world->plan->spec, key, SIM_KEY, world->tx_inject);
}

static const unsigned char *tx_expected(const struct world *world)
{
        const struct stream *up;

        if (world->tx_client == SIM_CLIENTS)
                return world->tx_inject;
        up = &world->plan->up[world->tx_client];
        return up->data + up->boundary[world->tx_seq];
}

static void tx_end(struct world *world)
{
        if (world->tx_client < SIM_CLIENTS) {
                struct count one = {1, world->tx_size};

                world->ends[world->index - world->first] = world->written;
                world->sent = count_add(world->sent, one);
                if (world->index < world->begun)
                        world->resent = count_add(world->resent, one);
                world->index++;
        }
        world->tx_off = 0;
        world->tx_known = false;
}

static uint64_t tx_head(struct world *world, const unsigned char *data, uint64_t size)
{
        size_t before = frame_header_size(&world->plan->spec), need = before + SIM_KEY;
        uint64_t k = need - world->tx_off < size ? need - world->tx_off : size;
        char key[SIM_KEY + 1] = {0};

        memcpy(world->tx_head + world->tx_off, data, k);
        world->tx_off += k;
        world->written += k;
        if (world->tx_off < need)
                return k;
        memcpy(key, world->tx_head + before, SIM_KEY);
        if (key[0] == 'I')
                tx_injected(world, key);
        else
                tx_message(world, key);
        world->tx_known = true;
        world_check(world, memcmp(world->tx_head, tx_expected(world), need) == 0,
                    "the peer got another header");
        if (world->tx_off == world->tx_size)
                tx_end(world);
        return k;
}

static uint64_t tx_body(struct world *world, const unsigned char *data, uint64_t size)
{
        uint64_t left = world->tx_size - world->tx_off, k = left < size ? left : size;

        world_check(world, memcmp(data, tx_expected(world) + world->tx_off, k) == 0,
                    "the peer got other bytes than were sent");
        world->tx_off += k;
        world->written += k;
        if (world->tx_off == world->tx_size)
                tx_end(world);
        return k;
}

uint64_t world_tcp_send(struct world *world, const struct iovec *iov, int n, uint64_t most)
{
        uint64_t went = 0;

        for (int i = 0; i < n; i++)
                for (uint64_t at = 0; at < iov[i].iov_len && went < most;) {
                        const unsigned char *data = (const unsigned char *)iov[i].iov_base + at;
                        uint64_t size = iov[i].iov_len - at, k;

                        if (size > most - went)
                                size = most - went;
                        k = world->tx_known ? tx_body(world, data, size)
                                            : tx_head(world, data, size);
                        at += k;
                        went += k;
                }
        return went;
}

/* ---- the end of a connection ---- */

uint32_t world_ended(const struct world *world, uint64_t offset)
{
        uint32_t n = 0;

        while (n < world->index - world->first && world->ends[n] <= offset)
                n++;
        return n;
}

bool world_heard(const struct world *world)
{
        if (world->unheard == LEDGER_UNHEARD_ANSWER)
                return world->down > world->down_first;
        return world->unheard == LEDGER_HEARD || world->rx_read > 0;
}

uint32_t world_delivered(const struct world *world, uint64_t acked)
{
        return world->first + (world_heard(world) ? world_ended(world, acked) : 0);
}

struct ledger_end world_cut(struct world *world, bool in_message)
{
        bool half = world->tx_off > 0 &&
                    (world->tx_known ? world->tx_client < SIM_CLIENTS : in_message);
        uint32_t acked = world_delivered(world, world->acked);
        uint32_t maybe = world->first + world_ended(world, world->transmitted);
        uint32_t begun = world->index + half;
        struct ledger_end end = {.unheard = !world_heard(world)};

        world->tx_off = 0;
        world->tx_known = false;
        end.acked = world_order(world, world->first, acked);
        end.unacked = world_order(world, acked, maybe);
        if (begun <= world->n_order)
                end.unsent = world_order(world, maybe, begun);
        else
                end.unsent = (struct count){begun - maybe, UINT64_MAX};
        if (begun > world->begun)
                world->begun = begun;
        world->first = world->index = acked;
        world->inject_seen = world->inject;
        world->conn = CONN_NONE;
        world->cuts += !end.unheard;
        world->connects += !end.unheard;
        return end;
}
