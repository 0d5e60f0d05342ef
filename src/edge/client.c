/* SPDX-License-Identifier: MIT */
#include "edge/client.h"
#include "edge/timer.h"
#include "util/clock.h"
#include "util/diag.h"
#include "wire/verdict.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
        READ_IOV = 5,
        WRITE_SIZE = 1024 * 1024,
        WRITE_IOV = 18,
        PROBE_USEC = 100000, /* so long after it came it is asked whether it reads at all */
        REFILL = 20,         /* credit comes back at 5 % of real time */
        EXPLAIN = 256,
};

static void look_after(struct client *client, uint64_t now);

static const char *name(const struct client *client)
{
        static char text[160];

        if (client->local)
                snprintf(text, sizeof(text), "client %" PRIu64 " (%s, pid %d, uid %u)", client->id,
                         client->program[0] ? client->program : "?", (int)client->pid,
                         (unsigned)client->uid);
        else
                snprintf(text, sizeof(text), "client %" PRIu64 " (%s)", client->id, client->peer);
        return text;
}

/* ---- to the client ---- */

static void add_dropped(struct client *client, enum drop_reason reason, struct count count)
{
        struct image_totals *totals = &client->store->image->totals;

        store_add(client->store, &totals->in_dropped[reason][0], count.messages);
        store_add(client->store, &totals->in_dropped[reason][1], count.bytes);
}

/* Nothing goes to it any more: what was delivered and what waited moves over to the totals. */
static void stop_reading_log(struct client *client, enum drop_reason reason)
{
        struct image_totals *totals = &client->store->image->totals;
        struct count done, queued;

        if (!client->image->reading)
                return;
        done = cursor_delivered(&client->cursor);
        queued = cursor_queued(&client->cursor);
        store_begin(client->store);
        store_add(client->store, &totals->in_done_messages, done.messages);
        store_add(client->store, &totals->in_done_bytes, done.bytes);
        store_add(client->store, &totals->in_messages, done.messages + queued.messages);
        store_add(client->store, &totals->in_bytes, done.bytes + queued.bytes);
        add_dropped(client, reason, queued);
        store_put(client->store, &client->image->gone_messages, done.messages);
        store_put(client->store, &client->image->gone_bytes, done.bytes);
        store_put(client->store, &client->image->reading, 0);
        cursor_done(&client->cursor);
        store_commit(client->store);
        if (client->blocked)
                event_del(client->writable);
        client->blocked = false;
        if (client->over) {
                client->over = false;
                client->ops->over(client->context, client, false);
        }
        client->ops->deaf(client->context, client, reason, queued);
        if (queued.messages)
                diag_info("%s: %" PRIu64 " messages (%" PRIu64
                          " bytes) were waiting for it and are dropped (%s)",
                          name(client), queued.messages, queued.bytes, drop_reason_name(reason));
}

/* It shut down its reading side: it only sends from here on, and if it had stopped sending too,
 * that is its end. */
static void is_deaf(struct client *client)
{
        if (!client->hung)
                client->send_only = true;
        stop_reading_log(client, DROP_CLIENT_GONE);
        if (client->ended)
                client_end(client, DROP_CLIENT_GONE, true, "closed");
}

void client_hung(struct client *client)
{
        client->hung = true;
        stop_reading_log(client, DROP_CLIENT_GONE);
        if (client->ended)
                client_end(client, DROP_CLIENT_GONE, true, "closed");
}

/* Its shutdown of the reading side raises no event. */
static void probe(struct client *client, uint64_t now)
{
        client->probed = now;
        if (client->image->reading && send(client->fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno == EPIPE)
                is_deaf(client);
}

static void set_blocked(struct client *client, bool blocked, uint64_t now)
{
        if (blocked == client->blocked)
                return;
        client->blocked = blocked;
        if (blocked) {
                client->last_taken = now;
                event_add(client->writable, NULL);
                look_after(client, now);
        } else {
                event_del(client->writable);
        }
}

void client_flush(struct client *client, uint64_t now)
{
        while (client->image->reading) {
                struct iovec iov[WRITE_IOV];
                int n = cursor_gather(&client->cursor, WRITE_SIZE, iov, WRITE_IOV);
                struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};
                size_t size = 0;
                ssize_t sent;

                if (n == 0) {
                        set_blocked(client, false, now);
                        return;
                }
                for (int i = 0; i < n; i++)
                        size += iov[i].iov_len;
                /* The one thing that no counter of the kernel tells afterwards is how much of this
                 * was sent. */
                store_set(&client->image->sending, 1);
                sent = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
                store_begin(client->store);
                store_put(client->store, &client->image->sending, 0);
                if (sent > 0)
                        cursor_advance(&client->cursor, (uint64_t)sent);
                store_commit(client->store);
                if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                        is_deaf(client);
                        return;
                }
                if (sent > 0)
                        client->last_taken = now;
                if (sent < (ssize_t)size) {
                        set_blocked(client, true, now);
                        return;
                }
        }
}

