/* SPDX-License-Identifier: MIT */
#include "edge/client_internal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/catalog.h"
#include "util/clock.h"
#include "util/diag.h"

enum {
        PROBE_USEC = 100000, /* from accept to trust; between tests whether a slow client reads */
};

/* ---- events ---- */

static struct client *client_of(struct polled *polled)
{
        return (struct client *)((char *)polled - offsetof(struct client, polled));
}

static void on_readable(struct polled *polled)
{
        client_read(client_of(polled));
}

static void on_writable(struct polled *polled)
{
        struct client *client = client_of(polled);
        uint64_t now = clock_usec();

        client_write(client, now);
        if (client->fd >= 0 && client->over)
                client_check(client, now);
}

static void on_gone(struct polled *polled)
{
        client_end_hung(client_of(polled));
}

const struct poller_ops client_poller_ops = {on_readable, on_writable, on_gone};

void client_want(struct client *client, unsigned what, bool wanted)
{
        unsigned wants = wanted ? client->polled.wants | what : client->polled.wants & ~what;

        poller_want(client->class->poller, &client->polled, wants);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
        return !a || (b && b < a) ? b : a;
}

/* Returns when the next check of the client could be due; 0: never. */
static uint64_t due_at(const struct client *client, uint64_t now)
{
        uint64_t at = 0;

        if (!client->settled)
                at = client->image->since + PROBE_USEC;
        else if (client->over)
                at = client->probed + PROBE_USEC; /* all other clients wait for this client */
        if (client->blocked && client->class->limits.stall_usec)
                at = earliest(at, client->last_progress + client->class->limits.stall_usec);
        if (client->charged && client_credit_end(client, now) < UINT64_MAX)
                at = earliest(at, client_credit_end(client, now) + 1);
        if (client->partial_since && client->class->limits.frame_usec && !client->waiting)
                at = earliest(at, client->last_byte + client->class->limits.frame_usec);
        if (client->short_read || client->short_write)
                at = earliest(at, now + SOCKET_RETRY_USEC);
        return earliest(at, client_heartbeat_at(client));
}

void client_look_after(struct client *client, uint64_t now)
{
        uint64_t at = due_at(client, now);

        if (at && at < now)
                at = now;
        if (!at || client->fd < 0 || (client->due.at && client->due.at <= at))
                return;
        deadlines_set(client->class->deadlines, &client->due, at);
}

/* Tests whether the client still reads. The kernel reports a Unix socket as writable only when
 * three quarters of its buffer are free: a write shows earlier that a client takes a little at a
 * time, or shut down its reading side. */
static void ask(struct client *client, uint64_t now)
{
        if (!client->blocked) {
                client_probe(client, now);
                return;
        }
        client->probed = now;
        client_write(client, now);
        if (client->fd >= 0 && client->over)
                client_check(client, now);
}

/* With heartbeats, a settled client is due every now and then, and their send tells as much. */
static bool is_to_ask(const struct client *client)
{
        return !client->settled || client->over || client->blocked || !client->class->heartbeat;
}

/* A client that is connected for PROBE_USEC and still reads is trusted with the backlog. Waiting
 * clients are trusted in the order of their connection: an earlier client is due at the same moment
 * and goes first. */
static void settle(struct client *client, uint64_t now)
{
        if (client->settled || now < client->image->since + PROBE_USEC ||
            (client->image->reading && !reader_is_next(&client->reader)))
                return;
        client->settled = true;
        if (client->image->reading)
                client_trust(client, now);
}

/* Tries again to read for which the host had no memory. The write that had none follows in ask().
 */
static void retry(struct client *client)
{
        if (client->short_write && client->blocked)
                client_want(client, POLLER_WRITE, true);
        client->short_write = false;
        if (!client->short_read)
                return;
        client->short_read = false;
        if (client->ended)
                return;
        client_want(client, POLLER_READ, true);
        client_read(client);
}

static bool is_unfinished(const struct client *client, uint64_t now)
{
        return client->partial_since && client->class->limits.frame_usec && !client->waiting &&
               now >= client->last_byte + client->class->limits.frame_usec;
}

