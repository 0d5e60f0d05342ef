/* SPDX-License-Identifier: MIT */
/* The relay from the upstream to the clients. */
#include "daemon/relay/relay_internal.h"

#include <assert.h>

#include "util/clock.h"
#include "util/diag.h"

enum {
        PLENTY_BYTES = 512 * 1024,
        IN_VAIN = 8, /* throttles in a row, of some milliseconds each, that no client used */
        THROTTLE_CREDIT_USEC = 200 * 1000,
        THROTTLE_LEAST_USEC = 5000, /* one throttle may last this long */
        REFILL = 20,                /* credit grows at 5 % of real time */
        TAKER_USEC = 1000 * 1000,
        DELIVER_USEC = 2000, /* then the next pass goes on with the clients that are left */
        TELL_USEC = 60 * 1000 * 1000,
};

/* Bytes waiting that are plenty for a client: at most half of ClientQueueSize=, for a small
 * queue must not fill up while the client reads. */
static uint64_t plenty(const struct relay *relay)
{
        uint64_t half = relay->config->client_queue_size / 2;

        return half < PLENTY_BYTES ? half : PLENTY_BYTES;
}

/* True if every client has plenty of bytes waiting; *taken is set to when a client last took bytes.
 * Bytes read far ahead of all clients have left the cache when the clients take them: throttling
 * brought 10 % of the CPU at 64 B, a third at 4 K and 64 K. */
static bool all_have_plenty(const struct relay *relay, uint64_t *taken)
{
        uint64_t enough = plenty(relay);

        *taken = 0;
        for (size_t i = 0; i < relay->spread.n_all; i++) {
                const struct client *client = relay_client_of(relay->spread.all[i]);

                if (!client->blocked || cursor_waiting(&client->reader.cursor) < enough)
                        return false;
                if (client->last_progress > *taken)
                        *taken = client->last_progress;
        }
        return relay->spread.n_all > 0;
}

/* Settles the credit; returns true if the credit allows a throttle. Only with SlowClient=wait may
 * slow clients throttle the upstream without limit: otherwise for one burst, and then for a
 * twentieth of the time. */
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

/* False after IN_VAIN throttles in a row in which no client took bytes: such a throttle saves
 * nothing. */
static bool is_worth_it(struct relay *relay, uint64_t taken)
{
        relay->vain_throttles = taken > relay->progress_at_throttle ? 0 : relay->vain_throttles + 1;
        relay->progress_at_throttle = taken;
        return relay->vain_throttles <= IN_VAIN;
}

/* Goes on with a round, or begins one. A round writes to every client that was there when it began,
 * the last one first: the last client takes the place of a client that ends. */
static void deliver_some(struct relay *relay, uint64_t until)
{
        uint64_t now = clock_usec();

        if (!relay->round.left) {
                relay->spread.news = false;
                relay->round.left = relay->spread.n_all;
                relay->round.takers = 0;
        }
        while (relay->round.left > 0 && now < until) {
                struct client *client;

                if (--relay->round.left >= relay->spread.n_all)
                        continue; /* more than one client has ended */
                client = relay_client_of(relay->spread.all[relay->round.left]);
                if (!client->blocked)
                        client_write(client, now);
                if (client->fd >= 0 && (client->blocked || client->over))
                        client_check(client, now);
                relay->round.takers += now - client->last_progress < TAKER_USEC;
                if (relay->round.left > 0)
                        now = clock_usec();
        }
        if (!relay->round.left)
                relay->class.takers = relay->spread.balance ? 0 : relay->round.takers;
}

/* While a round goes on over several passes the link is not read: a client must not use credit
 * because its turn to be written to has not come. */
static bool is_delivered(struct relay *relay)
{
        bool done = !relay->spread.news && !relay->round.left;

        if (!done || relay->round.waits)
                link_throttle(relay->link, !done);
        relay->round.waits = !done;
        return done;
}

void relay_deliver(struct relay *relay)
{
        uint64_t until, taken;

        if (!relay->spread.news && !relay->round.left)
                return;
        until = clock_usec() + DELIVER_USEC;
        /* Messages of a client that turns out to read no more go to other clients. The round may
         * have passed these clients already, and no event would come for these messages. */
        do
                deliver_some(relay, until);
        while (relay->spread.news && !relay->round.left && clock_usec() < until);
        if (!is_delivered(relay))
                return;
        relay->throttled =
                may_throttle(relay) && all_have_plenty(relay, &taken) && is_worth_it(relay, taken);
        if (relay->throttled)
                link_throttle(relay->link, true);
}

void relay_wake(struct relay *relay)
{
        uint64_t taken;

        if (!relay->throttled || relay_has_undelivered(relay) || all_have_plenty(relay, &taken))
                return;
        may_throttle(relay);
        relay->throttled = false;
        link_throttle(relay->link, false);
}

static void mind_pause(struct relay *relay)
{
        link_pause(relay->link, relay->n_over > 0 || (relay->spread.scant &&
                                                      relay->config->slow_client == SLOW_WAIT));
}

void relay_mind_extents(struct relay *relay)
{
        uint64_t now = clock_usec();

        spread_mind_extents(&relay->spread);
        mind_pause(relay);
        if (!relay->spread.scant || relay->config->slow_client != SLOW_WAIT ||
            (relay->told_scant && now - relay->told_scant < TELL_USEC))
                return;
        relay->told_scant = now;
        diag_warning("to clients: what waits for them stands in as many pieces as there can be "
                     "(ToClients=balance): the upstream is not read until they have taken some");
}

void relay_on_received(void *context, const struct log_taken *taken)
{
        struct relay *relay = context;

        relay_show_in(relay, taken);
        spread_taken(&relay->spread);
        relay_deliver(relay); /* while the messages are in the cache */
        if (relay->spread.scant)
                relay_mind_extents(relay);
}

void relay_on_over(void *context, struct client *client, bool over)
{
        struct relay *relay = context;

        (void)client;
        assert(over || relay->n_over > 0);
        relay->n_over += over ? 1 : (size_t)-1;
        mind_pause(relay);
}
