/* SPDX-License-Identifier: MIT */
#include "daemon/control/control_internal.h"

#include <errno.h>

#include "daemon/control/queue.h"
#include "edge/timer.h"
#include "util/clock.h"

enum {
        /* The debt up to which more may be spent: 5 ms of processor time at once. */
        BURST_USEC = 5000 * CONTROL_SHARE,
        /* Above one of these limits a slot is lengthy: processor time of the last slot, and bytes
         * of requests to parse. */
        BRIEF_USEC = 1000,
        BRIEF_SIZE = 16 * 1024,
        /* While both lines wait, the lengthy line gets one of ROUND slots. */
        ROUND = 4,
};

/* Returns the debt now. */
static uint64_t owed(struct control_budget *budget)
{
        uint64_t now = clock_usec(), passed = now - budget->as_of;

        budget->debt -= passed < budget->debt ? passed : budget->debt;
        budget->as_of = now;
        return budget->debt;
}

void control_budget_spend(struct control_budget *budget, uint64_t usec)
{
        budget->debt = owed(budget) + usec * CONTROL_SHARE;
}

uint64_t control_budget_wait(struct control_budget *budget)
{
        uint64_t debt = owed(budget);

        return debt < BURST_USEC ? 0 : debt - BURST_USEC / 2;
}

static bool is_lengthy(const struct control_client *client)
{
        return client->serve_usec > BRIEF_USEC || client->in.size - client->in.taken > BRIEF_SIZE;
}

static struct control_client *next(struct control_queue *queue)
{
        struct control_client *brief = TAILQ_FIRST(&queue->brief);
        struct control_client *lengthy = TAILQ_FIRST(&queue->lengthy);

        if (!brief || (lengthy && queue->served % ROUND == 0))
                return lengthy;
        return brief;
}

/* The connection may be closed in its slot. The memory is freed later, from the loop. */
static void serve_first(struct control_queue *queue, struct control_client *client)
{
        uint64_t begin = clock_cpu_usec(); /* a stall of the process adds no debt */
        short events = client->ready;

        queue->served++;
        control_queue_remove(client);
        control_client_serve(client, events);
        client->serve_usec = clock_cpu_usec() - begin;
        control_budget_spend(&queue->budget, client->serve_usec + 1);
}

static void run(struct control_queue *queue)
{
        struct control_client *client;

        while ((client = next(queue)) != NULL) {
                uint64_t wait = control_budget_wait(&queue->budget);

                if (wait > 0) {
                        timer_arm(queue->timer, wait);
                        return;
                }
                serve_first(queue, client);
        }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        (void)fd, (void)what;
        run(arg);
}

void control_queue_add(struct control_queue *queue, struct control_client *client, short events)
{
        if (!client->queued) {
                client->queued = is_lengthy(client) ? &queue->lengthy : &queue->brief;
                TAILQ_INSERT_TAIL(client->queued, client, in_queue);
                client->ready = 0;
        }
        client->ready |= events;
        if (!evtimer_pending(queue->timer, NULL))
                run(queue);
}

void control_queue_remove(struct control_client *client)
{
        if (client->queued)
                TAILQ_REMOVE(client->queued, client, in_queue);
        client->queued = NULL;
}

int control_queue_init(struct control_queue *queue, struct event_base *base)
{
        TAILQ_INIT(&queue->brief);
        TAILQ_INIT(&queue->lengthy);
        queue->timer = evtimer_new(base, on_timer, queue);
        return queue->timer ? 0 : -ENOMEM;
}

void control_queue_done(struct control_queue *queue)
{
        if (queue->timer)
                event_free(queue->timer);
}
