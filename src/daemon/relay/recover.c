/* SPDX-License-Identifier: MIT */
/* Recovers the state of a predecessor, and keeps the state for a successor. */
#include "daemon/relay/relay_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/catalog.h"
#include "flow/fingerprint.h"
#include "flow/recover.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/units.h"

enum { TIDY_USEC = 100000, SETTLE_USEC = 200000, STARTS_MOST = 5 };

#define STARTS_USEC (600 * USEC_PER_SEC)

/* ---- the state ---- */

/* Counts the messages that wait for the upstream in a sound state of another frame. */
static struct count waiting(struct store *store, const struct frame_spec *spec)
{
        struct books books = {0};
        struct ledger ledger;
        struct log out;

        log_init(&out, store, &store->image->out, spec);
        ledger_init(&ledger, &out, true);
        ledger_books(&ledger, &books);
        return books.queued;
}

static const char *other_frame(struct relay *relay)
{
        static char text[192];
        struct frame_spec spec;
        struct count lost;

        if (!fingerprint_frame_of(relay->store.image, &spec) || recover_image(&relay->store, &spec))
                return "[Frame] has changed";
        lost = waiting(&relay->store, &spec);
        snprintf(text, sizeof(text),
                 "[Frame] has changed; %s (%" PRIu64 " bytes) that waited for the upstream %s lost",
                 units_messages(lost.messages).text, lost.bytes, lost.messages == 1 ? "is" : "are");
        return text;
}

/* Counts a start that has not become ready yet. A state whose recovery kills or hangs ftcpd would
 * do so for ever: after STARTS_MOST such starts within STARTS_USEC, returns a static text, why the
 * state can't be used; NULL: the state may be tried. */
static const char *count_start(struct image *image)
{
        static char text[80];
        uint64_t now = clock_usec(), since = image->starts_since;
        char first[16] = "?";
        struct tm local;
        time_t wall;

        if (!image->starts || since > now || now - since > STARTS_USEC) {
                store_set(&image->starts, 0); /* first: a crash must leave no old count */
                store_set(&image->starts_since, now);
        }
        if (image->starts < STARTS_MOST) {
                store_set(&image->starts, image->starts + 1);
                return NULL;
        }
        wall = (time_t)((clock_wall_usec() - (now - since)) / USEC_PER_SEC);
        if (localtime_r(&wall, &local))
                strftime(first, sizeof(first), "%H:%M", &local);
        snprintf(text, sizeof(text), "%d starts in a row since %s never became ready", STARTS_MOST,
                 first);
        return text;
}

void relay_forget_starts(struct relay *relay)
{
        if (relay->store.image->starts)
                store_set(&relay->store.image->starts, 0);
}

/* Opens the predecessor's state. *wrong is the reason, static, why the state can't be used; NULL:
 * the state is used. Returns 0, or a negative errno if the state can't be judged now. */
static int open_left(struct relay *relay, struct handover *handover, const char **wrong)
{
        int result;

        *wrong = "there are not all of the bags";
        for (int i = 0; i < FD_BAG_ENDS; i++)
                if (handover->fd_bag[i] < 0)
                        return 0;
        *wrong = "it is none, or one of another version";
        result = store_open(&relay->store, handover->state);
        handover->state = -1;
        if (result < 0)
                return result == -EPROTO ? 0 : result;
        *wrong = count_start(relay->store.image);
        if (!*wrong)
                *wrong = fingerprint_frame_is(relay->store.image, &relay->frame)
                                 ? recover_image(&relay->store, &relay->frame)
                                 : other_frame(relay);
        result = *wrong && relay->store.starved ? -ENOMEM : 0;
        if (*wrong)
                store_done(&relay->store);
        return result;
}

static int open_new(struct relay *relay)
{
        int result = store_init(&relay->store);

        if (result == 0) {
                fingerprint_frame(relay->store.image, &relay->frame);
                store_set(&relay->store.image->totals.admitted, 1); /* id 0 plus one: none yet */
        }
        return result;
}

int relay_open(struct relay *relay, struct handover *handover)
{
        bool left = handover->state >= 0;
        const char *wrong = NULL;
        int result;

        relay->keeps = service_keeps();
        if (left) {
                result = open_left(relay, handover, &wrong);
                relay->recovered = result == 0 && !wrong;
                if (result < 0 || relay->recovered)
                        return result;
                diag_event(LOG_ERR, diag_facts(.id = CATALOG_REFUSED),
                           "the state of the last run is not used, and its connections are ended: "
                           "%s",
                           wrong);
        } else if (handover_has_leftovers(handover)) {
                diag_event(LOG_ERR, diag_facts(.id = CATALOG_REFUSED),
                           "the state of the last run is not there, and its connections are ended");
        }
        handover_refuse(handover);
        if (left && relay->keeps)
                service_forget("state");
        return open_new(relay);
}

