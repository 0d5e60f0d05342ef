/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whose turn it is among the connections of the control socket, and how much of the loop's time all
 * of them together may take: at once a little, then one part in CONTROL_SHARE, so that the link and
 * its clients go on whatever is asked. Those whose turns are short go before those whose turns are
 * long, so that who asks for little is answered soon whatever others do.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

enum { CONTROL_SHARE = 8 };

struct control_client;
TAILQ_HEAD(control_line, control_client);

/* Zeroed to begin with. */
struct control_budget {
        uint64_t debt; /* time spent, times CONTROL_SHARE, less what has passed since then */
        uint64_t as_of;
};

void control_budget_spend(struct control_budget *budget, uint64_t usec);

/* How long it takes until more may be spent; 0: now. */
uint64_t control_budget_wait(struct control_budget *budget);

struct control_queue {
        struct control_line brief, lengthy; /* in the order in which they came */
        struct control_budget budget;
        struct event *timer; /* for when some of what was spent is forgiven */
        unsigned served;
};

/* Returns 0 or -ENOMEM. */
int control_queue_init(struct control_queue *queue, struct event_base *base);
void control_queue_done(struct control_queue *queue);

/* The connection has something to do, as its event said; its turn comes now or later. */
void control_queue_add(struct control_queue *queue, struct control_client *client, short events);
void control_queue_remove(struct control_client *client);
