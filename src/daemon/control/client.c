/* SPDX-License-Identifier: MIT */
#include "daemon/control/control_internal.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control/call.h"
#include "edge/timer.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/socket.h"

enum {
        READ_MIN = 4096,
        READ_MAX = 64 * 1024,
        /* Limits of one slot. A connection that pipelines more requests waits for the next slot. */
        REQUESTS_A_SLOT = 8,
        SLOT_USEC = 1000,
        /* Replies collect up to here before a write. */
        OUT_HIGH = 64 * 1024,
        /* Bytes of unread replies above which a Monitor gets no more events; leaves room for one
         * more event. */
        MONITOR_HIGH = VARLINK_MESSAGE_MAX - 8 * IMAGE_EVENT_TEXT,
};

void control_turn_away(int fd)
{
        close(fd); /* no other descriptor has the socket, so this is the shutdown, too */
}

/* Closes a socket that may have unread bytes, without a reset, which could overtake the last bytes
 * sent. */
static void hang_up(int fd)
{
        char waste[READ_MIN];

        /* Nothing can arrive after the shutdown, so the socket's buffer bounds the loop. */
        shutdown(fd, SHUT_RDWR);
        while (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
                ;
        close(fd);
}

static void release_buffers(struct control_client *client)
{
        varlink_reader_done(&client->in);
        control_client_forget(client);
        control_client_count(client);
}

static void end(struct control_client *client, void (*close_socket)(int fd), const char *why)
{
        struct control *control = client->control;

        diag_debug("control: a client's connection ends: %s", why);
        event_del(client->event);
        control_queue_remove(&control->queue, client);
        poller_remove(control->ends, &client->polled);
        control_tap_end(client);
        close_socket(client->fd);
        client->fd = -1;
        release_buffers(client);
        LIST_REMOVE(client, link);
        LIST_INSERT_HEAD(&control->dead, client, link);
        control->n_clients--;
        client->user->n_clients--;
        event_active(control->reap, EV_TIMEOUT, 0);
}

void control_client_close(struct control_client *client, const char *why)
{
        end(client, hang_up, why);
}

void control_client_evict(struct control_client *client, const char *why)
{
        end(client, control_turn_away, why);
}

void control_client_free(struct control_client *client)
{
        LIST_REMOVE(client, link);
        control_user_leave(client->user);
        event_free(client->event);
        free(client);
}

static struct control_call call_of(struct control_client *client)
{
        const struct control *control = client->control;

        return (struct control_call){control->service, control->ops, control->context,
                                     client->fd,       NULL,         &client->listing};
}

/* Begins a Monitor or a Tap. The connection is not read any more: the call never ends, and no later
 * request is served. Frees the read buffer; later bytes stay in the socket. Returns 0, 1 with an
 * error reply queued for a Tap of an unknown client, or a negative errno. */
static int begin_to_monitor(struct control_client *client)
{
        int result;

        if (client->monitor.taps && control_tap_begin(client) < 0) {
                client->monitor.on = false;
                result = control_client_append(
                        client, control_no_such_client((int64_t)client->monitor.tap.client_id));
                return result < 0 ? result : 1;
        }
        result = poller_add(client->control->ends, &client->polled, client->fd, 0);
        varlink_reader_done(&client->in);
        if (result < 0)
                client->monitor.on = false;
        return result;
}

/* Begins to wait for a Flush. Returns 0 or a negative errno. */
static int begin_to_wait(struct control_client *client)
{
        int result = poller_add(client->control->ends, &client->polled, client->fd, 0);

        if (result < 0)
                client->flush.on = false;
        return result;
}

/* Queues the reply to a Flush that is done or timed out. Returns 0 or a negative errno. */
static int look_at_flush(struct control_client *client)
{
        const struct control_call call = call_of(client);
        json_t *reply;
        int result;

        if (!client->flush.on)
                return 0;
        result = call.service->flush_look(&call, &client->flush, &reply);
        if (result < 0 || !reply)
                return result;
        poller_remove(client->control->ends, &client->polled);
        client->flush.on = false;
        return control_client_append(client, reply);
}

/* Queues the last reply of a Tap, because the tapped client is gone. The connection ends after the
 * reply, because requests that were read behind the call of Tap are lost. Returns 0 or -ENOMEM. */
static int tell_end(struct control_client *client)
{
        poller_remove(client->control->ends, &client->polled);
        client->monitor.on = false;
        client->closing = true;
        return control_client_append(
                client, control_no_such_client((int64_t)client->monitor.tap.client_id));
}

/* Queues new events for a Monitor up to MONITOR_HIGH, or the number of missed messages for a Tap.
 * Returns 0 or -ENOMEM. */
static int tell_news(struct control_client *client)
{
        const struct control_call call = call_of(client);

        if (client->monitor.taps) {
                if (control_tap_ended(client))
                        return tell_end(client);
                control_tap_news(client);
                return 0;
        }
        while (control_client_unread(client) < MONITOR_HIGH) {
                json_t *reply;
                int result = call.service->monitor_next(&call, &client->monitor, &reply);

                if (result < 0 || !reply)
                        return result;
                result = control_client_append(client, reply);
                if (result < 0)
                        return result;
        }
        return 0;
}

/* Serves one request. Returns 1; 0 if no whole request is there, or if the request begins a
 * Monitor, Tap or Flush; or a negative errno: -EBADMSG for a malformed request. */
static int serve_one(struct control_client *client)
{
        struct control_call call = call_of(client);
        json_t *request, *reply;
        int result;

        switch (varlink_take(&client->in, &request)) {
        case VARLINK_MORE: return 0;
        case VARLINK_OBJECT: break;
        case VARLINK_BAD:
        case VARLINK_TOO_LARGE: return -EBADMSG;
        case VARLINK_STARVED: return -ENOMEM;
        }
        result = control_call(&call, request, &reply, &client->monitor, &client->flush);
        json_decref(request);
        if (result < 0)
                return result;
        if (client->monitor.on)
                return begin_to_monitor(client);
        if (client->flush.on)
                return begin_to_wait(client);
        if (client->listing.on)
                return control_listing_begin(client);
        result = reply ? control_client_append(client, reply) : 0;
        return result < 0 ? result : 1;
}

static const struct timeval at_once = {0};

/* Serves the requests of one slot, as long as the replies are read. Returns 1 if more requests may
 * wait, 0 if not, or a negative errno, on which the connection is to be closed (after earlier
 * replies on -EBADMSG). */
static int serve(struct control_client *client)
{
        uint64_t begin = clock_usec();

        for (int i = 0; i < REQUESTS_A_SLOT && clock_usec() - begin < SLOT_USEC; i++) {
                int result = control_client_unread(client) >= OUT_HIGH
                                     ? control_client_write(client)
                                     : 0;

                if (result < 0 || control_client_unread(client) >= OUT_HIGH)
                        return result < 0 ? result : 1;
                result = serve_one(client);
                if (result <= 0)
                        return result;
        }
        return 1;
}

/* True if `one` is to give bytes back before `other`: the larger of a user who may not steer. */
static bool is_rather_freed(const struct control_client *one, const struct control_client *other)
{
        if (!other || one->user->first != other->user->first)
                return !other || other->user->first;
        return one->buffered > other->buffered;
}

static struct control_client *largest_buffer(const struct control *control)
{
        struct control_client *client, *most = NULL;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                if (client->buffered > 0 && is_rather_freed(client, most))
                        most = client;
        return most;
}

/* Returns the bytes of users who may not steer. */
static size_t buffered_for_others(const struct control *control)
{
        const struct control_user *user;
        size_t sum = 0;

        LIST_FOREACH(user, &control->users, link)
        sum += user->first ? 0 : user->buffered;
        return sum;
}

static bool is_too_much(const struct control *control)
{
        return control->buffered > CONTROL_BUFFERED_MAX ||
               (control->buffered > CONTROL_BUFFERED_OTHERS &&
                buffered_for_others(control) > CONTROL_BUFFERED_OTHERS);
}

/* Keeps the bytes of all connections below the limits. May close any connection. */
static void enforce(struct control *control)
{
        struct control_client *most;

        while (is_too_much(control) && (most = largest_buffer(control)) != NULL)
                control_client_evict(most, "too much is held for all clients together");
}

static void on_ready(int fd, short events, void *arg);

/* Arms the event for one thing: the socket takes replies (EV_WRITE), requests arrive (EV_READ), or
 * the next slot (0). Closes the connection without memory. */
static void arm(struct control_client *client, short events)
{
        event_del(client->event); /* may have been armed while the connection was in a line */
        event_assign(client->event, client->control->base, client->fd, events, on_ready, client);
        if (event_add(client->event, events ? NULL : &at_once) < 0)
                control_client_close(client, "out of memory");
}

/* Arms the event for another try, after a send or receive for which the host had no memory. */
static void arm_retry(struct control_client *client)
{
        struct timeval in = timer_span(SOCKET_RETRY_USEC);

        client->starved = false;
        event_del(client->event);
        event_assign(client->event, client->control->base, client->fd, 0, on_ready, client);
        if (event_add(client->event, &in) < 0)
                control_client_close(client, "out of memory");
}

/* Waits for control_flushed(), the end of the connection, or the deadline of the Flush. */
static void arm_flush(struct control_client *client)
{
        uint64_t now = clock_usec(), deadline = client->flush.deadline;
        struct timeval in = timer_span(deadline > now ? deadline - now : 0);

        event_del(client->event); /* control_flushed() may have activated the event again */
        event_assign(client->event, client->control->base, client->fd, 0, on_ready, client);
        if (deadline != UINT64_MAX && event_add(client->event, &in) < 0)
                control_client_close(client, "out of memory");
}

/* Reads once. Returns 0, or a negative errno if the other end is gone or without memory. */
static int receive(struct control_client *client)
{
        size_t part = client->in.size - client->in.taken;
        size_t want = part < READ_MIN ? READ_MIN : part > READ_MAX ? READ_MAX : part;
        void *room = varlink_reader_room(&client->in, want);
        ssize_t n;

        if (!room)
                return -ENOMEM;
        n = recv(client->fd, room, want, MSG_DONTWAIT);
        if (n > 0)
                varlink_reader_fed(&client->in, (size_t)n);
        else if (n == 0)
                client->eof = true;
        else if (socket_is_short(errno))
                client->starved = true;
        else if (errno != EAGAIN && errno != EINTR)
                return -errno;
        return 0;
}

/* Arms the event for the next step after a slot, or closes the connection. more: requests may be
 * waiting. */
static void wait_or_end(struct control_client *client, bool more)
{
        if (client->starved)
                arm_retry(client);
        else if (control_client_unread(client) > 0)
                arm(client, EV_WRITE);
        else if (client->monitor.on)
                return; /* until control_client_news(), or the end of the connection */
        else if (client->flush.on)
                arm_flush(client);
        else if (client->closing)
                control_client_close(client, client->monitor.taps
                                                     ? "the client that it tapped is gone"
                                                     : "a malformed message");
        else if (more)
                arm(client, 0);
        else if (client->eof)
                control_client_close(client, "closed by the client");
        else
                arm(client, EV_READ);
}

static void on_ready(int fd, short events, void *arg)
{
        struct control_client *client = arg;
        struct control_queue *queue = &client->control->queue;

        (void)fd;
        control_queue_put(queue, client, events);
        control_queue_run(queue);
}

void control_client_serve(struct control_client *client, short events)
{
        int result = 0, more = 0;

        client->active_usec = clock_usec();
        if (events & EV_READ)
                result = receive(client);
        else if (events & EV_WRITE)
                result = control_client_write(client);
        if (result == 0)
                result = look_at_flush(client);
        if (result == 0 && client->listing.on) {
                result = control_listing_go_on(client);
                more = 1;
        } else if (result == 0 && !client->closing && !client->monitor.on && !client->flush.on &&
                   control_client_unread(client) == 0) {
                more = serve(client);
                if (more == 0 && client->listing.on)
                        more = 1;
        }
        if (more == -EBADMSG) {
                client->closing = true;
                varlink_reader_done(&client->in);
                more = 0;
        }
        if (result == 0 && more >= 0 && client->monitor.on)
                result = tell_news(client);
        if (result == 0 && more >= 0)
                result = control_client_write(client);
        if (result < 0 || more < 0) {
                control_client_close(client, strerror(result < 0 ? -result : -more));
                return;
        }
        if (client->in.size == 0)
                varlink_reader_done(&client->in);
        wait_or_end(client, more > 0);
        if (client->fd < 0)
                return;
        control_client_count(client);
        enforce(client->control);
}

/* Sends the news of a connection that monitors, as far as the socket has room. */
static void tell(struct control_client *client)
{
        /* A tap may have news in every pass: while the socket is full, nothing is written. The
         * number of missed messages follows when all other replies are written. */
        bool full = client->monitor.taps && event_pending(client->event, EV_WRITE, NULL);
        int result = client->monitor.taps && !full ? control_client_write(client) : 0;

        if (result == 0)
                result = tell_news(client);
        if (result == 0 && !full)
                result = control_client_write(client);
        if (result < 0) {
                control_client_close(client, strerror(-result));
                return;
        }
        control_client_count(client);
        if (!event_pending(client->event, EV_WRITE, NULL))
                wait_or_end(client, false);
}

/* Events come at any rate, and each may go to thousands of connections: those of users who may not
 * steer get theirs in slots, and others at once. */
void control_client_news(struct control *control)
{
        struct control_client *client, *next;

        for (client = LIST_FIRST(&control->clients); client; client = next) {
                next = LIST_NEXT(client, link);
                if (!client->monitor.on)
                        continue;
                if (client->user->first)
                        tell(client);
                else if (!event_pending(client->event, EV_WRITE, NULL))
                        control_queue_put(&control->queue, client, 0);
        }
        enforce(control);
        control_queue_run(&control->queue);
}

void control_client_last_look(struct control *control)
{
        struct control_client *client, *next;

        for (client = LIST_FIRST(&control->clients); client; client = next) {
                next = LIST_NEXT(client, link);
                if (client->monitor.on)
                        tell(client);
                else if (client->flush.on && look_at_flush(client) == 0)
                        control_client_write(client);
        }
}

static void on_gone(struct polled *polled)
{
        struct control_client *client =
                (struct control_client *)((char *)polled - offsetof(struct control_client, polled));

        control_client_close(client, "closed by the client");
}

const struct poller_ops control_client_ends = {.gone = on_gone};

/* Returns a new connection with its event and user, or NULL without memory. */
static struct control_client *make(struct control *control, int fd, uid_t uid, bool first)
{
        struct control_client *client = calloc(1, sizeof(*client));

        if (!client)
                return NULL;
        client->event = event_new(control->base, fd, EV_READ, on_ready, client);
        client->user = client->event ? control_user_join(control, uid, first) : NULL;
        if (client->user)
                return client;
        if (client->event)
                event_free(client->event);
        free(client);
        return NULL;
}

int control_client_new(struct control *control, int fd, uid_t uid, bool first)
{
        struct control_client *client = make(control, fd, uid, first);

        if (!client) {
                close(fd);
                return -ENOMEM;
        }
        socket_keep_in_line(fd);
        client->control = control;
        client->fd = fd;
        client->polled.fd = -1;
        client->active_usec = clock_usec();
        varlink_reader_init(&client->in);
        LIST_INSERT_HEAD(&control->clients, client, link);
        control->n_clients++;
        arm(client, EV_READ);
        return 0;
}