/* ---- the clients ---- */

struct found {
        struct relay *relay;
        int *fd; /* by slot; -1: none */
};

static void on_found(void *context, const struct fd_bag_client *entry)
{
        struct found *found = context;
        const struct image *image = found->relay->store.image;

        if (entry->slot < image->totals.client_slots &&
            image->client[entry->slot].id == entry->id && found->fd[entry->slot] < 0) {
                found->fd[entry->slot] = entry->fd;
                return;
        }
        /* The client has left, or was not admitted yet: see relay_recover_door(). */
        shutdown(entry->fd, SHUT_RDWR);
        close(entry->fd);
}

/* Returns a connection whose other end is closed, in place of a lost descriptor; -1: an error. */
static int ended_socket(void)
{
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
                return -1;
        close(ends[1]);
        return ends[0];
}

/* Exits because the state can't be recovered as a whole. The service manager forgets the state; the
 * successor ends the connections and begins anew. */
static _Noreturn void exit_without_state(struct relay *relay)
{
        diag_err("the state of the last run is given up: there are not enough descriptors "
                 "(LimitNOFILE=) or memory to go on with it");
        close(relay->store.fd); /* service_forget() needs a descriptor */
        service_forget("state");
        diag_settle(SETTLE_USEC);
        _exit(EXIT_FAILURE);
}

static void recover_client(struct relay *relay, uint32_t slot, int fd)
{
        struct client_setup setup;
        struct client *client;

        if (fd < 0)
                fd = ended_socket();
        if (fd < 0 || !spread_room(&relay->spread))
                exit_without_state(relay);
        setup = relay_client_setup(relay, fd);
        setup.slot = slot;
        setup.id = relay->store.image->client[slot].id;
        client = client_recover(&setup);
        if (!client)
                exit_without_state(relay);
        TAILQ_INSERT_TAIL(&relay->all, client, all);
        relay->n_clients++;
        relay_introduce(relay, client);
}

static int by_id(const void *a, const void *b)
{
        uint64_t x = (*(struct client *const *)a)->id, y = (*(struct client *const *)b)->id;

        return (x > y) - (x < y);
}

/* Puts the clients, recovered in the order of their slots, into the order in which they came. */
static void sort_clients(struct relay *relay)
{
        struct client **sorted = calloc(relay->n_clients + 1, sizeof(struct client *));
        struct client *client;
        size_t n = 0;

        if (!sorted)
                exit_without_state(relay);
        while ((client = TAILQ_FIRST(&relay->all))) {
                TAILQ_REMOVE(&relay->all, client, all);
                sorted[n++] = client;
        }
        qsort(sorted, n, sizeof(*sorted), by_id);
        for (size_t i = 0; i < n; i++)
                TAILQ_INSERT_TAIL(&relay->all, sorted[i], all);
        free(sorted);
}

/* Counts and lists the partial messages of all clients. */
static void list_partials(struct relay *relay)
{
        struct client *client;

        TAILQ_FOREACH(client, &relay->all, all)
        if (client->partial_since)
                relay_on_partial(relay, client);
}

/*
 * Reconciles each client with the kernel's counters. Clients to which a send was under way end, and
 * come first: otherwise messages that another ending client leaves could be dealt to such a client,
 * into the middle of the send. PartialSize= is kept afterwards: an end amid the walk would be the
 * end of another client than the walk is at.
 */
static void reconcile_clients(struct relay *relay)
{
        struct client *client, *next;

        relay->reconciling = true;
        list_partials(relay);
        for (int pass = 0; pass < 2; pass++) {
                for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                        next = TAILQ_NEXT(client, all);
                        if (pass || client->image->sending)
                                client_reconcile(client);
                }
        }
        relay->reconciling = false;
        relay_limit_partials(relay);
}

