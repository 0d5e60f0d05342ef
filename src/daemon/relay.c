/* SPDX-License-Identifier: MIT */
#include "daemon/relay_own.h"
#include "util/clock.h"
#include "util/diag.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        DISCARD_SIZE = 256 * 1024,
        READ_SIZE = SESSION_WRITE_SIZE, /* so that one read makes one write */
        LEAST_SIZE = 64 * 1024,
        PLENTY_BYTES = 512 * 1024,
        REST_USEC = 1000,
};

/* ---- upstream to clients ---- */

/* Has every client enough to take for now? What is read ahead of them all has left the cache when
 * they take it: resting brought 10 % of the CPU at 64 B, a third at 4 K and 64 K. */
static bool all_have_plenty(const struct relay *relay)
{
        for (size_t i = 0; i < relay->spread.n_all; i++) {
                const struct client *client = relay_client_of(relay->spread.all[i]);

                if (!client->blocked || cursor_waiting(&client->reader.cursor) < PLENTY_BYTES)
                        return false;
        }
        return relay->spread.n_all > 0;
}

static void deliver_once(struct relay *relay)
{
        uint64_t now = clock_usec();

        relay->spread.news = false;
        /* Backwards: one that ends is replaced by the last. */
        for (size_t i = relay->spread.n_all; i-- > 0;) {
                struct client *client;

                if (i >= relay->spread.n_all)
                        continue; /* more than one has ended */
                client = relay_client_of(relay->spread.all[i]);
                if (!client->blocked)
                        client_flush(client, now);
                if (client->fd >= 0 && (client->blocked || client->over))
                        client_check(client, now);
        }
}

void relay_deliver(struct relay *relay)
{
        if (!relay->spread.news)
                return;
        /* Who turns out to read no more leaves what it had to others, who may have had their turn:
         * no event would remind of them. */
        while (relay->spread.news)
                deliver_once(relay);
        relay->resting = all_have_plenty(relay);
        if (relay->resting)
                link_rest(relay->link, true);
}

static void on_received(void *context, const struct log_taken *taken)
{
        struct relay *relay = context;

        relay_show_in(relay, taken);
        spread_taken(&relay->spread);
        relay_deliver(relay); /* while it is in the cache */
}

static void on_over(void *context, struct client *client, bool over)
{
        struct relay *relay = context;

        (void)client;
        relay->n_over += over ? 1 : (size_t)-1;
        link_pause(relay->link, relay->n_over > 0);
}

/* ---- clients to upstream ---- */

uint64_t relay_queued_bytes(const struct relay *relay)
{
        return relay->out.image->end - relay->ledger.acked.image->pos;
}

static uint64_t unsent_bytes(const struct relay *relay)
{
        return relay->out.image->end - ledger_written(&relay->ledger);
}

/* Has the link enough to take for now? As with the clients, what is read ahead of it has left the
 * cache when it goes out: resting brought 8 % of the CPU. */
static bool link_has_plenty(const struct relay *relay)
{
        return !relay->calling && link_is_blocked(relay->link) &&
               unsent_bytes(relay) >= PLENTY_BYTES;
}

/* Judged on what stands there already, with what was given up behind what is under way: that takes
 * memory still, what is discarded takes none. While there is any room, there is some for a message,
 * or for a good part of one. */
static size_t room(const struct relay *relay)
{
        uint64_t queued = relay_queued_bytes(relay), limit = relay->config->upstream_queue_size;
        uint64_t largest = relay->config->frame.max_message_size, left;

        if (relay->turn.discard && !relay->stopping)
                return DISCARD_SIZE;
        if (queued >= limit || relay->stopping || relay->rest_until)
                return 0;
        left = limit - queued;
        if (left < largest && left < LEAST_SIZE)
                left = largest < LEAST_SIZE ? largest : LEAST_SIZE;
        return left < READ_SIZE ? (size_t)left : READ_SIZE;
}

