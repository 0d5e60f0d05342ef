/* SPDX-License-Identifier: MIT */
/* Orders of an operator to the link and the clients; `by` names the operator, for people. */
#include "daemon/relay/relay_internal.h"

#include <errno.h>
#include <stdio.h>

#include "core/catalog.h"
#include "edge/timer.h"
#include "flow/hold.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/units.h"

/* libevent's clock stands still while the machine sleeps, the clock of a hold does not: the timer
 * looks again after LOOK_USEC at the latest. */
#define LOOK_USEC (60 * USEC_PER_SEC)

enum { TEXT = 160 };

/* ---- the hold ---- */

static void watch_time(struct relay *relay, uint64_t now)
{
        uint64_t left = hold_look(relay->store.image, now).left_usec;

        if (left == UINT64_MAX)
                evtimer_del(relay->hold_timer);
        else
                timer_arm(relay->hold_timer, left < LOOK_USEC ? left : LOOK_USEC);
}

static void keep_closed(struct relay *relay, uint64_t now)
{
        char text[HOLD_TEXT];

        hold_text(relay->store.image, now, text);
        diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_HELD, .cause = link_cause_name(CAUSE_HELD)),
                   "link: %s; `ftcpctl release` lets it connect", text);
        watch_time(relay, now);
        link_hold(relay->link, text, hold_look(relay->store.image, now).since);
}

void relay_hold(struct relay *relay, const char *by, const char *reason, uint64_t for_usec)
{
        uint64_t now = clock_usec();

        hold_set(&relay->store, by, reason, now, clock_deadline(for_usec));
        keep_closed(relay, now);
}

static void let_go(struct relay *relay, const char *text)
{
        uint64_t now = clock_usec();
        uint64_t held = now - hold_look(relay->store.image, now).since;

        evtimer_del(relay->hold_timer);
        hold_clear(&relay->store);
        diag_notice("link: %s; it was held for %s", text, units_span_words(held).text);
        link_release(relay->link, text);
}

void relay_release(struct relay *relay, const char *by)
{
        char text[TEXT];

        if (!hold_is_on(relay->store.image))
                return;
        snprintf(text, sizeof(text), "released by %s", by);
        let_go(relay, text);
}

static void on_hold_timer(evutil_socket_t fd, short what, void *arg)
{
        struct relay *relay = arg;
        uint64_t now = clock_usec();

        (void)fd;
        (void)what;
        if (!hold_is_on(relay->store.image))
                return;
        if (hold_look(relay->store.image, now).left_usec)
                watch_time(relay, now);
        else
                let_go(relay, "the time of the hold is over");
}

struct event *relay_hold_timer_new(struct relay *relay)
{
        return evtimer_new(relay->base, on_hold_timer, relay);
}

void relay_recover_hold(struct relay *relay)
{
        uint64_t now = clock_usec();

        if (!hold_is_on(relay->store.image))
                return;
        if (hold_look(relay->store.image, now).left_usec)
                keep_closed(relay, now);
        else
                let_go(relay, "the time of the hold is over");
}

/* ---- besides ---- */

void relay_reconnect(struct relay *relay, const char *by)
{
        char text[TEXT];

        if (hold_is_on(relay->store.image)) {
                diag_notice("link: %s asked for a new connection, but it is held", by);
                return;
        }
        snprintf(text, sizeof(text), "%s asked for a new connection", by);
        link_reconnect(relay->link, text);
}

int relay_drop_client(struct relay *relay, uint64_t id, const char *by)
{
        struct client *client = relay_find(relay, id);
        char why[TEXT];

        if (!client)
                return -ENOENT;
        snprintf(why, sizeof(why), "dropped by %s", by);
        client_end(client, DROP_CLIENT_GONE, false, why);
        return 0;
}

/* ---- flushes ---- */

void relay_hurry(struct relay *relay)
{
        link_hurry(relay->link, !TAILQ_EMPTY(&relay->queue) || !TAILQ_EMPTY(&relay->beyond) ||
                                        relay->flush_at != RELAY_NO_FLUSH);
}

uint64_t relay_accepted(const struct relay *relay)
{
        return relay->out.image->end;
}

bool relay_is_flushed(struct relay *relay, uint64_t position)
{
        link_poll_acks(relay->link);
        if (relay->ledger.acked.image->pos >= position)
                return true;
        if (position < relay->flush_at) {
                relay->flush_at = position;
                relay_hurry(relay);
        }
        return false;
}

void relay_tell_flushed(struct relay *relay)
{
        relay->flush_at = RELAY_NO_FLUSH;
        relay_hurry(relay);
        relay->ops->flushed(relay->context);
}
