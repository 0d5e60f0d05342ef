/* SPDX-License-Identifier: MIT */
/* The relay from the clients to the upstream. */
#include "daemon/relay/relay_internal.h"

#include <assert.h>

#include "util/clock.h"

enum {
        DISCARD_SIZE = 64 * 1024, /* 3 ms of the smallest messages */
        /* Whole writes. Reads of 120 KiB take 5 % less CPU than reads of 60 KiB, of 240 KiB a tenth
         * less. A small message of another client waits for such a read: beside a client that
         * sends without pause 0.14 ms (60 KiB), 0.16 ms (120) or 0.20 ms (240). */
        READ_SIZE = 2 * SESSION_WRITE_SIZE,
        READ_SIZE_ALONE = 4 * SESSION_WRITE_SIZE,
        LEAST_SIZE = 64 * 1024,
        PLENTY_BYTES = 256 * 1024,
        THROTTLE_USEC = 1000,
        READ_ON_USEC = 2000, /* then the next pass goes on with the clients that are left */
};

uint64_t relay_queued_bytes(const struct relay *relay)
{
        return relay->out.image->end - relay->ledger.acked.image->pos;
}

static uint64_t unsent_bytes(const struct relay *relay)
{
        return relay->out.image->end - ledger_written(&relay->ledger);
}

/* True if the link has plenty of bytes to write. Bytes read far ahead of the link have left the
 * cache when they are written: throttling the clients brought 8 % of the CPU with one client, a
 * third with 16 and with 32, a quarter with 100. */
static bool link_has_plenty(const struct relay *relay)
{
        return link_is_blocked(relay->link) && unsent_bytes(relay) >= PLENTY_BYTES;
}

/* Throttles the clients for a moment: once for each PLENTY_BYTES read, and only if the link has
 * written since the last throttle. While the peer takes nothing, clients are read at once as far as
 * the out log has room. */
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

/* Returns how many bytes may be read from a client now. Bytes from the acknowledged position to the
 * out log's end count as queued, with holes, for holes still take memory; discarded messages take
 * none. If there is any room, the room is for a whole message or for LEAST_SIZE bytes. */
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

/* ---- users ---- */

/* The queue is long from a half of UpstreamQueueSize= on: then it is counted whose bytes come. */
static bool is_long(const struct relay *relay)
{
        return relay_queued_bytes(relay) > relay->config->upstream_queue_size / 2;
}

/* True if the client waits for others: no user alone fills the last quarter of the queue while
 * other users have clients. As it is the bytes of a long queue that count, a user with a quarter
 * of them waits until the queue is no longer long. */
static bool is_beyond_share(const struct relay *relay, const struct client *client)
{
        uint64_t quarter = relay->config->upstream_queue_size / 4;

        return client->user && relay->users.n > 1 && !relay->calling && is_long(relay) &&
               user_queued(&relay->users, client->user, 0) >= quarter;
}

/* Lets the clients wait in line again that waited for others. */
static void end_round(struct relay *relay)
{
        struct client *client;

        users_round_end(&relay->users);
        for (client = TAILQ_FIRST(&relay->beyond); client; client = TAILQ_NEXT(client, queue))
                client->beyond = false;
        TAILQ_CONCAT(&relay->queue, &relay->beyond, queue);
}

/* ---- room ---- */

static void wait_for_room(struct relay *relay, struct client *client, bool beyond)
{
        if (client->waiting)
                return;
        client->waiting = true;
        client->beyond = beyond;
        if (beyond)
                TAILQ_INSERT_TAIL(&relay->beyond, client, queue);
        else
                TAILQ_INSERT_TAIL(&relay->queue, client, queue);
        relay_hurry(relay);
}

void relay_wait_no_more(struct relay *relay, struct client *client)
{
        if (client->beyond)
                TAILQ_REMOVE(&relay->beyond, client, queue);
        else if (client->waiting)
                TAILQ_REMOVE(&relay->queue, client, queue);
        client->waiting = false;
        client->beyond = false;
}