static size_t on_room(void *context, struct client *client)
{
        struct relay *relay = context;
        /* Whoever comes while others wait goes to the end of the line. */
        size_t left = relay->resuming || TAILQ_EMPTY(&relay->queue) ? room(relay) : 0;

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
static void resume_clients(struct relay *relay)
{
        struct client *client;

        while ((client = TAILQ_FIRST(&relay->queue)) && room(relay)) {
                TAILQ_REMOVE(&relay->queue, client, queue);
                client->waiting = false;
                relay->resuming = true;
                client_resume(client);
                relay->resuming = false;
        }
        relay_hurry(relay);
}

static void on_accepted(void *context, struct client *client, const struct log_taken *taken)
{
        struct relay *relay = context;

        relay_show_out(relay, client, taken);
        if (unsent_bytes(relay) >= SESSION_WRITE_SIZE)
                link_flush_early(relay->link);
        if (!relay->rest_until && link_has_plenty(relay))
                relay->rest_until = clock_usec() + REST_USEC;
}

static void on_more(void *context)
{
        struct relay *relay = context;

        relay->more = true;
}

static void limit_partials(struct relay *relay)
{
        while (relay->partial_bytes > relay->config->partial_size && TAILQ_FIRST(&relay->begun))
                client_end(TAILQ_FIRST(&relay->begun), DROP_CLIENT_GONE, false,
                           "its unfinished message is the oldest, and all of them together exceed "
                           "PartialSize=");
}

static void on_partial(void *context, struct client *client, uint64_t before)
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
        limit_partials(relay);
}

static void on_acked(void *context)
{
        (void)context; /* relay_turn() looks */
}

/* ---- clients come and go ---- */

