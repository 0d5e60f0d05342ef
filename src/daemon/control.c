/* SPDX-License-Identifier: MIT */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/control_client.h"
#include "util/diag.h"

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

static void admit(void *context, int fd)
{
        struct control *control = context;
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

int control_listen(struct control *control, int fd)
{
        struct control_listener *listener = calloc(1, sizeof(*listener));

        if (!listener) {
                close(fd);
                return -ENOMEM;
        }
        listener->listener = listener_new(control->base, fd, admit, control);
        if (!listener->listener) {
                free(listener);
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
                listener_free(listener->listener);
                free(listener);
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
