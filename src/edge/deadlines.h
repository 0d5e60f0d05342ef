/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Deadlines of many subjects on one timer of the event loop. A subject costs 24 bytes; a libevent
 * timer for each would take 144, even while not armed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

struct deadlines;

/* Part of the subject. */
struct due {
        uint64_t at;  /* the deadline, clock_usec(); 0: none */
        size_t index; /* in the heap */
};

/* Returns NULL without memory. The event loop calls tell() for each subject whose deadline `at` has
 * come; the deadline is cleared before the call. */
struct deadlines *deadlines_new(struct event_base *base,
                                void (*tell)(struct due *due, uint64_t at));

/* Frees the deadlines; subjects are not touched. May be NULL. */
void deadlines_free(struct deadlines *deadlines);

/* Adds a subject, without a deadline yet. Returns false without memory. */
bool deadlines_add(struct deadlines *deadlines, struct due *due);

/* Removes a subject that was added, with its deadline; to be called before the subject's memory is
 * freed. */
void deadlines_remove(struct deadlines *deadlines, struct due *due);

/* Sets the subject's deadline, in place of an earlier one. A deadline in the past is told from the
 * event loop, at once. */
void deadlines_set(struct deadlines *deadlines, struct due *due, uint64_t at);
