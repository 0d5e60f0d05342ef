/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Tells when the other end of a Unix connection is wholly gone, also while nobody reads it: after a
 * half-close a read event would spin, and without one a full close would go unseen until the next
 * write. A nested epoll set that holds the descriptors with an empty mask reports exactly that.
 */
#include <event2/event.h>

struct watch;

/* gone() is called once for each; the descriptor is no longer watched then. NULL without
 * descriptors or memory. */
struct watch *watch_new(struct event_base *base, void (*gone)(void *subject));
void watch_free(struct watch *watch);

/* Returns 0 or a negative errno. */
int watch_add(struct watch *watch, int fd, void *subject);

/* Before the descriptor is closed. */
void watch_remove(struct watch *watch, int fd);
