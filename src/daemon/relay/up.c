/* SPDX-License-Identifier: MIT */
/* The way from the clients to the upstream. */
#include "daemon/relay/relay_internal.h"

#include "util/clock.h"

enum {
        DISCARD_SIZE = 256 * 1024,
        /* Whole writes. 120 KiB at a time take 5 % less CPU than 60, 240 a tenth less. A small
         * message of somebody else waits for that: beside a client that sends all it can 0.14,
         * 0.16 or 0.20 ms. */
        READ_SIZE = 2 * SESSION_WRITE_SIZE,
        READ_SIZE_ALONE = 4 * SESSION_WRITE_SIZE,
        LEAST_SIZE = 64 * 1024,
        PLENTY_BYTES = 256 * 1024,
        THROTTLE_USEC = 1000,
};

uint64_t relay_queued_bytes(const struct relay *relay)
{
        return relay->out.image->end - relay->ledger.acked.image->pos;
}

static uint64_t unsent_bytes(const struct relay *relay)
{
        return relay->out.image->end - ledger_written(&relay->ledger);
}

/* Has the link enough to take for now? As with the clients, what is read ahead of it has left the
 * cache when it goes out: throttling brought 8 % of the CPU with one client, a third with 16 and
 * with 32, a quarter with 100. */
static bool link_has_plenty(const struct relay *relay)
{
        return link_is_blocked(relay->link) && unsent_bytes(relay) >= PLENTY_BYTES;
}

/* Reading rests for a moment, once for so much that was read, and only if the link has moved since
 * the last rest: where the peer takes nothing, everything that there is room for is taken at once.
 */
static void throttle_clients(struct relay *relay)
{
        uint64_t written = ledger_written(&relay->ledger);

        if (relay->calling || relay->up_throttle.until ||
            relay->out.image->end < relay->up_throttle.from ||
            written == relay->up_throttle.written || !link_has_plenty(relay))
                return;
        relay->up_throttle.until = clock_usec() + THROTTLE_USEC;
        relay->up_throttle.written = written;
}

static void unthrottle_clients(struct relay *relay)
{
        if (!relay->up_throttle.until)
                return;
        relay->up_throttle.until = 0;
        relay->up_throttle.from = relay->out.image->end + PLENTY_BYTES;
}

/* Judged on what stands there already, with what was given up behind what is under way: that takes
 * memory still, what is discarded takes none. While there is any room, there is some for a message,
 * or for a good part of one. */
static size_t room(const struct relay *relay)
{
        uint64_t queued = relay_queued_bytes(relay), limit = relay->config->upstream_queue_size;
        uint64_t largest = relay->config->frame.max_message_size, left;
        size_t most = relay->n_clients == 1 ? READ_SIZE_ALONE : READ_SIZE;

        if (relay->turn.discard && !relay->stopping)
                return DISCARD_SIZE;
        if (queued >= limit || relay->stopping || relay->up_throttle.until)
                return 0;
        left = limit - queued;
        if (left < largest && left < LEAST_SIZE)
                left = largest < LEAST_SIZE ? largest : LEAST_SIZE;
        return left < most ? (size_t)left : most;
}

size_t relay_on_room(void *context, struct client *client)
{
        struct relay *relay = context;
        /* Whoever comes while others wait goes to the end of the line. */
        size_t left = relay->reading_on || TAILQ_EMPTY(&relay->queue) ? room(relay) : 0;

        if (left)
                return left;
        if (!client->waiting) {
                client->waiting = true;
                TAILQ_INSERT_TAIL(&relay->queue, client, queue);
                relay_hurry(relay);
        }
        return 0;
}

/* Who waited longest reads first, each as much as one read takes: nobody starves. */
static void read_waiting_clients(struct relay *relay)
{
        struct client *client;

        while ((client = TAILQ_FIRST(&relay->queue)) && room(relay)) {
                TAILQ_REMOVE(&relay->queue, client, queue);
                client->waiting = false;
                relay->reading_on = true;
                client_read_on(client);
                relay->reading_on = false;
        }
        relay_hurry(relay);
}

void relay_on_accepted(void *context, struct client *client, const struct log_taken *taken)
{
        struct relay *relay = context;

        relay_show_out(relay, client, taken);
        if (unsent_bytes(relay) >= SESSION_WRITE_SIZE)
                link_write_early(relay->link);
        throttle_clients(relay);
}

void relay_on_more(void *context)
{
        struct relay *relay = context;

        relay->more = true;
}

void relay_limit_partials(struct relay *relay)
{
        while (relay->partial_bytes > relay->config->partial_size && TAILQ_FIRST(&relay->begun))
                client_end(TAILQ_FIRST(&relay->begun), DROP_CLIENT_GONE, false,
                           "its unfinished message is the oldest, and all of them together exceed "
                           "PartialSize=");
}

void relay_on_partial(void *context, struct client *client, uint64_t before)
{
        struct relay *relay = context;
        uint64_t after = writer_partial(&client->writer);
        bool listed = client->begun.tqe_prev != NULL;

        relay->partial_bytes += after - before;
        if (listed && (!after || client->partial_since == client->last_byte)) {
                TAILQ_REMOVE(&relay->begun, client, begun);
                client->begun.tqe_prev = NULL;
                listed = false;
        }
        if (after && !listed)
                TAILQ_INSERT_TAIL(&relay->begun, client, begun);
        if (after > before) /* who is ended for it ends nobody else: no stack is made for a crowd */
                relay_limit_partials(relay);
}

/* What does not fill a write goes with what the next turn reads: that brought 10 % of the CPU at
 * 64 K. */
bool relay_write(struct relay *relay)
{
        bool more = relay->more;

        relay->more = false;
        if (more)
                link_write_early(relay->link);
        else
                link_write(relay->link);
        return more;
}

void relay_read_on(struct relay *relay)
{
        if (relay->up_throttle.until &&
            (!link_has_plenty(relay) || clock_usec() >= relay->up_throttle.until))
                unthrottle_clients(relay);
        if (!TAILQ_EMPTY(&relay->queue))
                read_waiting_clients(relay);
}

void relay_last_call(struct relay *relay)
{
        struct client *client, *next;

        relay->calling = true;
        unthrottle_clients(relay);
        read_waiting_clients(relay);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                if (client->called)
                        continue;
                client->called = true;
                if (!client->waiting)
                        client_call(client);
                if (next && next->fd < 0) /* what one sends may end another (PartialSize=) */
                        next = TAILQ_FIRST(&relay->all);
        }
}
