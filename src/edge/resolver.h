/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Resolves names with the system's resolver, off the event loop: a thread for each question shares
 * nothing with the event loop but the message with the answer. One question at a time is *asked*;
 * an abandoned question goes on, and its answer is kept: a resolver may need longer than the caller
 * waits, as with a name server that is dead.
 */
#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "util/address.h"

/* How long an answer to an abandoned question counts as one of now. */
#define RESOLVER_LATE_USEC UINT64_C(30000000)

struct resolver;

/* Told of the answer. wrong: why the question failed, in words; NULL: resolved. The callee may take
 * over addresses, and empties the list then. */
typedef void resolver_answer(void *context, const char *wrong, struct address_list *addresses);

/* Returns NULL without memory or descriptors. base and context are borrowed. */
struct resolver *resolver_new(struct event_base *base, resolver_answer *answer, void *context);

/*
 * Asks for the addresses of host and port, which are copied; an earlier question is abandoned.
 * Whichever question for the same host and port, this one or an abandoned one, is answered first
 * with addresses, counts. answer() is called from the event loop, never from within resolver_ask().
 * Returns 0 or a negative errno (-EBUSY: too many questions for other names are still under way).
 */
int resolver_ask(struct resolver *resolver, const char *host, const char *port);

/* True while a question waits for its answer. */
bool resolver_is_asked(const struct resolver *resolver);

/* Abandons the question under way, if any: answer() is not called for an abandoned question, unless
 * the same is asked again. */
void resolver_abandon(struct resolver *resolver);

/* Takes the answer to an abandoned question that came at `since` (clock_usec()) or later. Returns
 * false if there is none. The caller frees addresses. */
bool resolver_take_late(struct resolver *resolver, const char *host, const char *port,
                        uint64_t since, struct address_list *addresses);

/* Runs run(arg) in a thread as the resolver's: detached, with a small stack and all signals
 * blocked; for a question to the system that may take long. Returns 0 or a negative errno. */
int resolver_thread(void *(*run)(void *arg), void *arg);

/* Frees the resolver. Threads under way end on their own. May be NULL. */
void resolver_free(struct resolver *resolver);
