/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The last IMAGE_EVENTS events, as a ring in the store, numbered since the service began. A
 * follower of the events, however slow, needs to keep only a number, and sees by the numbers which
 * events are missed. An event is written outside of the ring's range, and then published by a
 * single store.
 */
#include <stdint.h>

#include "core/state.h"
#include "store/store.h"

enum event_kind {
        EVENT_LINK,
        EVENT_CLIENT,
        EVENT_DROP,
        EVENT_RELOAD,
        EVENT_SERVICE,
        EVENT_GAP, /* tells a follower of missed events; never in the ring */
        EVENT_KINDS,
};

struct events {
        struct store *store; /* borrowed */
        /* Called after an event was added; may be NULL. Must not add an event. */
        void (*added)(void *context);
        void *context;
};

/* Begins with the ring of the store, which may be a recovered store. store and context are
 * borrowed. */
void events_init(struct events *events, struct store *store, void (*added)(void *context),
                 void *context);

/* Adds an event. Not within a transaction. Control characters of the text are escaped, and the text
 * is cut to IMAGE_EVENT_TEXT. */
void events_add(struct events *events, const struct image_facts *facts, const char *text);

/* Returns the number of the last event; 0: no event yet. */
uint64_t events_last(const struct events *events);

/* Returns the number of the first event kept; 1 also if no event was added yet. */
uint64_t events_first(const struct events *events);

/* Returns event number seq, from events_first() to events_last(); valid until the next
 * events_add(). */
const struct image_event *events_get(const struct events *events, uint64_t seq);

/* Returns the last event of kind EVENT_LINK, however long ago; NULL: none yet. */
const struct image_event *events_link(const struct events *events);

/* Returns the word of the control interface for the kind, static. */
const char *event_kind_name(enum event_kind kind);

/* For recovery: checks the ring that a predecessor left. Returns NULL, or a static text: the failed
 * check. */
const char *events_check(const struct store *store);
