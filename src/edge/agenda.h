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

struct agenda;

/* In the subject. */
struct due {
        uint64_t at;  /* when it is due, clock_usec(); 0: it is not */
        size_t place; /* of the agenda */
};

/* tell() is called from the loop for each that is due, which is not due any more then: it was at
 * this time. NULL without memory. */
struct agenda *agenda_new(struct event_base *base, void (*tell)(struct due *due, uint64_t at));
void agenda_free(struct agenda *agenda);

/* Makes room for it; false without memory. Then it may become due, and has to be removed before its
 * memory goes. */
bool agenda_add(struct agenda *agenda, struct due *due);
void agenda_remove(struct agenda *agenda, struct due *due);

/* It is due at this time, or at once if that is past, instead of when it was. */
void agenda_set(struct agenda *agenda, struct due *due, uint64_t at);