void client_due(struct due *due, uint64_t at)
{
        struct client *client = (struct client *)((char *)due - offsetof(struct client, due));
        uint64_t now = clock_usec();
        char why[128];

        client_beat(client, now); /* before a stall of ftcpd is made up for */
        if (client->fd < 0)
                return;
        client_overslept(client, at, now);
        retry(client);
        if (client->fd >= 0 && is_to_ask(client))
                ask(client, now);
        if (client->fd >= 0)
                settle(client, now);
        if (client->fd >= 0 && is_unfinished(client, now))
                client_read_once(client); /* bytes may have come during a stall of ftcpd */
        if (client->fd < 0)
                return;
        if (client->blocked && client->class->limits.stall_usec &&
            now >= client->last_progress + client->class->limits.stall_usec) {
                snprintf(why, sizeof(why),
                         "messages wait and it took no byte for %.3gs (ClientStallTimeout=)",
                         (double)(now - client->last_progress) / 1e6);
                client_owe(client, now);
                client_end(client, DROP_QUEUE_FULL, false, why);
        } else if (now > client_credit_end(client, now)) {
                client_end_too_slow(client);
        } else if (is_unfinished(client, now)) {
                client_end_unfinished(client, now);
        }
        client_look_after(client, now);
}

/* ---- life ---- */

void client_leave(struct client *client, const char *why)
{
        if (client->fd < 0 || client->leaving)
                return;
        client->leaving = why;
        client->ended = true;
        client_want(client, POLLER_READ, false);
        client_drop_partial(client);
        if (reader_leave(&client->reader) < 0)
                client_deafen(client, DROP_CLIENT_GONE);
        client_write(client, clock_usec());
        if (client->fd >= 0 && !client->image->reading)
                client_end(client, DROP_CLIENT_GONE, false, why);
}

void client_configure(struct client *client)
{
        uint64_t now = clock_usec();

        client_charge(client, now);
        client_check(client, now);
        if (client->fd >= 0)
                client_look_after(client, now);
}

void client_permit(struct client *client, bool may_send)
{
        if (client->receive_only != may_send)
                return;
        client->receive_only = !may_send;
        diag_notice("%s: may %s (Senders=)", client_name(client),
                    may_send ? "send from now on" : "only receive from now on");
        if (!may_send && writer_partial(&client->writer)) {
                client_set_unplaced(client);
                client_drop_partial(client);
        }
}

static void fill_slot(struct client *client, const struct client_setup *setup)
{
        struct image_client *image = client->image;
        struct store *store = client->class->store;

        store_begin(store);
        store_put(store, &image->since, client->credit.at);
        store_put(store, &image->unplaced, 0);
        store_put(store, &image->inherited, 0);
        store_put(store, &image->partial_since, 0);
        store_put(store, &image->rx_read, 0);
        store_put(store, &image->sending, 0);
        store_put(store, &image->aside.data.head, 0);
        store_put(store, &image->aside.data.tail, 0);
        store_put(store, &image->aside.base, 0);
        store_put(store, &image->accepted_messages, 0);
        store_put(store, &image->accepted_bytes, 0);
        store_put(store, &image->dropped_messages, 0);
        store_put(store, &image->dropped_bytes, 0);
        reader_join(&client->reader, client->class->spread, image);
        store_put(store, &image->id, setup->id);
        store_commit(store);
}

static struct client *make(const struct client_setup *setup)
{
        const struct client_class *class = setup->class;
        struct client *client = calloc(1, sizeof(*client));
        uint64_t now = clock_usec();
        int result;

        if (!client)
                return NULL;
        *client = (struct client){.class = class,
                                  .image = &class->store->image->client[setup->slot],
                                  .fd = setup->fd,
                                  .id = setup->id,
                                  .local = setup->local,
                                  .uid = SOCKET_NO_UID,
                                  .gid = SOCKET_NO_GID,
                                  .credit = {.left = UINT64_MAX, .at = now},
                                  .heartbeat_from = now};
        socket_keep_in_line(client->fd); /* a predecessor may have been of an earlier build */
        if (!deadlines_add(class->deadlines, &client->due)) {
                free(client);
                return NULL;
        }
        result = poller_add(class->poller, &client->polled, setup->fd, POLLER_READ);
        if (result < 0) {
                deadlines_remove(class->deadlines, &client->due);
                free(client);
                errno = -result;
                return NULL;
        }
        return client;
}

