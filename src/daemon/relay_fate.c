/* SPDX-License-Identifier: MIT */
/* What becomes of messages and clients while the link is down or does not take them in time. */
#include "daemon/relay_own.h"
#include "util/clock.h"
#include "util/diag.h"

#include <inttypes.h>

enum {
        EXPIRE_USEC = 50000, /* half of how late a message may be given up */
        LOOK_USEC = 1000000,
};

#define TELL_USEC (10 * USEC_PER_SEC)

/* ---- what is given up on the way to the upstream ---- */

void relay_note_drops(struct relay *relay)
{
        const struct image_totals *totals = &relay->store.image->totals;
        uint64_t lost = totals->out_dropped[DROP_NOT_RESENT][0] +
                        totals->in_dropped[DROP_QUEUE_FULL][0] +
                        totals->in_dropped[DROP_HOLD_FULL][0];

        if (lost != relay->noted)
                relay->last_drop = clock_usec();
        relay->noted = lost;
}

/* Told with their number, for each reason at once and then every ten seconds at most. Returns
 * whether something is to be told later. */
static bool tell_drops(struct relay *relay, uint64_t now)
{
        bool later = false;

        for (int i = 0; i < DROP_REASONS; i++) {
                uint64_t dropped = relay->store.image->totals.out_dropped[i][0];
                int level = i == DROP_NOT_RESENT ? LOG_WARNING : LOG_NOTICE;

                if (dropped == relay->told[i])
                        continue;
                if (relay->told_at[i] && now - relay->told_at[i] < TELL_USEC && !relay->stopping) {
                        later = true;
                        continue;
                }
                diag_line(level, "to the upstream: %" PRIu64 " messages were dropped (%s)",
                          dropped - relay->told[i], drop_reason_name((enum drop_reason)i));
                relay->told[i] = dropped;
                relay->told_at[i] = now;
        }
        return later;
}

/* Often where messages may grow too old, seldom where there may be something to tell. */
static void arm_expirer(struct relay *relay, bool untold)
{
        uint64_t every = 0;
        struct timeval tv = {0, 0};

        if (relay->config->message_ttl_usec != CONFIG_INFINITY)
                every = EXPIRE_USEC;
        else if (untold || relay->turn.discard)
                every = LOOK_USEC;
        if (every == relay->expirer_usec)
                return;
        relay->expirer_usec = every;
        tv.tv_sec = (time_t)(every / USEC_PER_SEC);
        tv.tv_usec = (suseconds_t)(every % USEC_PER_SEC);
        if (every)
                event_add(relay->expirer, &tv);
        else
                event_del(relay->expirer);
}

void relay_look_at_drops(struct relay *relay)
{
        uint64_t now = clock_usec();

        relay_note_drops(relay);
        arm_expirer(relay, tell_drops(relay, now));
}

static void on_expirer(evutil_socket_t fd, short what, void *arg)
{
        struct relay *relay = arg;
        uint64_t ttl = relay->config->message_ttl_usec, now = clock_usec();

        (void)fd;
        (void)what;
        if (ttl != CONFIG_INFINITY && now > ttl)
                ledger_expire(&relay->ledger, now - ttl);
        relay_look_at_drops(relay);
}

struct event *relay_expirer_new(struct relay *relay)
{
        return event_new(relay->base, -1, EV_PERSIST, on_expirer, relay);
}

/* ---- the link comes and goes ---- */

/* Everybody gets what was received, and then the end. */
static void dismiss_clients(struct relay *relay, const char *why)
{
        struct client *client, *next;

        relay_deliver(relay);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                client_leave(client, why);
        }
}

void relay_follow_link(struct relay *relay, bool up)
{
        bool lost = relay->was_up && !up && !relay->stopping;

        relay->was_up = up;
        relay->turn.discard = !up && relay->config->when_down == DOWN_DISCARD;
        if (lost && relay->config->when_down == DOWN_REFUSE)
                dismiss_clients(relay, "the link is down (WhenDown=refuse)");
        else if (lost && relay->config->on_link_loss == LOSS_DISCONNECT)
                dismiss_clients(relay, "the link was lost (OnLinkLoss=disconnect)");
}

void relay_apply_fate(struct relay *relay)
{
        const struct config *config = relay->config;

        spread_configure(&relay->spread, config->to_clients == TO_BALANCE, config->hold_size);
        relay->out.exact = config->message_ttl_usec != CONFIG_INFINITY;
        relay->turn.discard = !relay->was_up && config->when_down == DOWN_DISCARD;
        if (!relay->was_up && config->when_down == DOWN_REFUSE && !relay->stopping)
                dismiss_clients(relay, "the link is down (WhenDown=refuse)");
        relay_look_at_drops(relay);
}
