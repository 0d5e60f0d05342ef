/* SPDX-License-Identifier: MIT */
/*
 * Turns changes into events. Each change of the link's state is an event. Clients and drops are
 * told one by one while few, otherwise counted and told together: a crowd must not push all other
 * events out of the ring.
 */
#include "daemon/relay/relay_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/catalog.h"
#include "edge/timer.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/units.h"

enum { TEXT = 2 * IMAGE_EVENT_TEXT };

static const struct pace_limits drop_limits = {1, 10 * USEC_PER_SEC, 600 * USEC_PER_SEC};
static const struct pace_limits client_limits = {16, 60 * USEC_PER_SEC, 600 * USEC_PER_SEC};

static const char *const crowds[] = {
        [TELL_CAME] = "clients came or went",
        [TELL_ENDED] = "clients were disconnected",
        [TELL_REFUSED] = "clients were refused",
};

static void add(struct relay *relay, struct image_facts facts, const char *text)
{
        facts.time_usec = clock_wall_usec();
        events_add(&relay->events.ring, &facts, text);
}

void relay_tell(struct relay *relay, enum event_kind kind, const char *format, ...)
{
        char text[TEXT];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        add(relay, (struct image_facts){.kind = kind}, text);
}

void relay_tell_link(struct relay *relay, enum link_state state, enum link_cause cause,
                     const char *text)
{
        add(relay, (struct image_facts){.kind = EVENT_LINK, .state = state, .cause = cause}, text);
}

/* ---- clients ---- */

/* Arms the timer for the time `due`, when relay_tell_news() tells what was counted. */
static void wake_at(struct relay *relay, uint64_t due, uint64_t now)
{
        if (due >= relay->events.due)
                return;
        relay->events.due = due;
        timer_arm(relay->events.timer, due > now ? due - now : 0);
}

static bool is_told(struct relay *relay, enum tell_class class, uint64_t now)
{
        struct pace *pace = &relay->events.clients[class];

        if (pace_take(pace, &client_limits, 1, now))
                return true;
        if (pace->untold == 1 && pace->span == client_limits.first_usec)
                relay_tell(relay, EVENT_CLIENT,
                           "more than %u %s within %s: from here on they are counted",
                           client_limits.burst, crowds[class],
                           units_span_words(client_limits.first_usec).text);
        wake_at(relay, pace_due(pace), now);
        return false;
}

static const char *became(enum tell_class class, const struct client *client)
{
        if (class == TELL_REFUSED)
                return "was refused: ";
        if (class == TELL_ENDED)
                return "is disconnected: ";
        return client && client->fd < 0 ? "is gone: " : "";
}

void relay_tell_client(struct relay *relay, enum tell_class class, const struct client *client,
                       const char *what)
{
        uint64_t id = client ? client->id : 0;
        char text[TEXT];
        int n;

        if (relay->stopping || !is_told(relay, class, clock_usec()))
                return;
        n = snprintf(text, sizeof(text), "%s %s%s", client ? client_name(client) : "a client",
                     became(class, client), what);
        if (client && client->fd < 0 && client->refused_bytes && n < TEXT)
                n += snprintf(text + n, sizeof(text) - (size_t)n,
                              "; %" PRIu64 " bytes that it sent were no whole message",
                              client->refused_bytes);
        if (client && client_dropped(client).messages && n < TEXT)
                snprintf(text + n, sizeof(text) - (size_t)n, "; %s that waited for it %s dropped",
                         units_messages(client_dropped(client).messages).text,
                         client_dropped(client).messages == 1 ? "is" : "are");
        add(relay, (struct image_facts){.kind = EVENT_CLIENT, .client_id = id}, text);
}

/* ---- drops ---- */

static const uint64_t *dropped_of(const struct relay *relay, enum tell_way way, int reason)
{
        const struct image_totals *totals = &relay->store.image->totals;

        return way == TELL_OUT ? totals->out_dropped[reason] : totals->in_dropped[reason];
}

/* A drop that nobody chose is worse than a drop by configuration. Drops of a client that left
 * have a diag line with the end of the client. */
