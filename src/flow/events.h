/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What happened lately: a ring of the last IMAGE_EVENTS events in the store, numbered since the
 * service began, so that whoever follows them, however slowly, is but a number, and sees what it
 * has missed. Each is written where nobody looks and then published by one store.
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
        EVENT_GAP, /* told to those who missed some; never in the ring */
        EVENT_KINDS,
};

struct events {
        struct store *store; /* borrowed */
        /* One was added; may be NULL. Not the place to add another. */
        void (*added)(void *context);
        void *context;
};

/* Takes up the ring of the store, which may be a recovered one. */
void events_init(struct events *events, struct store *store, void (*added)(void *context),
                 void *context);

/* Not within a transaction. The text is cut to IMAGE_EVENT_TEXT, and its control characters are
 * escaped. */
void events_add(struct events *events, const struct image_facts *facts, const char *text);

/* The number of the last event, and of the first that is kept; 0 and 1: there was none yet. */
uint64_t events_last(const struct events *events);
uint64_t events_first(const struct events *events);

/* An event that is kept. It holds until the next one is added. */
const struct image_event *events_get(const struct events *events, uint64_t seq);

/* The last one of kind link, however long ago; NULL: none yet. */
const struct image_event *events_link(const struct events *events);

/* The word of the control interface. */
const char *event_kind_name(enum event_kind kind);

/* For recovery: NULL, or what is wrong with the ring that was found. */
const char *events_check(const struct store *store);