static void on_gone(void *context, struct client *client, bool quiet, const char *why)
{
        struct relay *relay = context;
        struct timeval now = {0, 0};

        relay_tell_client(relay, quiet ? TELL_CAME : TELL_ENDED, client, why);
        if (client->waiting)
                TAILQ_REMOVE(&relay->queue, client, queue);
        if (client->begun.tqe_prev)
                TAILQ_REMOVE(&relay->begun, client, begun);
        taps_client_gone(&relay->taps, client->id);
        TAILQ_REMOVE(&relay->all, client, all);
        TAILQ_INSERT_TAIL(&relay->dead, client, all);
        relay_forget(relay, client);
        relay->n_clients--;
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

static const struct client_ops client_ops = {on_room,    on_accepted, on_more,
                                             on_partial, on_over,     on_gone};

static struct client_limits limits_of(const struct config *config)
{
        return (struct client_limits){config->client_queue_size, config->slow_client_grace_usec,
                                      config->client_stall_timeout_usec, config->frame_timeout_usec,
                                      config->slow_client};
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
        listener_mark(listeners[relay->n_listeners], &relay->store.image->totals.accepting);
        relay->n_listeners++;
        return 0;
}

/* ---- life ---- */

static void on_state(void *context, enum link_state state, enum link_cause cause, const char *text)
{
        struct relay *relay = context;

        relay_tell_link(relay, state, cause, text);
        relay_follow_link(relay, state == LINK_UP);
        relay->ops->state(relay->context, state, cause, text);
}

static void on_stopped(void *context)
{
        struct relay *relay = context;
        struct books books = {0};

        relay_tell_rest(relay);
        ledger_books(&relay->ledger, &books);
        relay->ops->stopped(relay->context, books.queued);
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

static const struct link_ops link_ops = {on_state, on_received, on_acked,
                                         on_keep,  on_forget,   on_stopped};

static void init_parts(struct relay *relay)
{
        struct image *image = relay->store.image;

        log_init(&relay->in, &relay->store, &image->in, &relay->frame);
        log_init(&relay->out, &relay->store, &image->out, &relay->frame);
        turn_init(&relay->turn, &relay->out, &image->turn);
        ledger_init(&relay->ledger, &relay->out, relay->resumed);
        if (relay->resumed)
                spread_recover(&relay->spread, &relay->in);
        else
                spread_init(&relay->spread, &relay->in);
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
                                .flush_at = RELAY_NO_FLUSH,
                                .started = clock_usec(),
                                .started_wall = clock_wall_usec()};
        TAILQ_INIT(&relay->all);
        TAILQ_INIT(&relay->queue);
        TAILQ_INIT(&relay->begun);
        TAILQ_INIT(&relay->dead);
        taps_init(&relay->taps);
        result = relay_open(relay, handover);
        if (result < 0) {
                free(relay);
                return result;
        }
        init_parts(relay);
        relay->poller = poller_new(base, &client_poller_ops);
        relay->agenda = agenda_new(base, client_due);
        relay->class = (struct client_class){.ops = &client_ops,
                                             .context = relay,
                                             .poller = relay->poller,
                                             .agenda = relay->agenda,
                                             .store = &relay->store,
                                             .turn = &relay->turn,
                                             .spread = &relay->spread,
                                             .limits = limits_of(config)};
        relay->reaper = evtimer_new(base, on_reaper, relay);
        relay->hold_timer = relay_hold_timer_new(relay);
        relay->expirer = relay_expirer_new(relay);
        relay->link = link_new(base, config, &relay->in, &relay->ledger, &link_ops, relay);
        if (!relay_events_init(relay) || !relay->poller || !relay->agenda || !relay->reaper ||
            !relay->hold_timer || !relay->expirer || !relay->link ||
            relay_take_up(relay, handover) < 0) {
                relay_free(relay);
                return -ENOMEM;
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
        agenda_free(relay->agenda);
        if (relay->reaper)
                event_free(relay->reaper);
        if (relay->hold_timer)
                event_free(relay->hold_timer);
        if (relay->expirer)
                event_free(relay->expirer);
        if (relay->tidier)
                event_free(relay->tidier);
        bag_done(&relay->bag);
        spread_done(&relay->spread);
        if (relay->events.timer)
                event_free(relay->events.timer);
        store_done(&relay->store);
        free(relay->free_slots);
        free(relay);
}

void relay_start(struct relay *relay)
{
        relay_resume_hold(relay);
        if (!relay->resumed || !relay->ledger.image->live) {
                relay_apply_fate(relay);
                link_start(relay->link);
                return;
        }
        link_resume(relay->link, relay->upstream);
        relay->upstream = -1;
        link_reconcile(relay->link);
        spread_taken(&relay->spread);
        relay_apply_fate(relay);
}

int relay_configure(struct relay *relay, const struct config *config)
{
        struct client_limits before = relay->class.limits;
        struct client *client, *next;
        int result = link_configure(relay->link, config);

        if (result < 0)
                return result;
        relay->config = config;
        relay->frame = config->frame;
        relay->class.limits = limits_of(config);
        relay_apply_fate(relay);
        limit_partials(relay);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                client_configure(client, &before);
                if (client->fd >= 0)
                        relay_permit(relay, client);
        }
        return 0;
}

/* What does not fill a write goes with what the next turn reads: that brought 10 % of the CPU at
 * 64 K. Returns whether there is such a next turn. */
static bool flush(struct relay *relay)
{
        bool more = relay->more;

        relay->more = false;
        if (more)
                link_flush_early(relay->link);
        else
                link_flush(relay->link);
        return more;
}

bool relay_turn(struct relay *relay)
{
        bool more;

        if (relay->rest_until && (!link_has_plenty(relay) || clock_usec() >= relay->rest_until))
                relay->rest_until = 0;
        if (!TAILQ_EMPTY(&relay->queue))
                resume_clients(relay);
        relay_deliver(relay);
        if (relay->resting && !all_have_plenty(relay)) {
                relay->resting = false;
                link_rest(relay->link, false);
        }
        more = flush(relay);
        if (relay->ledger.acked.image->pos >= relay->flush_at)
                relay_tell_flushed(relay);
        relay_note_drops(relay);
        relay_tell_news(relay);
        return more;
}

static void close_listeners(struct relay *relay)
{
        for (size_t i = 0; i < relay->n_listeners; i++)
                listener_free(relay->listeners[i]);
        relay->n_listeners = 0;
}

/* What clients have sent already is taken still; after that they are not read any more, so that the
 * flush comes to an end. */
static void last_call(struct relay *relay)
{
        struct client *client, *next;

        relay->calling = true;
        relay->rest_until = 0;
        resume_clients(relay);
        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                next = TAILQ_NEXT(client, all);
                if (client->called)
                        continue;
                client->called = true;
                if (!client->waiting)
                        client_resume(client);
                if (next && next->fd < 0) /* what one sends may end another (PartialSize=) */
                        next = TAILQ_FIRST(&relay->all);
        }
}

void relay_stop(struct relay *relay, uint64_t deadline, bool leave)
{
        if (!relay->stopping) {
                close_listeners(relay);
                last_call(relay);
        }
        relay->stopping = true;
        if (leave)
                link_drain(relay->link, deadline);
        else
                link_stop(relay->link, deadline);
}
