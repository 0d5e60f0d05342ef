/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The order in which connections of the control socket are served, and their share of the loop's
 * time: a short burst at once, and later one part in eight for all connections together,
 * because control must not slow down the link and the clients. Connections wait for a slot, one
 * call of control_client_serve(), in an order of three steps:
 * 1. Users who may steer go before other users, and never wait until the time that others spent is
 *    made up for.
 * 2. Of several users, the one whose slots took the least time: shares.h.
 * 3. Of one user, connections with brief slots go before connections with lengthy slots.
 * Steps 1 and 3 have an exception: who would go last gets one slot in a few.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "core/budget.h"
#include "core/shares.h"

/* A budget of all connections together, and of their door: an eighth of the loop's time, 5 ms of it
 * at once. */
#define CONTROL_BUDGET ((struct budget){.share = 8, .burst = 5000})

struct control_client;
TAILQ_HEAD(control_line, control_client);

/* Two lines of one user: connections, borrowed, in order of arrival. */
struct control_lines {
        struct share share;
        struct control_line brief, lengthy;
        unsigned served; /* number of slots */
};

/* Users of one rank. */
struct control_rank {
        struct shares shares;
        struct budget budget;
};

struct control_queue {
        struct control_rank first;  /* users who may steer; their slots count for others, too */
        struct control_rank others; /* its budget is that of all connections together */
        struct event *timer;        /* pending while a user waits for a budget */
        unsigned in_a_row; /* slots of `first` for which a user of `others` was passed over */
};

/* Sets up the lines of a user, who waits for nothing. */
void control_lines_init(struct control_lines *lines);

/* Returns 0 or -ENOMEM. */
int control_queue_init(struct control_queue *queue, struct event_base *base);

/* Frees the timer. */
void control_queue_done(struct control_queue *queue);

/* Puts a connection into a line of its user, with the events (EV_READ, EV_WRITE) for its slot. */
void control_queue_put(struct control_queue *queue, struct control_client *client, short events);

/* Serves the connections that wait, as far as the budgets allow. May close any connection. */
void control_queue_run(struct control_queue *queue);

/* Takes a connection out of the line, if any. */
void control_queue_remove(struct control_queue *queue, struct control_client *client);