size_t relay_on_room(void *context, struct client *client)
{
        struct relay *relay = context;
        bool beyond = is_beyond_share(relay, client);
        /* While other clients wait, a newcomer goes to the end of the queue. */
        bool turn = relay->reading_on || TAILQ_EMPTY(&relay->queue);
        size_t left = turn && !beyond ? room(relay) : 0;

        if (!left)
                wait_for_room(relay, client, beyond);
        return left;
}

/* Reads the waiting clients until this time, the longest wait first. A client that wants more goes
 * to the end of the queue: no client starves. */
static void read_waiting_clients(struct relay *relay, uint64_t until)
{
        struct client *client;

        while ((client = TAILQ_FIRST(&relay->queue)) && room(relay) && clock_usec() < until) {
                relay_wait_no_more(relay, client);
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
        if (client->user && is_long(relay))
                user_queued(&relay->users, client->user, taken->bytes);
        if (unsent_bytes(relay) >= SESSION_WRITE_SIZE)
                link_write_early(relay->link);
        throttle_clients(relay);
}

void relay_on_more(void *context)
{
        struct relay *relay = context;

        relay->more = true;
}

/* Returns the client with the largest partial message of the user with the most; of equals the last
 * to begin. NULL: there is none. */
static struct client *largest(const struct relay *relay)
{
        const struct user *user = users_largest_partial(&relay->users);
        struct client *client, *most = NULL;

        TAILQ_FOREACH(client, &relay->begun, begun)
        if (client->user == user && (!most || client->partial_counted >= most->partial_counted))
                most = client;
        return most ? most : TAILQ_FIRST(&relay->begun);
}

void relay_limit_partials(struct relay *relay)
{
        struct client *client;

        while (relay->partial_bytes > relay->config->partial_size && (client = largest(relay)))
                client_end(client, DROP_CLIENT_GONE, false,
                           "its user has begun the most and not finished it, its own message is "
                           "the largest of them, and all together exceed PartialSize=");
}

void relay_on_partial(void *context, struct client *client)
{
        struct relay *relay = context;
        uint64_t before = client->partial_counted, after = writer_partial(&client->writer);
        bool listed = client->begun.tqe_prev != NULL;
        struct user *user = client->user;

        assert(relay->partial_bytes >= before);
        relay->partial_bytes = relay->partial_bytes - before + after;
        client->partial_counted = after;
        if (user)
                user->partial_bytes = user->partial_bytes - before + after;
        if (listed && (!after || client->partial_since == client->last_byte)) {
                TAILQ_REMOVE(&relay->begun, client, begun);
                client->begun.tqe_prev = NULL;
                listed = false;
        }
        if (after && !listed)
                TAILQ_INSERT_TAIL(&relay->begun, client, begun);
        if (after > before &&
            !relay->reconciling) /* not when a client ends: no recursion over a crowd of clients */
                relay_limit_partials(relay);
}

/* While more bytes of clients are expected, bytes too few for a write wait for the next pass:
 * the wait brought 10 % of the CPU at 64 K. */
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

bool relay_read_on(struct relay *relay)
{
        if (relay->up_throttle.until &&
            (!link_has_plenty(relay) || clock_usec() >= relay->up_throttle.until))
                unthrottle_clients(relay);
        if (!TAILQ_EMPTY(&relay->beyond) && (relay->users.n < 2 || !is_long(relay)))
                end_round(relay);
        if (TAILQ_EMPTY(&relay->queue))
                return false;
        read_waiting_clients(relay, clock_usec() + READ_ON_USEC);
        return !TAILQ_EMPTY(&relay->queue) && room(relay);
}

void relay_last_call(struct relay *relay)
{
        struct client *client, *next;

        relay->calling = true;
        unthrottle_clients(relay);
        end_round(relay);
        read_waiting_clients(relay, UINT64_MAX);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                if (client->called)
                        continue;
                client->called = true;
                if (!client->waiting)
                        client_call(client);
                if (next && next->fd < 0) /* a client may end another one (PartialSize=) */
                        next = TAILQ_FIRST(&relay->all);
        }
}
