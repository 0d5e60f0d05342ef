/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control_client.h"
#include "util/diag.h"

/* A crowd at the door must not keep the loop from the link. */
enum { ACCEPTS_A_TURN = 16 };

/* How long a listener rests when the system has no descriptor or memory for one more. */
static const struct timeval rest = {.tv_usec = 500000};

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

static void on_turn(int fd, short events, void *arg)
{
        struct control *control = arg;

        (void)fd, (void)events;
        control->spent_usec = 0;
}

struct control *control_new(struct event_base *base, const struct control_ops *ops, void *ctx)
{
        struct control *control = calloc(1, sizeof(*control));

        if (!control)
                return NULL;
        control->base = base;
        control->ops = ops;
        control->ctx = ctx;
        control->reap = event_new(base, -1, 0, on_reap, control);
        control->turn = evtimer_new(base, on_turn, control);
        if (!control->reap || !control->turn) {
                control_free(control);
                return NULL;
        }
        return control;
}

static void admit(struct control *control, int fd)
{
        uint64_t limit = control->ops->config(control->ctx)->control_max_clients;

        if (control->n_clients >= limit) {
                if (!control->full)
                        diag_warning("control: %zu clients are connected, no more are served "
                                     "([Control] MaxClients)",
                                     control->n_clients);
                control->full = true;
                control_hang_up(fd);
                return;
        }
        control->full = false;
        if (control_client_new(control, fd) < 0)
                diag_warning("control: out of memory for one more client");
}

static void pause_listener(struct control_listener *listener, int error)
{
        if (!listener->starved)
                diag_warning("control: can't accept clients for now: %s", strerror(error));
        listener->starved = true;
        event_del(listener->ready);
        event_add(listener->resume, &rest);
}

static void on_connection(int fd, short events, void *arg)
{
        struct control_listener *listener = arg;

        (void)events;
        for (int i = 0; i < ACCEPTS_A_TURN; i++) {
                int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (client >= 0) {
                        listener->starved = false;
                        admit(listener->control, client);
                } else if (errno == EAGAIN) {
                        return;
                } else if (errno != EINTR && errno != ECONNABORTED) {
                        pause_listener(listener, errno);
                        return;
                }
        }
}

static void on_rested(int fd, short events, void *arg)
{
        struct control_listener *listener = arg;

        (void)fd, (void)events;
        event_add(listener->ready, NULL);
}

static void listener_free(struct control_listener *listener)
{
        if (listener->resume)
                event_free(listener->resume);
        if (listener->ready)
                event_free(listener->ready);
        close(listener->fd);
        free(listener);
}

int control_listen(struct control *control, int fd)
{
        struct control_listener *listener = calloc(1, sizeof(*listener));

        if (!listener) {
                close(fd);
                return -ENOMEM;
        }
        listener->control = control;
        listener->fd = fd;
        evutil_make_socket_nonblocking(fd);
        listener->ready =
                event_new(control->base, fd, EV_READ | EV_PERSIST, on_connection, listener);
        listener->resume = evtimer_new(control->base, on_rested, listener);
        if (!listener->ready || !listener->resume || event_add(listener->ready, NULL) < 0) {
                listener_free(listener);
                return -ENOMEM;
        }
        LIST_INSERT_HEAD(&control->listeners, listener, link);
        return 0;
}

void control_free(struct control *control)
{
        struct control_listener *listener;
        struct control_client *client;

        if (!control)
                return;
        while ((listener = LIST_FIRST(&control->listeners)) != NULL) {
                LIST_REMOVE(listener, link);
                listener_free(listener);
        }
        while ((client = LIST_FIRST(&control->clients)) != NULL)
                control_client_close(client, "the daemon ends");
        bury(control);
        if (control->turn)
                event_free(control->turn);
        if (control->reap)
                event_free(control->reap);
        free(control);
}
