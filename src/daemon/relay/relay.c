/* SPDX-License-Identifier: MIT */
#include "daemon/relay/relay_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/diag.h"
#include "util/host_error.h"

/* The door's budget: an eighth of the loop's time, and at first more than a thousand clients at
 * once, as after a restart of the host. */
enum {
        DOOR_SHARE = 8,
        DOOR_BURST_USEC = 100000,
        DOOR_END_USEC = 20, /* what the end of a client takes, as measured */
        DOOR_YOUNG_USEC = 1000000,
};

/* ---- clients come and go ---- */

static void on_gone(void *context, struct client *client, bool quiet, const char *why)
{
        struct relay *relay = context;
        struct timeval now = {0, 0};
        uint64_t usec = clock_usec();

        relay_tell_client(relay, quiet ? TELL_CAME : TELL_ENDED, client, why);
        relay_wait_no_more(relay, client);
        if (client->begun.tqe_prev)
                TAILQ_REMOVE(&relay->begun, client, begun);
        taps_client_gone(&relay->taps, client->id);
        TAILQ_REMOVE(&relay->all, client, all);
        TAILQ_INSERT_TAIL(&relay->dead, client, all);
        relay_forget(relay, client);
        relay->n_clients--;
        if (usec - client->image->since < DOOR_YOUNG_USEC)
                budget_spend(&relay->door, DOOR_END_USEC, usec);
        if (client->user)
                users_leave(&relay->users, client->user, relay->class.limits.grace_usec, usec);
        client->user = NULL;
        relay->free_slots[relay->n_free_slots++] = client->writer.slot;
        evtimer_add(relay->reaper, &now);
}

static void on_reaper(evutil_socket_t fd, short what, void *arg)
{
        struct relay *relay = arg;
        struct client *client;

        (void)fd;
        (void)what;
        while ((client = TAILQ_FIRST(&relay->dead))) {
                TAILQ_REMOVE(&relay->dead, client, all);
                client_free(client);
        }
}

static const struct client_ops client_ops = {relay_on_room,    relay_on_accepted, relay_on_more,
                                             relay_on_partial, relay_on_over,     on_gone};

static struct client_limits limits_of(const struct config *config)
{
        return (struct client_limits){
                config->client_queue_size,         config->slow_client_grace_usec,
                config->client_stall_timeout_usec, config->frame_timeout_usec,
                config->stable_time_usec,          config->slow_client};
}

/* Fills in what the class of all clients has from the configuration. */
static void configure_class(struct client_class *class, const struct config *config)
{
        class->limits = limits_of(config);
        class->heartbeat = config_client_heartbeat(config);
        class->heartbeat_usec = config->client_heartbeat_usec;
}

int relay_listen(struct relay *relay, int fd)
{
        struct listener **listeners =
                reallocarray(relay->listeners, relay->n_listeners + 1, sizeof(struct listener *));

        if (!listeners) {
                close(fd);
                return -ENOMEM;
        }
        relay->listeners = listeners;
        listeners[relay->n_listeners] = listener_new(relay->base, fd, relay_admit, relay);
        if (!listeners[relay->n_listeners])
                return -ENOMEM;
        listener_limit(listeners[relay->n_listeners], &relay->door);
        listener_mark(listeners[relay->n_listeners], &relay->store.image->totals.accepting);
        relay->n_listeners++;
        return 0;
}

/* ---- life ---- */

static void on_state(void *context, enum link_state state, enum link_cause cause, const char *text)
{
        struct relay *relay = context;

        relay_tell_link(relay, state, cause, text);
        relay_follow_link(relay, state);
        relay->ops->state(relay->context, state, cause, text);
}

static void on_stopped(void *context)
{
        struct relay *relay = context;
        const struct ledger *ledger = &relay->ledger;
        struct books books = {0};
        struct count dropped = {0};

        relay_tell_remaining(relay);
        ledger_books(ledger, &books);
        for (int i = 0; i < DROP_REASONS; i++)
                dropped = count_add(dropped, books.dropped[i]);
        relay->ops->stopped(relay->context, books.queued, dropped,
                            ledger->image->live ? ledger->image->unheard : ledger->was_unheard);
}

