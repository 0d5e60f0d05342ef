/* SPDX-License-Identifier: MIT */
#include "daemon/control/control.h"
#include "daemon/control/control_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/diag.h"
#include "util/socket.h"

/* Length of the kernel's queue of connections before the accept. The queue is in order of arrival,
 * and one user can fill the queue: root waits until all earlier connections are accepted. A longer
 * queue would be a longer wait. With a full queue connect() waits. */
enum { BACKLOG = 64 };

static void bury(struct control *control)
{
        struct control_client *client;

        while ((client = LIST_FIRST(&control->dead)) != NULL)
                control_client_free(client);
}

static void on_reap(int fd, short events, void *arg)
{
        (void)fd, (void)events;
        bury(arg);
}

static void on_news(int fd, short events, void *arg)
{
        (void)fd, (void)events;
        control_client_news(arg);
}

void control_news(struct control *control)
{
        event_active(control->news, EV_TIMEOUT, 0);
}

void control_flushed(struct control *control)
{
        struct control_client *client;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                if (client->flush.on)
                        event_active(client->event, EV_TIMEOUT, 0);
}

struct control *control_new(struct event_base *base, const struct control_service *service,
                            const struct control_ops *ops, void *context)
{
        struct control *control = calloc(1, sizeof(*control));

        if (!control)
                return NULL;
        control->base = base;
        control->service = service;
        control->ops = ops;
        control->context = context;
        control->door = CONTROL_BUDGET;
        control->reap = event_new(base, -1, 0, on_reap, control);
        control->news = event_new(base, -1, 0, on_news, control);
        control->taps = evtimer_new(base, on_news, control);
        control->ends = poller_new(base, &control_client_ends);
        if (control_queue_init(&control->queue, base) < 0 || !control->reap || !control->news ||
            !control->taps || !control->ends) {
                control_free(control);
                return NULL;
        }
        return control;
}

static uid_t uid_of(int fd)
{
        struct ucred peer = {.uid = SOCKET_NO_UID};
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.uid
                                                                          : SOCKET_NO_UID;
}

/* Finds the user before any other work for the connection: a connection that is turned away costs
 * only the accept and the close. */
static void admit(void *context, int fd)
{
        struct control *control = context;
        const struct control_call call = {.service = control->service,
                                          .ops = control->ops,
                                          .context = control->context,
                                          .fd = fd};
        uid_t uid = uid_of(fd);
        bool first = control_permitted_as(&call, uid);

        if (!control_crowd_admits(control, uid, first))
                control_turn_away(fd);
        else if (control_client_new(control, fd, uid, first) < 0)
                diag_warning("control: out of memory for one more client");
}

int control_listen(struct control *control, int fd)
{
        struct control_listener *listener = calloc(1, sizeof(*listener));

        if (!listener) {
                close(fd);
                return -ENOMEM;
        }
        listen(fd, BACKLOG); /* again, also where systemd did it */
        listener->listener = listener_new(control->base, fd, admit, control);
        if (!listener->listener) {
                free(listener);
                return -ENOMEM;
        }
        listener_limit(listener->listener, &control->door);
        LIST_INSERT_HEAD(&control->listeners, listener, link);
        return 0;
}

const char *control_listener_fault(const struct control *control)
{
        const struct control_listener *listener;
        const char *fault = NULL;

        for (listener = LIST_FIRST(&control->listeners); listener && !fault;
             listener = LIST_NEXT(listener, link))
                fault = listener_fault(listener->listener);
        return fault;
}

void control_free(struct control *control)
{
        struct control_listener *listener;
        struct control_client *client;

        if (!control)
                return;
        while ((listener = LIST_FIRST(&control->listeners)) != NULL) {
                LIST_REMOVE(listener, link);
                listener_free(listener->listener);
                free(listener);
        }
        control_client_last_look(control);
        while ((client = LIST_FIRST(&control->clients)) != NULL)
                control_client_close(client, "the daemon ends");
        bury(control);
        poller_free(control->ends);
        if (control->taps)
                event_free(control->taps);
        if (control->news)
                event_free(control->news);
        control_queue_done(&control->queue);
        if (control->reap)
                event_free(control->reap);
        free(control);
}
