/* SPDX-License-Identifier: MIT */
#pragma once
/* A listening socket and its accept loop. An accept that fails, because descriptors ran out or a
 * rule of the host forbids it, makes the loop rest for a moment: the connections wait in the
 * kernel, and the socket stays readable. */
#include <stdint.h>

#include <event2/event.h>

#include "core/budget.h"

struct listener;

/* Told of a new connection. fd is the callee's, non-blocking, closed on exec. */
typedef void listener_accepted(void *context, int fd);

/* Accepts from fd and calls accepted() for each connection. fd is the listener's from here on, also
 * on error; the path of a Unix socket is not removed. Returns NULL without memory. */
struct listener *listener_new(struct event_base *base, int fd, listener_accepted *accepted,
                              void *context);

/* Frees the listener and closes its socket. May be NULL. */
void listener_free(struct listener *listener);

/* Sets a word of the image, borrowed, to 1 before each accept. The listener clears the word if no
 * connection came; otherwise accepted() clears the word once a successor would know of the
 * connection. */
void listener_mark(struct listener *listener, uint64_t *word);

/* Has what accepted() takes booked on the budget, borrowed: once that is spent, connections wait
 * unaccepted. What the end of a connection takes is for the owner to book. */
void listener_limit(struct listener *listener, struct budget *budget);

/* Returns why connections wait unaccepted, in words, with the socket: "at PATH: REASON". The words
 * are valid until the event loop goes on. NULL: nothing is wrong. */
const char *listener_fault(const struct listener *listener);

/* Stops accepting for usec. */
void listener_pause(struct listener *listener, uint64_t usec);
