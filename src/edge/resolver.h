/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Resolves names with the system's resolver, off the event loop: a thread for each question shares
 * nothing with the event loop but the message with the answer. One question at a time; the answer
 * to an abandoned question is freed when the answer comes.
 */
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

struct resolver;

/* Told of the answer. The callee frees the addresses with freeaddrinfo(); wrong: why the question
 * failed, in words; NULL: resolved. */
typedef void resolver_answer(void *context, const char *wrong, struct addrinfo *addresses);

/* Returns NULL without memory or descriptors. base and context are borrowed. */
struct resolver *resolver_new(struct event_base *base, resolver_answer *answer, void *context);

/* Asks for the addresses of host and port, which are copied; an earlier question is abandoned.
 * answer() is called from the event loop, never from within resolver_ask(). Returns 0 or a negative
 * errno (-EBUSY: too many abandoned questions are still under way). */
int resolver_ask(struct resolver *resolver, const char *host, const char *port);

/* True while a question waits for its answer. */
bool resolver_is_asked(const struct resolver *resolver);

/* Abandons the question under way, if any: answer() is not called for an abandoned question. */
void resolver_abandon(struct resolver *resolver);

/* Runs run(arg) in a thread as the resolver's: detached, with a small stack and all signals
 * blocked; for a question to the system that may take long. Returns 0 or a negative errno. */
int resolver_thread(void *(*run)(void *arg), void *arg);

/* Frees the resolver. Threads under way end on their own. May be NULL. */
void resolver_free(struct resolver *resolver);
