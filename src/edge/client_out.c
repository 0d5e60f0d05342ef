/* SPDX-License-Identifier: MIT */
/* Messages to a client: writing, the queue limit, and the credit of a slow client. */
#include "edge/client_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "edge/tcp.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/units.h"

enum {
        WRITE_SIZE = 1024 * 1024,
        WRITES = 8, /* in a row; then the next client is served */
        WRITE_IOV = 18,
        /* Pages are lent for pieces of at least LEND_LEAST bytes, if LEND_CROWD clients read and
         * LEND_WAITING bytes wait for the client, or if LEND_MANY clients read. */
        LEND_LEAST = 8192,
        LEND_CROWD = 8,
        LEND_WAITING = 64 * 1024,
        LEND_MANY = 48,
        GLANCE_USEC = 2000, /* shows whether a client takes bytes */
        LATE_USEC = 50000,  /* a deadline told so late is a sign that ftcpd stood still */
};

const char *client_name(const struct client *client)
{
        static char text[160];
        const char *program = client_program(client), *address = client_address(client);

        if (client->local && client->uid == SOCKET_NO_UID)
                snprintf(text, sizeof(text), "client %" PRIu64 " (unknown)", client->id);
        else if (client->local)
                snprintf(text, sizeof(text), "client %" PRIu64 " (%s, pid %d, uid %u)", client->id,
                         *program ? program : "?", (int)client->pid, (unsigned)client->uid);
        else
                snprintf(text, sizeof(text), "client %" PRIu64 " (%s)", client->id,
                         address ? address : "?");
        return text;
}

static void count_dropped(struct client *client, struct count dropped)
{
        struct store *store = client->class->store;

        store_begin(store);
        store_add(store, &client->image->dropped_messages, dropped.messages);
        store_add(store, &client->image->dropped_bytes, dropped.bytes);
        store_commit(store);
}

void client_deafen(struct client *client, enum drop_reason reason)
{
        struct count dropped;

        if (!client->image->reading)
                return;
        dropped = reader_done(&client->reader, reason);
        count_dropped(client, dropped);
        if (client->blocked)
                client_want(client, POLLER_WRITE, false);
        client->blocked = false;
        if (client->over) {
                client->over = false;
                client_charge(client, clock_usec());
                client->class->ops->over(client->class->context, client, false);
        }
        if (dropped.messages)
                diag_info("%s: %s (%" PRIu64 " bytes) %s waiting for it and dropped (%s)",
                          client_name(client), units_messages(dropped.messages).text, dropped.bytes,
                          units_were(dropped.messages), drop_reason_name(reason));
}

/* Marks a client whose reading side is shut down: from here on the client only sends. Ends a client
 * that has ended sending, too. */
static void mark_deaf(struct client *client)
{
        if (!client->hung)
                client->send_only = true;
        client_deafen(client, DROP_CLIENT_GONE);
        if (client->ended)
                client_end_closed(client);
}

void client_end_closed(struct client *client)
{
        client_end(client, DROP_CLIENT_GONE, !client->lost,
                   client->lost ? "its host does not answer any more" : "closed");
}

void client_end_hung(struct client *client)
{
        client->hung = true;
        client->lost = !client->local && tcp_gave_up(client->fd);
        client_deafen(client, DROP_CLIENT_GONE);
        if (client->ended)
                client_end_closed(client);
}

