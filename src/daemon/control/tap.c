/* SPDX-License-Identifier: MIT */
/* A connection with a tap: flow/tap writes the replies straight into the buffer of unread replies,
 * while the buffer has room. */
#include "daemon/control/control_internal.h"

#include "util/clock.h"

enum {
        /* Limits up to which replies collect before a write: an observer has time, and a system
         * call for each message would slow down the messages. */
        COLLECT_USEC = 5000,
        COLLECT_BYTES = 128 * 1024,
};

static size_t waiting(const struct control_client *client)
{
        return client->out_size - client->out_sent;
}

/* The room of struct tap_ops. A connection without unread replies may get one reply of any size,
 * or else a large message could never be shown. */
static char *on_room(void *subject, size_t size)
{
        struct control_client *client = subject;

        if (waiting(client) && waiting(client) + size > VARLINK_MESSAGE_MAX)
                return NULL;
        return control_client_room(client, size);
}

static void tell_soon(struct control *control)
{
        if (!event_pending(control->taps, EV_TIMEOUT, NULL))
                event_add(control->taps, &(struct timeval){0, COLLECT_USEC});
}

static void on_given(void *subject, size_t size)
{
        struct control_client *client = subject;

        client->out_size += size;
        if (waiting(client) >= COLLECT_BYTES)
                control_news(client->control);
        else
                tell_soon(client->control);
}

/* The connection may have read all replies; without the timer nothing would report the missed
 * messages. */
static void on_misses(void *subject)
{
        const struct control_client *client = subject;

        tell_soon(client->control);
}

static void on_ended(void *subject)
{
        struct control_client *client = subject;

        tap_tell_missed(&client->monitor.tap, clock_wall_usec());
        client->monitor.tap.subject = NULL;
        control_news(client->control);
}

static const struct tap_ops ops = {on_room, on_given, on_misses, on_ended};

int control_tap_begin(struct control_client *client)
{
        struct control *control = client->control;
        struct tap *tap = &client->monitor.tap;
        int result;

        tap->ops = &ops;
        tap->subject = client;
        result = control->ops->tap(control->context, tap);
        if (result < 0)
                tap->subject = NULL;
        return result;
}

void control_tap_end(struct control_client *client)
{
        struct control *control = client->control;
        struct tap *tap = &client->monitor.tap;

        if (!client->monitor.taps || !tap->subject)
                return;
        control->ops->untap(control->context, tap);
        tap->subject = NULL;
}

void control_tap_news(struct control_client *client)
{
        if (!waiting(client))
                tap_tell_missed(&client->monitor.tap, clock_wall_usec());
}

bool control_tap_ended(const struct control_client *client)
{
        return !client->monitor.tap.subject;
}
