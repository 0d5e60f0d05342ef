/* SPDX-License-Identifier: MIT */
#include "daemon/control/control_internal.h"

#include <errno.h>
#include <stddef.h>

#include "daemon/control/queue.h"
#include "edge/timer.h"
#include "util/clock.h"

enum {
        /* Above one of these limits a slot is lengthy: processor time of the last slot, and bytes
         * of requests to parse. */
        BRIEF_USEC = 1000,
        BRIEF_SIZE = 16 * 1024,
        /* The lengthy line of a user, and the rank of users without the right to steer, get one of
         * ROUND slots before the brief line or the first rank. */
        ROUND = 4,
};

static bool is_lengthy(const struct control_client *client)
{
        return client->serve_usec > BRIEF_USEC || client->in.size - client->in.taken > BRIEF_SIZE;
}

static struct control_rank *rank_of(struct control_queue *queue,
                                    const struct control_client *client)
{
        return client->user->first ? &queue->first : &queue->others;
}

static struct control_client *next_of(struct control_lines *lines)
{
        struct control_client *brief = TAILQ_FIRST(&lines->brief);
        struct control_client *lengthy = TAILQ_FIRST(&lines->lengthy);

        if (!brief || (lengthy && lines->served % ROUND == 0))
                return lengthy;
        return brief;
}

/* Books the time of a slot. The time of the first rank counts for the others, too: both together
 * get one part in eight. The time of the others delays nobody of the first rank. */
static void spend(struct control_queue *queue, struct control_user *user, uint64_t usec)
{
        struct control_rank *rank = user->first ? &queue->first : &queue->others;
        uint64_t now = clock_usec();

        shares_spend(&rank->shares, &user->lines.share, usec);
        budget_spend(&rank->budget, usec, now);
        if (user->first)
                budget_spend(&queue->others.budget, usec, now);
}

/* The connection may be closed in its slot. The memory of connection and user is freed later, from
 * the loop. */
static void serve_next(struct control_queue *queue, struct share *share)
{
        struct control_lines *lines =
                (struct control_lines *)((char *)share - offsetof(struct control_lines, share));
        struct control_client *client = next_of(lines);
        uint64_t begin = clock_cpu_usec(); /* a stall of the process adds no debt */
        short events = client->ready;

        lines->served++;
        control_queue_remove(queue, client);
        control_client_serve(client, events);
        client->serve_usec = clock_cpu_usec() - begin;
        spend(queue, client->user, client->serve_usec + 1);
}

/* Chooses the share to serve next. Returns NULL with *wait: the time until there is one, UINT64_MAX
 * if no connection waits. */
static struct share *choose(struct control_queue *queue, uint64_t *wait)
{
        struct share *first = shares_next(&queue->first.shares);
        struct share *other = shares_next(&queue->others.shares);
        uint64_t now = clock_usec();
        uint64_t wait_first = first ? budget_wait(&queue->first.budget, now) : UINT64_MAX;
        uint64_t wait_other = other ? budget_wait(&queue->others.budget, now) : UINT64_MAX;

        *wait = wait_first < wait_other ? wait_first : wait_other;
        if (wait_first == 0 && wait_other > 0)
                return first;
        if (wait_first == 0 && ++queue->in_a_row < ROUND)
                return first;
        queue->in_a_row = 0;
        return wait_other == 0 ? other : NULL;
}

void control_queue_run(struct control_queue *queue)
{
        struct share *share = shares_next(&queue->first.shares);
        uint64_t wait;

        if (!share && evtimer_pending(queue->timer, NULL))
                return;
        while ((share = choose(queue, &wait)) != NULL)
                serve_next(queue, share);
        if (wait != UINT64_MAX)
                timer_arm(queue->timer, wait);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        (void)fd, (void)what;
        control_queue_run(arg);
}

void control_queue_put(struct control_queue *queue, struct control_client *client, short events)
{
        struct control_lines *lines = &client->user->lines;

        if (!client->queued) {
                client->queued = is_lengthy(client) ? &lines->lengthy : &lines->brief;
                TAILQ_INSERT_TAIL(client->queued, client, in_queue);
                shares_wait(&rank_of(queue, client)->shares, &lines->share);
                client->ready = 0;
        }
        client->ready |= events;
}

void control_queue_remove(struct control_queue *queue, struct control_client *client)
{
        if (!client->queued)
                return;
        TAILQ_REMOVE(client->queued, client, in_queue);
        client->queued = NULL;
        shares_withdraw(&rank_of(queue, client)->shares, &client->user->lines.share);
}

void control_lines_init(struct control_lines *lines)
{
        *lines = (struct control_lines){0};
        TAILQ_INIT(&lines->brief);
        TAILQ_INIT(&lines->lengthy);
}

int control_queue_init(struct control_queue *queue, struct event_base *base)
{
        shares_init(&queue->first.shares);
        shares_init(&queue->others.shares);
        queue->first.budget = queue->others.budget = CONTROL_BUDGET;
        queue->timer = evtimer_new(base, on_timer, queue);
        return queue->timer ? 0 : -ENOMEM;
}

void control_queue_done(struct control_queue *queue)
{
        if (queue->timer)
                event_free(queue->timer);
}