/* Recovers all clients of the table. Returns how many clients lost their descriptor. */
static size_t recover_clients(struct relay *relay)
{
        const struct image *image = relay->store.image;
        uint32_t slots = (uint32_t)image->totals.client_slots;
        struct found found = {relay, calloc(slots + 1, sizeof(int))};
        size_t lost = 0;

        if (!found.fd || !relay_slot_room(relay, slots))
                exit_without_state(relay);
        memset(found.fd, -1, (slots + 1) * sizeof(int));
        fd_bag_walk(&relay->fd_bag, on_found, &found);
        for (uint32_t slot = 0; slot < slots; slot++) {
                if (image->client[slot].id) {
                        lost += found.fd[slot] < 0;
                        recover_client(relay, slot, found.fd[slot]);
                } else {
                        relay->free_slots[relay->n_free_slots++] = slot;
                }
        }
        free(found.fd);
        sort_clients(relay);
        if (lost)
                diag_warning(
                        "%zu clients of the last run are lost: their descriptors were not kept",
                        lost);
        relay_settle_spread(relay);
        reconcile_clients(relay);
        relay_apply_spread(relay);
        return lost;
}

/* ---- for a successor ---- */

static bool next_client(void *context, uint64_t *at, struct fd_bag_client *entry)
{
        struct relay *relay = context;
        struct client *client =
                *at ? TAILQ_NEXT((struct client *)(uintptr_t)*at, all) : TAILQ_FIRST(&relay->all);

        if (!client)
                return false;
        *at = (uint64_t)(uintptr_t)client;
        *entry = (struct fd_bag_client){client->writer.slot, client->id, client->fd};
        return true;
}

static const struct fd_bag_ops fd_bag_ops = {next_client};

void relay_forget(struct relay *relay, struct client *client)
{
        struct timeval soon = {0, TIDY_USEC};

        if (!relay->keeps)
                return;
        fd_bag_forget(&relay->fd_bag);
        if (!(client && client->hung) && !evtimer_pending(relay->tidier, NULL))
                evtimer_add(relay->tidier, &soon); /* the socket lives while a copy is left */
}

bool relay_is_recovered(const struct relay *relay)
{
        return relay->recovered;
}

uint64_t relay_unkept(const struct relay *relay)
{
        return relay->fd_bag.missed;
}

static void on_tidier(evutil_socket_t fd, short what, void *arg)
{
        struct relay *relay = arg;

        (void)fd;
        (void)what;
        fd_bag_tidy(&relay->fd_bag);
}

/* Drops before the restart are not new to health. */
static void know_drops(struct relay *relay)
{
        const struct image_totals *totals = &relay->store.image->totals;

        relay->noted = totals->out_dropped[DROP_NOT_RESENT][0] +
                       totals->in_dropped[DROP_QUEUE_FULL][0] +
                       totals->in_dropped[DROP_HOLD_FULL][0];
}

static void recover_state(struct relay *relay, struct handover *handover)
{
        const struct image *image = relay->store.image;
        uint64_t epoch = image->session.epoch;
        size_t lost;

        fd_bag_recover(&relay->fd_bag, &relay->store.image->fd_bag, handover->fd_bag, &fd_bag_ops,
                       relay);
        memset(handover->fd_bag, -1, sizeof(handover->fd_bag));
        if (image->session.live)
                relay->upstream = handover_upstream(handover, epoch);
        if (image->session.lingers)
                relay->lingering = handover_upstream(handover, image->session.lingers);
        relay->was_open = image->session.live && image->session.up_since &&
                          image->session.unheard <= LEDGER_UNHEARD;
        relay->was_up = relay->was_open && !image->session.unheard;
        relay->turn.discard = !relay->was_open && relay->config->when_down == DOWN_DISCARD;
        know_drops(relay);
        relay_recover_door(relay);
        lost = recover_clients(relay);
        relay->spread.news = true;
        diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_TAKEN_OVER),
                   "the state of the last run is taken over (clients: %zu, bytes waiting for the "
                   "upstream: %" PRIu64 ")",
                   relay->n_clients - lost, relay_queued_bytes(relay));
        relay_tell(relay, EVENT_SERVICE, "the state of the last run is taken over (clients: %zu)",
                   relay->n_clients - lost);
}

int relay_recover(struct relay *relay, struct handover *handover)
{
        int result;

        relay->fd_bag = (struct fd_bag){.end = {-1, -1, -1, -1}};
        relay->tidier = evtimer_new(relay->base, on_tidier, relay);
        if (!relay->tidier)
                return -ENOMEM;
        if (relay->recovered)
                recover_state(relay, handover);
        if (relay->recovered || !relay->keeps)
                return 0;
        result = fd_bag_init(&relay->fd_bag, &relay->store.image->fd_bag, &fd_bag_ops, relay);
        if (result < 0)
                return result;
        handover_keep_bag(&relay->fd_bag);
        handover_keep_state(relay->store.fd); /* last: the others need the state */
        return 0;
}
