/* SPDX-License-Identifier: MIT */
#include "edge/client_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/diag.h"
#include "wire/verdict.h"

enum {
        READ_IOV = 5,
        ROOM_PARTING = 64 * 1024,
        PATIENCE = 20,     /* waits for memory within last calls, of all clients together */
        READS = 4,         /* in a row; then the next client is read, */
        READS_USEC = 1000, /* or after this time */
        EXPLAIN = 256,
};

static void refuse(struct client *client, uint64_t messages, uint64_t bytes)
{
        struct image_totals *totals = &client->class->store->image->totals;

        store_begin(client->class->store);
        store_add(client->class->store, &totals->refused_messages, messages);
        store_add(client->class->store, &totals->refused_bytes, bytes);
        store_commit(client->class->store);
        client->refused_bytes += bytes;
}

void client_drop_partial(struct client *client)
{
        struct store *store = client->class->store;
        uint64_t partial = writer_partial(&client->writer);

        store_begin(store);
        if (partial && client->fd < 0) /* amid client_end(): no successor reads on amid a message */
                store_put(store, &client->image->unplaced, 1);
        writer_done(&client->writer);
        store_commit(store);
        client->partial_since = 0;
        client->class->ops->partial(client->class->context, client);
        if (partial) {
                refuse(client, 1, partial);
                if (client->fd >= 0) /* client_end() has logged the reason otherwise */
                        diag_info("%s: %" PRIu64
                                  " bytes of a message that it did not finish are discarded",
                                  client_name(client), partial);
        }
}

static void sends_no_more(struct client *client)
{
        client->ended = true;
        client_want(client, POLLER_READ, false);
        client_drop_partial(client);
        if (client->hung || !client->image->reading)
                client_end_closed(client);
}

void client_set_unplaced(struct client *client)
{
        client->unplaced = true;
        store_set(&client->image->unplaced, 1);
}

/* The host has no memory for a read: the client is read again after a moment, which does not count
 * as the client's. */
static void read_later(struct client *client)
{
        client->short_read = true;
        client->last_byte = clock_usec();
        client_want(client, POLLER_READ, false);
        client_look_after(client, client->last_byte);
}

/* A read brought no byte: the client sends no more, or there is none now. `got` is the result. */
static void read_nothing(struct client *client, ssize_t got)
{
        if (got < 0 && socket_is_short(errno))
                read_later(client);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
                sends_no_more(client);
}

/* Reads and discards the bytes of a client without permission to send, which must not block. */
static void discard(struct client *client)
{
        char bytes[65536];
        bool first = !client->unplaced;
        ssize_t got;
        int there;

        if (first && ioctl(client->fd, FIONREAD, &there) == 0 && there > 0)
                client_set_unplaced(client); /* before the read: a successor may permit sending */
        got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got > 0) {
                if (first)
                        diag_warning("%s: may not send (Senders=): what it sends is discarded",
                                     client_name(client));
                refuse(client, first ? 1 : 0, (uint64_t)got);
                client_set_unplaced(client);
        } else {
                read_nothing(client, got);
        }
}

static void framing_broken(struct client *client, const struct log_taken *taken)
{
        unsigned char first[EXPLAIN];
        size_t n = writer_peek(&client->writer, first, sizeof(first));
        char why[320];

        verdict_text(client->writer.turn->log->spec, taken->result, taken->declared, first, n, why,
                     sizeof(why));
        client_end(client, DROP_CLIENT_GONE, false, why);
}

void client_end_unfinished(struct client *client, uint64_t now)
{
        unsigned char first[EXPLAIN];
        size_t n = writer_peek(&client->writer, first, sizeof(first));
        char why[320];

        verdict_unfinished(client->writer.turn->log->spec, writer_partial(&client->writer),
                           client->writer.total, now - client->last_byte, first, n, why,
                           sizeof(why));
        client_end(client, DROP_CLIENT_GONE, false, why);
}