void client_probe(struct client *client, uint64_t now)
{
        client->probed = now;
        if (client->image->reading && send(client->fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno == EPIPE)
                mark_deaf(client);
}

static void set_blocked(struct client *client, bool blocked, uint64_t now)
{
        if (blocked == client->blocked)
                return;
        client->blocked = blocked;
        if (blocked) {
                client->last_progress = now;
                client_want(client, POLLER_WRITE, true);
                client_look_after(client, now);
        } else {
                client_want(client, POLLER_WRITE, false);
        }
}

static size_t size_of(const struct iovec *iov, int n)
{
        size_t size = 0;

        for (int i = 0; i < n; i++)
                size += iov[i].iov_len;
        return size;
}

static ssize_t copy_to(struct client *client, struct iovec *iov, int n)
{
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n};

        return sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Lends the pages of the slab, without a copy. The store punches a hole for lent pages once the
 * slab is free, and fresh pages cost as much as copies to 4 clients; with 16 clients half of the
 * CPU remains, with 100 a third. */
static ssize_t lend_to(struct client *client, struct iovec *iov)
{
        struct store *store = client->class->store;
        off_t at = slab_lend(store, iov->iov_base);
        ssize_t sent = sendfile(client->fd, store->fd, &at, iov->iov_len);

        return sent < 0 && errno != EAGAIN && errno != EINTR ? copy_to(client, iov, 1) : sent;
}

/* True if pages are to be lent. To a few clients with one message waiting, a copy costs a third
 * less than a loan: memory of the messages read before is free and still in the cache. With more
 * bytes waiting, the copies push each other out of the cache. */
static bool is_to_lend(const struct client *client, const struct iovec *iov, size_t waiting)
{
        const struct store *store = client->class->store;
        size_t takers = client->class->takers;

        if (!store->lends || !client->local || iov->iov_len < LEND_LEAST)
                return false;
        return (takers >= LEND_CROWD && (takers >= LEND_MANY || waiting >= LEND_WAITING)) ||
               slab_is_lent(store, iov->iov_base);
}

/* Writes iov to the client, copied or lent. No counter of the kernel tells a successor how much of
 * the send went out: a crash before the caller clears `sending` costs the client's connection. */
static ssize_t send_to(struct client *client, struct iovec *iov, int n, size_t size)
{
        ssize_t sum = 0;

        store_set(&client->image->sending, size);
        for (int at = 0, next; at < n; at = next) {
                bool lend = is_to_lend(client, &iov[at], size);
                ssize_t sent;

                next = at + 1;
                while (!lend && next < n && !is_to_lend(client, &iov[next], size))
                        next++;
                sent = lend ? lend_to(client, &iov[at]) : copy_to(client, &iov[at], next - at);
                if (sent < 0)
                        return sum ? sum : sent;
                sum += sent;
                if ((size_t)sent < size_of(&iov[at], next - at))
                        break;
        }
        return sum;
}

/* True for the error of a send that no later send can do better. */
static bool is_final(int error)
{
        return error && error != EAGAIN && error != EINTR && !socket_is_short(error);
}

static uint64_t later(uint64_t then, uint64_t late, uint64_t now)
{
        return now - then > late ? then + late : now;
}

/* A time in which the client could take nothing uses no credit. */
static void forgive(struct client *client, uint64_t late, uint64_t now)
{
        credit_forgive(&client->credit, late, now);
        if (client->charged_young)
                credit_forgive(&client->user->young, late, now);
        if (client->debt)
                credit_forgive(client->debt, late, now);
}

/* The host has no memory for a send: the client is written to again after a moment, which does not
 * count as the client's. The socket has room, so no event would wait. */
static void write_later(struct client *client, uint64_t now)
{
        set_blocked(client, true, now);
        client_want(client, POLLER_WRITE, false);
        client->short_write = true;
        client->last_progress = now;
        forgive(client, SOCKET_RETRY_USEC, now);
        client_look_after(client, now);
}

static void tell_waits(const struct client *client, struct cursor *cursor, uint64_t sent)
{
        cursor_tell_waits(cursor, sent, clock_usec(),
                          &client->class->store->image->latency[LATENCY_TO_CLIENTS]);
}

void client_trust(struct client *client, uint64_t now)
{
        struct cursor *offer = reader_offer(&client->reader);
        struct iovec iov[WRITE_IOV];
        ssize_t sent = 0;

        if (offer) {
                int n = cursor_gather(offer, WRITE_SIZE, iov, WRITE_IOV);

                sent = send_to(client, iov, n, size_of(iov, n));
                if (sent < 0 && is_final(errno)) {
                        store_set(&client->image->sending, 0);
                        mark_deaf(client);
                        return;
                }
        }
        if (sent > 0)
                tell_waits(client, offer, (uint64_t)sent);
        reader_trust(&client->reader, sent > 0 ? (uint64_t)sent : 0);
        if (offer)
                store_set(&client->image->inherited, cursor_waiting(&client->reader.cursor));
        client_write(client, now);
}

void client_write(struct client *client, uint64_t now)
{
        for (int writes = 1; client->image->reading; writes++) {
                struct iovec iov[WRITE_IOV];
                int n = cursor_gather(&client->reader.cursor, WRITE_SIZE, iov, WRITE_IOV);
                size_t size = size_of(iov, n);
                int error;
                ssize_t sent;

                if (n == 0) {
                        set_blocked(client, false, now);
                        if (client->image->inherited) /* client_check() has not run since */
                                store_set(&client->image->inherited, 0);
                        if (client->leaving)
                                client_end(client, DROP_CLIENT_GONE, false, client->leaving);
                        return;
                }
                sent = send_to(client, iov, n, size);
                error = sent < 0 ? errno : 0;
                store_begin(client->class->store);
                store_put(client->class->store, &client->image->sending, 0);
                if (sent > 0) {
                        tell_waits(client, &client->reader.cursor, (uint64_t)sent);
                        reader_advance(&client->reader, (uint64_t)sent);
                }
                store_commit(client->class->store);
                if (is_final(error)) {
                        mark_deaf(client);
                        return;
                }
                if (socket_is_short(error)) {
                        write_later(client, now);
                        return;
                }
                if (sent > 0)
                        client->last_progress = now;
                /* A client may read as fast as ftcpd writes: it goes on in the next pass. */
                if (sent < (ssize_t)size || writes == WRITES) {
                        set_blocked(client, true, now);
                        return;
                }
        }
}

/* ---- heartbeats ---- */

uint64_t client_heartbeat_at(const struct client *client)
{
        uint64_t from = client->heartbeat_from;

        if (!client->class->heartbeat || !client->image->reading)
                return 0;
        if (!from)
                return 1;
        if (client->last_progress > from)
                from = client->last_progress;
        return from + client->class->heartbeat_usec;
}

/* True if messages wait, also the rest of one, or the client has not read all it was sent. A TCP
 * client's kernel tells only what arrived. */
static bool is_busy(const struct client *client)
{
        int unread;

        return client->reader.role != READER_MEMBER || client->blocked ||
               cursor_waiting(&client->reader.cursor) || ioctl(client->fd, SIOCOUTQ, &unread) < 0 ||
               unread > 0;
}

/*
 * Sends the heartbeat, or nothing of it. A Unix socket puts a message of this size into one buffer:
 * whole, or not at all. TCP copies page by page and might run out of memory in between, so that a
 * crash amid the send costs a TCP client its connection; IMAGE_SENT: no message of its queue was
 * offered. Returns 0 or an errno; EPROTO: a part was sent.
 */
static int send_heartbeat(struct client *client)
{
        const struct config_bytes *message = client->class->heartbeat;
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];
        struct iovec iov[] = {{head, 0}, {message->data, message->size}, {tail, 0}};
        ssize_t sent;
        int error;

        frame_wrap(client->class->turn->log->spec, message->data, message->size, head,
                   &iov[0].iov_len, tail, &iov[2].iov_len);
        if (!client->local)
                store_set(&client->image->sending, IMAGE_SENT);
        sent = copy_to(client, iov, 3);
        error = sent < 0 ? errno : 0;
        if (sent > 0 && (size_t)sent < size_of(iov, 3))
                return EPROTO;
        if (!client->local)
                store_set(&client->image->sending, 0);
        return error;
}

