/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Names to addresses by the system's resolver, off the event loop: a thread for each question,
 * which shares nothing with us but the message that it sends back. One question at a time; an
 * abandoned one is forgotten when its answer comes.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

struct resolver;

/* wrong is NULL, or says in words why there are none; the addresses are the callee's to free with
 * freeaddrinfo(). */
typedef void resolver_answer(void *context, const char *wrong, struct addrinfo *addresses);

/* Returns NULL without memory or descriptors. */
struct resolver *resolver_new(struct event_base *base, resolver_answer *answer, void *context);

/* Asks; the answer comes from the event loop, never from within. Returns 0 or a negative errno
 * (-EBUSY: too many abandoned questions are still under way). */
int resolver_ask(struct resolver *resolver, const char *host, const char *port);
bool resolver_is_asked(const struct resolver *resolver);
void resolver_abandon(struct resolver *resolver);
void resolver_free(struct resolver *resolver);