/* ---- its limit ---- */

/* A queue that was empty takes any one message. */
static bool is_beyond(const struct client *client)
{
        if (!client->image->reading || cursor_waiting(&client->cursor) <= client->limits.queue_size)
                return false;
        return cursor_queued(&client->cursor).messages > 1;
}

static void settle_credit(struct client *client, uint64_t now)
{
        uint64_t grace = client->limits.grace_usec, refill = (now - client->credit_at) / REFILL;

        client->credit_usec =
                refill >= grace - (client->credit_usec < grace ? client->credit_usec : grace)
                        ? grace
                        : client->credit_usec + refill;
        client->credit_at = now;
}

void client_check(struct client *client, uint64_t now)
{
        bool over = is_beyond(client);

        if (over == client->over)
                return;
        if (over) {
                settle_credit(client, now);
                client->over_since = now;
        } else {
                uint64_t used = client->limits.slow == SLOW_WAIT ? 0 : now - client->over_since;

                client->credit_usec = used < client->credit_usec ? client->credit_usec - used : 0;
                client->credit_at = now;
        }
        client->over = over;
        client->ops->over(client->context, client, over);
        if (client->fd >= 0)
                look_after(client, now);
}

static void too_slow(struct client *client)
{
        char why[160];

        snprintf(why, sizeof(why),
                 "too slow: %" PRIu64 " bytes were waiting for it (ClientQueueSize=%" PRIu64
                 ") and its SlowClientGrace= is used up",
                 cursor_waiting(&client->cursor), client->limits.queue_size);
        client_end(client, DROP_QUEUE_FULL, false, why);
}

/* ---- from the client ---- */

static void refuse(struct client *client, uint64_t messages, uint64_t bytes)
{
        struct image_totals *totals = &client->store->image->totals;

        store_begin(client->store);
        store_add(client->store, &totals->refused_messages, messages);
        store_add(client->store, &totals->refused_bytes, bytes);
        store_commit(client->store);
        client->refused = count_add(client->refused, (struct count){messages, bytes});
}

static void drop_partial(struct client *client)
{
        uint64_t partial = writer_partial(&client->writer);

        writer_done(&client->writer);
        client->partial_since = 0;
        client->ops->partial(client->context, client, partial);
        if (partial) {
                refuse(client, 1, partial);
                if (client->fd >= 0) /* else its end has been told, with the reason */
                        diag_info("%s: %" PRIu64
                                  " bytes of a message that it did not finish are discarded",
                                  name(client), partial);
        }
}

static void sends_no_more(struct client *client)
{
        client->ended = true;
        event_del(client->readable);
        drop_partial(client);
        if (client->hung || !client->image->reading)
                client_end(client, DROP_CLIENT_GONE, true, "closed");
}