void client_beat(struct client *client, uint64_t now)
{
        uint64_t at = client_heartbeat_at(client);
        int error;

        if (!at || now < at)
                return;
        client->heartbeat_from = now;
        if (is_busy(client))
                return;
        error = send_heartbeat(client);
        if (error == EPROTO)
                client_end(client, DROP_CLIENT_GONE, false,
                           "the host had no memory for the end of a heartbeat");
        else if (is_final(error))
                mark_deaf(client);
        else if (socket_is_short(error))
                client->heartbeat_from = now + SOCKET_RETRY_USEC - client->class->heartbeat_usec;
}

/* ---- the queue limit ---- */

/* True if the client's queue is beyond its limit. A single message is within any limit, and
 * messages inherited from the backlog are neither dropped because of the limit nor a reason to be
 * ended: nobody could have taken them at once. */
static bool is_beyond(const struct client *client)
{
        const struct cursor *cursor = &client->reader.cursor;
        uint64_t waiting, limit = client->class->limits.queue_size;

        if (!client->image->reading)
                return false; /* a recovered client that does not read has no cursor */
        waiting = cursor_waiting(cursor);
        if (waiting <= limit) {
                if (client->image->inherited)
                        store_set(&client->image->inherited, 0);
                return false;
        }
        if (client->class->limits.slow != SLOW_WAIT)
                limit += client->image->inherited;
        return waiting > limit && cursor_queued(cursor).messages > 1;
}

/* While the client keeps the others waiting it uses its credit, that of its user's young clients if
 * it is young, and what clients of its program left that were too slow before it came. */
static void use_credits(struct client *client, uint64_t now)
{
        const struct client_limits *limits = &client->class->limits;

        client->charged = true;
        client->over_waiting = cursor_waiting(&client->reader.cursor);
        credit_use(&client->credit, limits->grace_usec, now);
        if (!client->user)
                return;
        client->charged_young = now - client->image->since < limits->young_usec;
        if (client->charged_young)
                credit_use(&client->user->young, limits->grace_usec, now);
        if (client->indebted)
                client->debt =
                        user_debt(client->user, client_program(client), limits->grace_usec, now);
        client->indebted = client->debt != NULL;
        if (client->debt)
                credit_use(client->debt, limits->grace_usec, now);
}