struct client *client_new(const struct client_setup *setup)
{
        struct client *client = make(setup);

        if (!client)
                return NULL;
        if (client->local) {
                client_rx_count_begin(client->fd);
                client->rx_count_at = client_rx_count_go_on(client->fd, 0);
        } else {
                client->rx_count_at = UINT64_MAX;
        }
        fill_slot(client, setup);
        writer_init(&client->writer, setup->class->turn, setup->slot);
        client_look_after(client, client->credit.at);
        return client;
}

/* Returns when the partial message of a recovered client began: not before the client connected,
 * and not in the future. */
static uint64_t recovered_partial_since(const struct client *client)
{
        const struct image_client *image = client->image;
        uint64_t since = image->partial_since > image->since ? image->partial_since : image->since;

        if (since > client->credit.at)
                since = client->credit.at;
        return since ? since : 1;
}

struct client *client_recover(const struct client_setup *setup)
{
        struct client *client = make(setup);
        struct image_client *image;

        if (!client)
                return NULL;
        image = client->image;
        client->unplaced = image->unplaced;
        client->send_only = image->reading == READER_NONE;
        if (image->since > client->credit.at)
                store_set(&image->since, client->credit.at); /* no time lies in the future */
        client->last_byte = client->credit.at;
        client->heartbeat_from = 0; /* the predecessor may have ended when one was almost due */
        if (image->reading == READER_LEAVING) {
                client->leaving = "the link was lost";
                client->ended = true;
                client_want(client, POLLER_READ, false);
        }
        if (image->reading)
                reader_recover(&client->reader, setup->class->spread, image);
        writer_init(&client->writer, setup->class->turn, setup->slot);
        if (writer_partial(&client->writer))
                client->partial_since = recovered_partial_since(client);
        client->rx_count_at = 0;
        return client;
}

/* A crash cut a send to the client short. What the client wrote before is still read: its program
 * counts on it. From here on the program can write no more to a Unix socket. */
static void end_cut_short(struct client *client)
{
        shutdown(client->fd, SHUT_RD);
        client->parting = true;
        client_call(client);
        client_end(client, DROP_CLIENT_GONE, false,
                   "ftcpd ended while it sent to it, and nobody knows how much of that it has");
}

void client_reconcile(struct client *client)
{
        uint64_t taken = client->image->rx_read;
        uint64_t read = client_rx_count_read(client->fd, client->local, taken);

        client->last_progress = clock_usec();
        client->rx_count_at = client->local ? client_rx_count_go_on(client->fd, read) : UINT64_MAX;
        client->last_byte = client->last_progress;
        if (client->receive_only && (read > taken || writer_partial(&client->writer))) {
                client_set_unplaced(client);
                client_drop_partial(client);
        } else if (read > taken && !client->unplaced) {
                client_take(client, (size_t)(read - taken));
        }
        if (client->fd >= 0 && client->image->sending)
                end_cut_short(client);
        if (client->fd >= 0)
                client_look_after(client, client->last_progress);
}

void client_end(struct client *client, enum drop_reason drop, bool quiet, const char *why)
{
        int fd = client->fd;

        if (fd < 0)
                return;
        if (quiet)
                diag_debug("%s: %s", client_name(client), why);
        else
                diag_event(LOG_WARNING,
                           diag_facts(.id = CATALOG_CLIENT_ENDED, .client = client->id),
                           "%s is disconnected: %s", client_name(client), why);
        client->fd = -1;
        client_charge(client, clock_usec());
        poller_remove(client->class->poller, &client->polled);
        deadlines_remove(client->class->deadlines, &client->due);
        client_drop_partial(client);
        client_deafen(client, drop);
        store_set(&client->image->id, 0);
        shutdown(fd, SHUT_RDWR); /* close() alone does not end it: an fd_bag may keep a copy */
        close(fd);
        client->class->ops->gone(client->class->context, client, quiet, why);
}

void client_free(struct client *client)
{
        if (client->fd >= 0) {
                deadlines_remove(client->class->deadlines, &client->due);
                close(client->fd);
        }
        if (!client->local)
                free(client->who.address);
        free(client);
}
