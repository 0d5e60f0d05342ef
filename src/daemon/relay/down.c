/* SPDX-License-Identifier: MIT */
/* The way from the upstream to the clients. */
#include "daemon/relay/relay_internal.h"

#include "util/clock.h"

enum {
        PLENTY_BYTES = 512 * 1024,
        IN_VAIN = 8, /* rests, of some milliseconds each, after which they bring nothing */
        THROTTLE_CREDIT_USEC = 200 * 1000,
        THROTTLE_LEAST_USEC = 5000, /* what one may last */
        REFILL = 20,                /* credit comes back at 5 % of real time */
        TAKER_USEC = 1000 * 1000,
};

/* At most half of what is queued for a client: a small queue is not filled while it takes its own.
 */
static uint64_t plenty(const struct relay *relay)
{
        uint64_t half = relay->config->client_queue_size / 2;

        return half < PLENTY_BYTES ? half : PLENTY_BYTES;
}

/* Has every client enough to take for now? What is read ahead of them all has left the cache when
 * they take it: throttling brought 10 % of the CPU at 64 B, a third at 4 K and 64 K. Where none
 * takes anything, there is nothing to rest for. */
static bool all_have_plenty(const struct relay *relay, uint64_t *taken)
{
        uint64_t enough = plenty(relay);

        *taken = 0;
        for (size_t i = 0; i < relay->spread.n_all; i++) {
                const struct client *client = relay_client_of(relay->spread.all[i]);

                if (!client->blocked || cursor_waiting(&client->reader.cursor) < enough)
                        return false;
                if (client->last_taken > *taken)
                        *taken = client->last_taken;
        }
        return relay->spread.n_all > 0;
}

/* Only SlowClient=wait lets the upstream feel a slow client for good: else it is waited for in a
 * burst, and then for a twentieth of the time. */
static bool may_throttle(struct relay *relay)
{
        uint64_t now = clock_usec(), since = now - relay->throttle_credit_at;
        uint64_t credit = relay->throttle_credit + since / REFILL;

        if (relay->throttled) /* until now */
                credit -= since < credit ? since : credit;
        relay->throttle_credit = credit < THROTTLE_CREDIT_USEC ? credit : THROTTLE_CREDIT_USEC;
        relay->throttle_credit_at = now;
        return relay->config->slow_client == SLOW_WAIT ||
               relay->throttle_credit >= THROTTLE_LEAST_USEC;
}

static bool is_worth_it(struct relay *relay, uint64_t taken)
{
        relay->vain_throttles = taken > relay->taken_at_throttle ? 0 : relay->vain_throttles + 1;
        relay->taken_at_throttle = taken;
        return relay->vain_throttles <= IN_VAIN;
}

static void deliver_once(struct relay *relay)
{
        uint64_t now = clock_usec();
        size_t takers = 0;

        relay->spread.news = false;
        /* Backwards: one that ends is replaced by the last. */
        for (size_t i = relay->spread.n_all; i-- > 0;) {
                struct client *client;

                if (i >= relay->spread.n_all)
                        continue; /* more than one has ended */
                client = relay_client_of(relay->spread.all[i]);
                if (!client->blocked)
                        client_write(client, now);
                if (client->fd >= 0 && (client->blocked || client->over))
                        client_check(client, now);
                takers += now - client->last_taken < TAKER_USEC;
        }
        relay->class.takers = relay->spread.balance ? 0 : takers;
}

void relay_deliver(struct relay *relay)
{
        uint64_t taken;

        if (!relay->spread.news)
                return;
        /* Who turns out to read no more leaves what it had to others, who may have had their turn:
         * no event would remind of them. */
        while (relay->spread.news)
                deliver_once(relay);
        relay->throttled =
                may_throttle(relay) && all_have_plenty(relay, &taken) && is_worth_it(relay, taken);
        if (relay->throttled)
                link_throttle(relay->link, true);
}

void relay_wake(struct relay *relay)
{
        uint64_t taken;

        if (!relay->throttled || all_have_plenty(relay, &taken))
                return;
        may_throttle(relay);
        relay->throttled = false;
        link_throttle(relay->link, false);
}

void relay_on_received(void *context, const struct log_taken *taken)
{
        struct relay *relay = context;

        relay_show_in(relay, taken);
        spread_taken(&relay->spread);
        relay_deliver(relay); /* while it is in the cache */
}

void relay_on_over(void *context, struct client *client, bool over)
{
        struct relay *relay = context;

        (void)client;
        relay->n_over += over ? 1 : (size_t)-1;
        link_pause(relay->link, relay->n_over > 0);
}
