/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The order in which connections of the control socket are served, and their share of the loop's
 * time: a short burst at once, and later one part in CONTROL_SHARE for all connections together,
 * because control must not slow down the link and the clients. Connections wait in two lines for a
 * slot, one call of control_client_serve(): connections with brief slots go before connections with
 * lengthy slots, and get replies soon under any load of others.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

enum { CONTROL_SHARE = 8 };

struct control_client;
TAILQ_HEAD(control_line, control_client);

/* Begins as zeroes. */
struct control_budget {
        uint64_t debt;  /* usec: time spent, times CONTROL_SHARE, less the time that has passed */
        uint64_t as_of; /* clock_usec() of the last update of debt */
};

/* Books usec of spent processor time. */
void control_budget_spend(struct control_budget *budget, uint64_t usec);

/* Returns the usec until more time may be spent; 0: now. */
uint64_t control_budget_wait(struct control_budget *budget);

struct control_queue {
        struct control_line brief, lengthy; /* connections, borrowed, in order of arrival */
        struct control_budget budget;
        struct event *timer; /* pending while the budget is used up */
        unsigned served;     /* number of slots */
};

/* Returns 0 or -ENOMEM. */
int control_queue_init(struct control_queue *queue, struct event_base *base);

/* Frees the timer. */
void control_queue_done(struct control_queue *queue);

/* Puts a connection into a line, with the events (EV_READ, EV_WRITE) for its slot. Serves the lines
 * at once if the budget allows, and may close any connection. */
void control_queue_add(struct control_queue *queue, struct control_client *client, short events);

/* Takes a connection out of the line, if any. */
void control_queue_remove(struct control_client *client);
