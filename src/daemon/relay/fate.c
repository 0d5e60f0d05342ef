/* SPDX-License-Identifier: MIT */
/* The fate of messages that grow too old, and of clients and messages while the link is down. */
#include "daemon/relay/relay_internal.h"

#include "util/clock.h"

enum { EXPIRE_USEC = 50000 }; /* half of how late a message may expire */

/* ---- drops ---- */

void relay_note_drops(struct relay *relay)
{
        const struct image_totals *totals = &relay->store.image->totals;
        uint64_t lost = totals->out_dropped[DROP_NOT_RESENT][0] +
                        totals->in_dropped[DROP_QUEUE_FULL][0] +
                        totals->in_dropped[DROP_HOLD_FULL][0];

        if (lost != relay->noted)
                store_set(&relay->store.image->totals.last_drop, clock_usec());
        relay->noted = lost;
}

static void arm_expirer(struct relay *relay)
{
        bool on = relay->config->message_ttl_usec != CONFIG_INFINITY;
        struct timeval every = {0, EXPIRE_USEC};

        if (on == relay->expiring)
                return;
        relay->expiring = on;
        if (on)
                event_add(relay->expirer, &every);
        else
                event_del(relay->expirer);
}

static void on_expirer(evutil_socket_t fd, short what, void *arg)
{
        struct relay *relay = arg;
        uint64_t ttl = relay->config->message_ttl_usec, now = clock_usec();

        (void)fd;
        (void)what;
        if (ttl != CONFIG_INFINITY && now > ttl)
                ledger_expire(&relay->ledger, now - ttl);
}

struct event *relay_expirer_new(struct relay *relay)
{
        return event_new(relay->base, -1, EV_PERSIST, on_expirer, relay);
}

/* ---- the link comes and goes ---- */

/* Ends each client when the client has got the messages received so far. */
static void dismiss_clients(struct relay *relay, const char *why)
{
        struct client *client, *next;

        relay_deliver(relay);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                client_leave(client, why);
        }
}

/* A connection of which nothing was heard yet counts as up for WhenDown=, unless SendAfter= waits.
 */
static bool is_open(const struct relay *relay, enum link_state state)
{
        return state == LINK_UP ||
               (state == LINK_CONNECTED && relay->ledger.image->unheard <= LEDGER_UNHEARD);
}

void relay_follow_link(struct relay *relay, enum link_state state)
{
        bool open = is_open(relay, state);
        bool shut = relay->was_open && !open && !relay->stopping;
        bool lost = relay->was_up && state != LINK_UP && !relay->stopping;

        relay->was_open = open;
        relay->was_up = state == LINK_UP;
        relay->turn.discard = !open && relay->config->when_down == DOWN_DISCARD;
        if (shut && relay->config->when_down == DOWN_REFUSE)
                dismiss_clients(relay, "the link is down (WhenDown=refuse)");
        else if (lost && relay->config->on_link_loss == LOSS_DISCONNECT)
                dismiss_clients(relay, "the link was lost (OnLinkLoss=disconnect)");
}

void relay_apply_spread(struct relay *relay)
{
        const struct config *config = relay->config;

        spread_configure(&relay->spread, config->to_clients == TO_BALANCE, config->hold_size,
                         config->client_queue_size);
}

void relay_settle_spread(struct relay *relay)
{
        spread_settle(&relay->spread, relay->config->hold_size, relay->config->client_queue_size);
}

void relay_apply_fate(struct relay *relay)
{
        const struct config *config = relay->config;

        relay_apply_spread(relay);
        relay->out.exact = config->message_ttl_usec != CONFIG_INFINITY;
        relay->turn.discard = !relay->was_open && config->when_down == DOWN_DISCARD;
        if (!relay->was_open && config->when_down == DOWN_REFUSE && !relay->stopping)
                dismiss_clients(relay, "the link is down (WhenDown=refuse)");
        arm_expirer(relay);
}