static void on_keep(void *context, uint64_t epoch, int fd)
{
        struct relay *relay = context;

        if (relay->keeps)
                handover_keep_upstream(epoch, fd);
}

static void on_forget(void *context, uint64_t epoch)
{
        struct relay *relay = context;

        if (relay->keeps)
                handover_forget_upstream(epoch);
}

static const struct link_ops link_ops = {on_state, relay_on_received, on_keep, on_forget,
                                         on_stopped};

/* False: no memory. */
static bool init_parts(struct relay *relay)
{
        struct image *image = relay->store.image;

        log_init(&relay->in, &relay->store, &image->in, &relay->frame);
        log_init(&relay->out, &relay->store, &image->out, &relay->frame);
        if (!log_ready(&relay->in) || !log_ready(&relay->out))
                return false;
        turn_init(&relay->turn, &relay->out, &image->turn);
        ledger_init(&relay->ledger, &relay->out, relay->recovered);
        if (relay->recovered)
                spread_recover(&relay->spread, &relay->in);
        else
                spread_init(&relay->spread, &relay->in);
        return true;
}

int relay_new(struct relay **made, struct event_base *base, const struct config *config,
              struct handover *handover, const struct relay_ops *ops, void *context)
{
        struct relay *relay = calloc(1, sizeof(*relay));
        int result;

        if (!relay)
                return -ENOMEM;
        *relay = (struct relay){.base = base,
                                .config = config,
                                .ops = ops,
                                .context = context,
                                .frame = config->frame,
                                .upstream = -1,
                                .lingering = -1,
                                .fd_bag = {.end = {-1, -1, -1, -1}},
                                .flush_at = RELAY_NO_FLUSH,
                                .door = {.share = DOOR_SHARE, .burst = DOOR_BURST_USEC},
                                .started = clock_usec(),
                                .started_wall = clock_wall_usec()};
        TAILQ_INIT(&relay->all);
        TAILQ_INIT(&relay->queue);
        TAILQ_INIT(&relay->beyond);
        TAILQ_INIT(&relay->begun);
        TAILQ_INIT(&relay->dead);
        taps_init(&relay->taps);
        result = relay_open(relay, handover);
        if (result < 0) {
                free(relay);
                return result;
        }
        if (!init_parts(relay)) {
                store_done(&relay->store);
                free(relay);
                return -ENOMEM;
        }
        relay->poller = poller_new(base, &client_poller_ops);
        relay->deadlines = deadlines_new(base, client_due);
        relay->class = (struct client_class){.ops = &client_ops,
                                             .context = relay,
                                             .poller = relay->poller,
                                             .deadlines = relay->deadlines,
                                             .store = &relay->store,
                                             .turn = &relay->turn,
                                             .spread = &relay->spread};
        configure_class(&relay->class, config);
        users_set_most(&relay->users, (unsigned)(config->max_clients / 2));
        relay->reaper = evtimer_new(base, on_reaper, relay);
        relay->hold_timer = relay_hold_timer_new(relay);
        relay->expirer = relay_expirer_new(relay);
        relay->link = link_new(base, config, &relay->in, &relay->ledger, &link_ops, relay);
        if (!relay_events_init(relay) || !relay->poller || !relay->deadlines || !relay->reaper ||
            !relay->hold_timer || !relay->expirer || !relay->link ||
            relay_recover(relay, handover) < 0) {
                result = host_error_of_null();
                relay_forget_starts(relay); /* memory is short, and the state may be sound */
                relay_free(relay);
                return result;
        }
        *made = relay;
        return 0;
}

