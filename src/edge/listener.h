/* SPDX-License-Identifier: MIT */
#pragma once
/* A listening socket: accepts until there is nobody left, and rests while descriptors have run out.
 */
#include <stdint.h>

#include <event2/event.h>

struct listener;

/* The connection is the callee's: non-blocking, closed on exec. */
typedef void listener_accepted(void *context, int fd);

/* fd is taken, also on error; its path is not ours to remove. NULL without memory. */
struct listener *listener_new(struct event_base *base, int fd, listener_accepted *accepted,
                              void *context);
void listener_free(struct listener *listener);

/* This word of the image becomes 1 before each accept. Where somebody came it is the callee's to
 * clear, when a successor would know of the connection. */
void listener_mark(struct listener *listener, uint64_t *word);

/* Accepts nobody for so long. */
void listener_pause(struct listener *listener, uint64_t usec);