static void rest_credits(struct client *client, uint64_t now)
{
        uint64_t grace = client->class->limits.grace_usec;

        client->charged = false;
        credit_rest(&client->credit, grace, now);
        if (client->charged_young)
                credit_rest(&client->user->young, grace, now);
        if (client->debt)
                credit_rest(client->debt, grace, now);
        client->charged_young = false;
        client->debt = NULL;
}

void client_charge(struct client *client, uint64_t now)
{
        bool charged =
                client->fd >= 0 && client->over && client->class->limits.slow == SLOW_DISCONNECT;

        if (charged && !client->charged)
                use_credits(client, now);
        else if (!charged && client->charged)
                rest_credits(client, now);
}

/* True if the client, beyond its limit, takes bytes at the pace at which it would take its whole
 * queue within the grace: it reads, and a burst was too much for a moment. */
static bool is_taking(const struct client *client, uint64_t now)
{
        uint64_t waiting = cursor_waiting(&client->reader.cursor);
        double taken =
                waiting < client->over_waiting ? (double)(client->over_waiting - waiting) : 0;

        return taken * (double)client->class->limits.grace_usec >=
               (double)client->class->limits.queue_size * (double)(now - client->credit.at);
}

/* Returns the time at which the first of the credits is consumed that the client shares. */
static uint64_t shared_end(const struct client *client)
{
        uint64_t grace = client->class->limits.grace_usec, young, debt;

        young = client->charged_young ? credit_end(&client->user->young, grace) : UINT64_MAX;
        debt = client->debt ? credit_end(client->debt, grace) : UINT64_MAX;
        return young < debt ? young : debt;
}

uint64_t client_credit_end(const struct client *client, uint64_t now)
{
        uint64_t own, shared;

        if (!client->charged)
                return UINT64_MAX;
        own = credit_end(&client->credit, client->class->limits.grace_usec);
        shared = shared_end(client);
        if (shared < client->credit.at + GLANCE_USEC)
                shared = client->credit.at + GLANCE_USEC;
        if (shared <= now && is_taking(client, now))
                shared = now + GLANCE_USEC;
        return own < shared ? own : shared;
}

void client_owe(struct client *client, uint64_t now)
{
        uint64_t grace = client->class->limits.grace_usec;
        uint64_t used = grace - credit_left(&client->credit, grace, now);

        if (client->user && used)
                user_owe(client->user, client_program(client), used, grace, now);
}

void client_overslept(struct client *client, uint64_t at, uint64_t now)
{
        uint64_t late = now > at ? now - at : 0;

        if (late < LATE_USEC)
                return;
        forgive(client, late, now);
        client->last_progress = later(client->last_progress, late, now);
}

/* After a stall of ftcpd, the event of the client's socket may be told before the deadline:
 * accounts for the delay, and sets the deadline to now. */
static void notice_stall(struct client *client, uint64_t now)
{
        uint64_t at = client->due.at;

        if (!at || now < at + LATE_USEC)
                return;
        client_overslept(client, at, now);
        deadlines_set(client->class->deadlines, &client->due, now);
}

/* SlowClient=drop: drops the oldest queued messages beyond the limit, as no other client waits. */
static void shorten(struct client *client)
{
        count_dropped(client, reader_shorten(&client->reader, client->class->limits.queue_size +
                                                                      client->image->inherited));
}

void client_check(struct client *client, uint64_t now)
{
        bool over = is_beyond(client);

        notice_stall(client, now);
        if (over && client->class->limits.slow == SLOW_DROP) {
                shorten(client);
                over = false;
        }
        if (over == client->over)
                return;
        client->over = over;
        client_charge(client, now);
        client->class->ops->over(client->class->context, client, over);
        if (client->fd >= 0)
                client_look_after(client, now);
}

/* Returns by whom the credit was used up, where it was not by the client alone. */
static const char *whose_credit(const struct client *client, uint64_t now)
{
        uint64_t grace = client->class->limits.grace_usec;

        if (credit_left(&client->credit, grace, now) == 0)
                return "";
        if (client->debt && credit_left(client->debt, grace, now) == 0)
                return ", by clients of its program before it";
        return ", by young clients of its user, which share one";
}

void client_end_too_slow(struct client *client)
{
        uint64_t now = clock_usec();
        char why[256];

        snprintf(why, sizeof(why),
                 "too slow: %" PRIu64 " bytes were waiting for it (ClientQueueSize=%" PRIu64
                 ") and its SlowClientGrace= is used up%s",
                 cursor_waiting(&client->reader.cursor), client->class->limits.queue_size,
                 whose_credit(client, now));
        client_owe(client, now);
        client_end(client, DROP_QUEUE_FULL, false, why);
}