void relay_free(struct relay *relay)
{
        struct client *client;

        while ((client = TAILQ_FIRST(&relay->all)))
                client_end(client, DROP_STOPPED, true, "stopping");
        on_reaper(-1, 0, relay);
        for (size_t i = 0; i < relay->n_listeners; i++)
                listener_free(relay->listeners[i]);
        free(relay->listeners);
        link_free(relay->link);
        poller_free(relay->poller);
        deadlines_free(relay->deadlines);
        if (relay->reaper)
                event_free(relay->reaper);
        if (relay->hold_timer)
                event_free(relay->hold_timer);
        if (relay->expirer)
                event_free(relay->expirer);
        if (relay->tidier)
                event_free(relay->tidier);
        fd_bag_done(&relay->fd_bag);
        spread_done(&relay->spread);
        if (relay->events.timer)
                event_free(relay->events.timer);
        users_done(&relay->users);
        store_done(&relay->store);
        free(relay->free_slots);
        free(relay);
}

void relay_start(struct relay *relay)
{
        pass_times_begin(&relay->pass_times, clock_usec(), clock_cpu_usec());
        if (relay->recovered && relay->ledger.image->lingers)
                link_linger(relay->link, relay->lingering);
        relay->lingering = -1;
        relay_recover_hold(relay);
        if (!relay->recovered || !relay->ledger.image->live) {
                relay_apply_fate(relay);
                link_start(relay->link);
                return;
        }
        link_recover(relay->link, relay->upstream);
        relay->upstream = -1;
        link_reconcile(relay->link);
        spread_taken(&relay->spread);
        relay_apply_fate(relay);
}

int relay_configure(struct relay *relay, const struct config *config)
{
        struct client *client, *next;
        int result = link_configure(relay->link, config);

        if (result < 0)
                return result;
        relay->config = config;
        relay->frame = config->frame;
        relay_follow_link(relay, link_look(relay->link).state); /* another SendAfter= */
        configure_class(&relay->class, config);
        users_set_most(&relay->users, (unsigned)(config->max_clients / 2));
        relay_apply_fate(relay);
        relay_limit_partials(relay);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                client_configure(client);
                if (client->fd >= 0)
                        relay_permit(relay, client);
        }
        return 0;
}

/* Returns true if the next pass polls again at once in place of sleeping; first yields the
 * processor to other processes. Busy polling brought from a third to two thirds more messages a
 * second up from one client, and up to three times as many of 64 K there and back one at a time,
 * and takes no more CPU. */
static bool looks_again(struct relay *relay, uint64_t now)
{
        uint64_t in = relay->ledger.image->rx_read;
        uint64_t out = relay->out.image->end + relay->partial_bytes;

        if (!busy_poll_pass(&relay->busy_poll, in + out, now))
                return false;
        sched_yield();
        return true;
}

bool relay_pass(struct relay *relay)
{
        uint64_t now;
        bool more;

        more = relay_read_on(relay);
        relay_deliver(relay);
        relay_wake(relay);
        if (relay->spread.scant)
                relay_mind_extents(relay);
        if (relay_write(relay) || relay_has_undelivered(relay))
                more = true;
        if (relay->ledger.acked.image->pos >= relay->flush_at)
                relay_tell_flushed(relay);
        relay_note_drops(relay);
        relay_tell_news(relay);
        if (store_tidy(&relay->store))
                more = true;
        now = clock_usec();
        if (pass_times_end(&relay->pass_times, now))
                pass_times_read(&relay->pass_times, now, clock_cpu_usec());
        return more || looks_again(relay, now);
}

static void close_listeners(struct relay *relay)
{
        for (size_t i = 0; i < relay->n_listeners; i++)
                listener_free(relay->listeners[i]);
        relay->n_listeners = 0;
}

void relay_stop(struct relay *relay, uint64_t deadline, bool leave)
{
        if (!relay->stopping) {
                close_listeners(relay);
                relay_last_call(relay);
        }
        relay->stopping = true;
        if (leave)
                link_drain(relay->link, deadline);
        else
                link_stop(relay->link, deadline);
}