void client_take(struct client *client, size_t got)
{
        uint64_t before = writer_partial(&client->writer), partial;
        uint64_t messages = client->image->accepted_messages;
        struct log_taken taken;

        client->last_byte = clock_usec();
        if (client->image->rx_read + got >= client->rx_count_at)
                client->rx_count_at =
                        client_rx_count_go_on(client->fd, client->image->rx_read + got);
        taken = turn_take(&client->writer, got, client->last_byte);
        partial = writer_partial(&client->writer);
        if (!partial) {
                client->partial_since = 0;
        } else if (!before || client->image->accepted_messages != messages) {
                client->partial_since = client->last_byte;
                client_look_after(client, client->last_byte);
        }
        client->class->ops->partial(client->class->context, client);
        if (taken.messages)
                client->class->ops->accepted(client->class->context, client, &taken);
        if (client->fd < 0)
                return;
        if (taken.no_memory)
                client_end(client, DROP_CLIENT_GONE, false, "no memory for what it sent");
        else if (taken.result == FRAME_TOO_LARGE || taken.result == FRAME_BROKEN)
                framing_broken(client, &taken);
        else if (!client->probed)
                client_probe(client, client->last_byte);
}

bool client_read_once(struct client *client)
{
        struct iovec iov[READ_IOV];
        size_t room, want = 0;
        ssize_t got;
        int n;

        if (client->receive_only) {
                discard(client);
                return false;
        }
        room = client->parting ? ROOM_PARTING
                               : client->class->ops->room(client->class->context, client);
        if (!room) {
                client_want(client, POLLER_READ, false);
                return false;
        }
        n = turn_room(&client->writer, room, iov, READ_IOV);
        if (n == 0) {
                client_end(client, DROP_CLIENT_GONE, false, "no memory for what it sends");
                return false;
        }
        for (int i = 0; i < n; i++)
                want += iov[i].iov_len;
        got = readv(client->fd, iov, n);
        if (got > 0)
                client_take(client, (size_t)got);
        else
                read_nothing(client, got);
        return got == (ssize_t)want && client->fd >= 0 && !client->ended;
}

void client_read(struct client *client)
{
        uint64_t messages = client->image->accepted_messages, first = 0;
        int n = 0;

        /* A read sets last_byte: the clock is not read again. */
        while (n < READS && client_read_once(client)) {
                if (!n++)
                        first = client->last_byte;
                else if (client->last_byte - first >= READS_USEC)
                        break;
        }
        /* Only after whole messages: a large partial message must not delay the link's writes. */
        if (n > 0 && client->image->accepted_messages != messages)
                client->class->ops->more(client->class->context);
}

void client_read_on(struct client *client)
{
        if (client->fd < 0 || client->ended)
                return;
        client->last_byte = clock_usec(); /* the pause was ftcpd's */
        client_want(client, POLLER_READ, true);
        client_look_after(client, client->last_byte);
        client_read(client);
}

/* Where the host had no memory for a read, waits a moment for it: a last call comes once. */
static bool wait_for_memory(const struct client *client)
{
        static int patience = PATIENCE;

        return client->fd >= 0 && client->short_read && patience-- > 0 &&
               usleep(SOCKET_RETRY_USEC) == 0;
}

/* Returns the number of bytes that were ever read, taken or discarded. */
static uint64_t all_read(const struct client *client)
{
        return client->image->rx_read + client->refused_bytes;
}

void client_call(struct client *client)
{
        int there = 0;
        uint64_t end, before;

        if (client->fd < 0 || client->ended || ioctl(client->fd, FIONREAD, &there) < 0 || there < 0)
                return;
        end = all_read(client) + (uint64_t)there;
        /* A read ends at an urgent byte, too: only a read without any byte is the last. */
        do {
                before = all_read(client);
                client->short_read = false;
                client_read_once(client);
        } while (client->fd >= 0 && !client->ended && all_read(client) < end &&
                 (all_read(client) > before || wait_for_memory(client)));
}