static const int levels[] = {
        [DROP_QUEUE_FULL] = LOG_WARNING, [DROP_HOLD_FULL] = LOG_WARNING,
        [DROP_EXPIRED] = LOG_NOTICE,     [DROP_LINK_DOWN] = LOG_NOTICE,
        [DROP_NOT_RESENT] = LOG_WARNING, [DROP_NO_CLIENT] = LOG_INFO,
        [DROP_CLIENT_GONE] = LOG_DEBUG,  [DROP_STOPPED] = LOG_NOTICE,
};
static_assert(sizeof(levels) / sizeof(*levels) == DROP_REASONS, "every reason has its level");

static void tell_drop(struct relay *relay, enum tell_way way, int reason, uint64_t n)
{
        char text[TEXT];

        snprintf(text, sizeof(text), "%s: %s %s dropped (%s)",
                 way == TELL_OUT ? "to the upstream" : "to clients", units_messages(n).text,
                 units_were(n), drop_reason_name((enum drop_reason)reason));
        diag_event(levels[reason],
                   diag_facts(.id = CATALOG_DROPPED,
                              .cause = drop_reason_name((enum drop_reason)reason), .messages = n),
                   "%s", text);
        add(relay, (struct image_facts){.kind = EVENT_DROP, .messages = n}, text);
}

static void look_at_drops(struct relay *relay)
{
        for (int way = 0; way < TELL_WAYS; way++) {
                for (int i = 0; i < DROP_REASONS; i++) {
                        struct pace *pace = &relay->events.drops[way][i];
                        uint64_t total = *dropped_of(relay, (enum tell_way)way, i), now;
                        uint64_t n = total - relay->events.seen[way][i];

                        if (!n)
                                continue;
                        relay->events.seen[way][i] = total;
                        now = clock_usec();
                        if (pace_take(pace, &drop_limits, n, now))
                                tell_drop(relay, (enum tell_way)way, i, n);
                        else
                                wake_at(relay, pace_due(pace), now);
                }
        }
}

/* ---- what was counted ---- */

static void sum_up(struct relay *relay, bool at_once, uint64_t now)
{
        uint64_t n, span;

        relay->events.due = UINT64_MAX;
        for (int class = 0; class < TELL_CLASSES; class ++) {
                struct pace *pace = &relay->events.clients[class];

                n = pace_sum(pace, &client_limits, at_once, now, &span);
                if (n)
                        relay_tell(relay, EVENT_CLIENT, "%s %" PRIu64 " times more within %s",
                                   crowds[class], n, units_span_words(span).text);
                wake_at(relay, pace_due(pace), now);
        }
        for (int k = 0; k < TELL_WAYS * DROP_REASONS; k++) {
                enum tell_way way = (enum tell_way)(k / DROP_REASONS);
                struct pace *pace = &relay->events.drops[way][k % DROP_REASONS];

                n = pace_sum(pace, &drop_limits, at_once, now, NULL);
                if (n)
                        tell_drop(relay, way, k % DROP_REASONS, n);
                wake_at(relay, pace_due(pace), now);
        }
}

void relay_tell_news(struct relay *relay)
{
        look_at_drops(relay);
        if (relay->events.due != UINT64_MAX && clock_usec() >= relay->events.due)
                sum_up(relay, false, clock_usec());
}

void relay_tell_remaining(struct relay *relay)
{
        look_at_drops(relay);
        sum_up(relay, true, clock_usec());
}

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct relay *relay = arg;
        uint64_t now = clock_usec();

        (void)fd;
        (void)what;
        if (now < relay->events.due) /* else relay_tell_news() tells at the end of this pass */
                timer_arm(relay->events.timer, relay->events.due - now);
}

static void on_added(void *context)
{
        struct relay *relay = context;

        relay->ops->event(relay->context);
}

bool relay_events_init(struct relay *relay)
{
        events_init(&relay->events.ring, &relay->store, on_added, relay);
        relay->events.due = UINT64_MAX;
        for (int way = 0; way < TELL_WAYS; way++)
                for (int i = 0; i < DROP_REASONS; i++)
                        relay->events.seen[way][i] = *dropped_of(relay, (enum tell_way)way, i);
        relay->events.timer = evtimer_new(relay->base, on_timer, relay);
        return relay->events.timer != NULL;
}

const struct events *relay_events(const struct relay *relay)
{
        return &relay->events.ring;
}
