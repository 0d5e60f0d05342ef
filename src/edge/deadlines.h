/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * When something of many subjects is due, on one timer of the loop. A subject costs 24 bytes, where
 * a timer of its own takes 144 even while it is not armed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>

struct deadlines;

/* In the subject. */
struct due {
        uint64_t at;  /* when it is due, clock_usec(); 0: it is not */
        size_t place; /* of the agenda */
};

/* tell() is called from the loop for each that is due, which is not due any more then: it was at
 * this time. NULL without memory. */
struct deadlines *deadlines_new(struct event_base *base,
                                void (*tell)(struct due *due, uint64_t at));
void deadlines_free(struct deadlines *deadlines);

/* Makes room for it; false without memory. Then it may become due, and has to be removed before its
 * memory goes. */
bool deadlines_add(struct deadlines *deadlines, struct due *due);
void deadlines_remove(struct deadlines *deadlines, struct due *due);

/* It is due at this time, or at once if that is past, instead of when it was. */
void deadlines_set(struct deadlines *deadlines, struct due *due, uint64_t at);