/* What a client sends that may only receive is read, so that it does not block, and thrown away. */
static void discard(struct client *client)
{
        char bytes[65536];
        ssize_t got = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (got > 0) {
                if (!client->unplaced)
                        diag_warning("%s: may not send (Senders=): what it sends is discarded",
                                     name(client));
                refuse(client, client->unplaced ? 0 : 1, (uint64_t)got);
                client->unplaced = true;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                sends_no_more(client);
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

static void unfinished(struct client *client, uint64_t now)
{
        unsigned char first[EXPLAIN];
        size_t n = writer_peek(&client->writer, first, sizeof(first));
        char why[320];

        verdict_unfinished(client->writer.turn->log->spec, writer_partial(&client->writer),
                           client->writer.total, (now - client->last_byte) / USEC_PER_SEC, first, n,
                           why, sizeof(why));
        client_end(client, DROP_CLIENT_GONE, false, why);
}

static void take(struct client *client, size_t got)
{
        uint64_t before = writer_partial(&client->writer), partial;
        struct log_taken taken;

        client->last_byte = clock_usec();
        taken = turn_take(&client->writer, got, client->last_byte);
        partial = writer_partial(&client->writer);
        if (!partial) {
                client->partial_since = 0;
        } else if (!before || taken.messages) {
                client->partial_since = client->last_byte;
                look_after(client, client->last_byte);
        }
        client->ops->partial(client->context, client, before);
        if (taken.messages)
                client->ops->accepted(client->context, client, &taken);
        if (client->fd < 0)
                return;
        if (taken.no_memory)
                client_end(client, DROP_CLIENT_GONE, false, "no memory for what it sent");
        else if (taken.result == FRAME_TOO_LARGE || taken.result == FRAME_BROKEN)
                framing_broken(client, &taken);
        else if (!client->probed)
                probe(client, client->last_byte);
}

static void read_once(struct client *client)
{
        struct iovec iov[READ_IOV];
        size_t room;
        ssize_t got;
        int n;

        if (client->receive_only) {
                discard(client);
                return;
        }
        room = client->ops->room(client->context, client);
        if (!room) {
                event_del(client->readable);
                return;
        }
        n = turn_room(&client->writer, room, iov, READ_IOV);
        if (n == 0) {
                client_end(client, DROP_CLIENT_GONE, false, "no memory for what it sends");
                return;
        }
        got = readv(client->fd, iov, n);
        if (got > 0)
                take(client, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
                sends_no_more(client);
}

void client_resume(struct client *client)
{
        if (client->fd < 0 || client->ended)
                return;
        client->last_byte = clock_usec(); /* the pause was ours */
        event_add(client->readable, NULL);
        look_after(client, client->last_byte);
        read_once(client);
}

/* ---- events ---- */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        read_once(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
        struct client *client = arg;
        uint64_t now = clock_usec();

        (void)fd;
        (void)what;
        client_flush(client, now);
        if (client->fd >= 0 && client->over)
                client_check(client, now);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
        return !a || (b && b < a) ? b : a;
}

/* When something of it could be due; 0: nothing. */
static uint64_t due_at(const struct client *client)
{
        uint64_t at = 0;

        if (!client->probed)
                at = client->since + PROBE_USEC;
        else if (client->over)
                at = client->probed + PROBE_USEC; /* the others wait for it */
        if (client->blocked && client->limits.stall_usec)
                at = earliest(at, client->last_taken + client->limits.stall_usec);
        if (client->over && client->limits.slow == SLOW_DISCONNECT &&
            client->credit_usec < UINT64_MAX / 2)
                at = earliest(at, client->over_since + client->credit_usec + 1);
        if (client->partial_since && client->limits.frame_usec && !client->waiting)
                at = earliest(at, client->last_byte + client->limits.frame_usec);
        return at;
}

/* One timer for all: armed when something could be due earlier than it stands. */
static void look_after(struct client *client, uint64_t now)
{
        uint64_t at = due_at(client), wait;

        if (!at || client->fd < 0 || (client->timer_at && client->timer_at <= at))
                return;
        wait = at > now ? at - now : 0;
        client->timer_at = at;
        timer_arm(client->timer, wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct client *client = arg;
        uint64_t now = clock_usec();
        char why[128];

        (void)fd;
        (void)what;
        client->timer_at = 0;
        if (!client->probed || client->blocked || client->over)
                probe(client, now);
        /* The kernel calls a socket writable when three quarters of its buffer are free: who takes
         * a little at a time is seen here. */
        if (client->fd >= 0 && client->blocked)
                client_flush(client, now);
        if (client->fd >= 0 && client->over)
                client_check(client, now);
        if (client->fd < 0)
                return;
        if (client->blocked && client->limits.stall_usec &&
            now >= client->last_taken + client->limits.stall_usec) {
                snprintf(why, sizeof(why),
                         "messages wait and it took no byte for %.3gs (ClientStallTimeout=)",
                         (double)(now - client->last_taken) / 1e6);
                client_end(client, DROP_QUEUE_FULL, false, why);
        } else if (client->over && client->limits.slow == SLOW_DISCONNECT &&
                   client->credit_usec < UINT64_MAX / 2 &&
                   now > client->over_since + client->credit_usec) {
                too_slow(client);
        } else if (client->partial_since && client->limits.frame_usec && !client->waiting &&
                   now >= client->last_byte + client->limits.frame_usec) {
                unfinished(client, now);
        }
        look_after(client, now);
}

/* ---- life ---- */

void client_configure(struct client *client, const struct client_limits *limits)
{
        uint64_t now = clock_usec();

        if (client->limits.slow != limits->slow)
                client->over_since = now; /* the time before was free */
        client->limits = *limits;
        if (client->credit_usec > limits->grace_usec)
                client->credit_usec = limits->grace_usec;
        client_check(client, now);
        if (client->fd >= 0)
                look_after(client, now);
}

void client_permit(struct client *client, bool may_send)
{
        if (client->receive_only != may_send || (may_send && client->unplaced))
                return;
        client->receive_only = !may_send;
        diag_notice("%s: may %s (Senders=)", name(client),
                    may_send ? "send from now on" : "only receive from now on");
        if (!may_send && writer_partial(&client->writer)) {
                client->unplaced = true;
                drop_partial(client);
        }
}

static void fill_slot(struct client *client, const struct client_setup *setup)
{
        struct image_client *image = client->image;
        struct store *store = client->store;

        store_begin(store);
        store_put(store, &image->taken, 0);
        store_put(store, &image->sending, 0);
        store_put(store, &image->own.data.head, 0);
        store_put(store, &image->own.data.tail, 0);
        store_put(store, &image->own.base, 0);
        store_put(store, &image->accepted_messages, 0);
        store_put(store, &image->accepted_bytes, 0);
        cursor_init(&client->cursor, setup->in, &image->cursor, true);
        store_put(store, &image->reading, 1);
        store_put(store, &image->id, setup->id);
        store_commit(store);
}

struct client *client_new(const struct client_setup *setup)
{
        struct client *client = calloc(1, sizeof(*client));
        uint64_t now = clock_usec();

        if (!client) {
                close(setup->fd);
                return NULL;
        }
        *client = (struct client){.base = setup->base,
                                  .ops = setup->ops,
                                  .context = setup->context,
                                  .watch = setup->watch,
                                  .store = setup->in->store,
                                  .image = &setup->in->store->image->client[setup->slot],
                                  .limits = setup->limits,
                                  .fd = setup->fd,
                                  .id = setup->id,
                                  .slot = setup->slot,
                                  .since = now,
                                  .credit_usec = setup->limits.grace_usec,
                                  .credit_at = now};
        client->readable =
                event_new(setup->base, setup->fd, EV_READ | EV_PERSIST, on_readable, client);
        client->writable =
                event_new(setup->base, setup->fd, EV_WRITE | EV_PERSIST, on_writable, client);
        client->timer = evtimer_new(setup->base, on_timer, client);
        if (!client->readable || !client->writable || !client->timer ||
            event_add(client->readable, NULL) < 0 ||
            watch_add(setup->watch, setup->fd, client) < 0) {
                client_free(client);
                return NULL;
        }
        fill_slot(client, setup);
        writer_init(&client->writer, setup->turn, setup->slot);
        look_after(client, now);
        return client;
}

void client_end(struct client *client, enum drop_reason drop, bool quiet, const char *why)
{
        int fd = client->fd;

        if (fd < 0)
                return;
        if (quiet)
                diag_debug("%s: %s", name(client), why);
        else
                diag_warning("%s is disconnected: %s", name(client), why);
        client->fd = -1;
        event_del(client->readable);
        event_del(client->writable);
        evtimer_del(client->timer);
        watch_remove(client->watch, fd);
        drop_partial(client);
        stop_reading_log(client, drop);
        store_set(&client->image->id, 0);
        close(fd);
        client->ops->gone(client->context, client);
}

void client_free(struct client *client)
{
        if (client->readable)
                event_free(client->readable);
        if (client->writable)
                event_free(client->writable);
        if (client->timer)
                event_free(client->timer);
        if (client->fd >= 0)
                close(client->fd);
        free(client);
}
