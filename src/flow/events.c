/* SPDX-License-Identifier: MIT */
#include "flow/events.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"

static const char *const names[] = {
        [EVENT_LINK] = "link",     [EVENT_CLIENT] = "client",   [EVENT_DROP] = "drop",
        [EVENT_RELOAD] = "reload", [EVENT_SERVICE] = "service", [EVENT_GAP] = "gap",
};
static_assert(sizeof(names) / sizeof(*names) == EVENT_KINDS, "every kind has its word");
static_assert(sizeof(struct image_event) % sizeof(uint64_t) == 0, "words stay aligned");

const char *event_kind_name(enum event_kind kind)
{
        return names[kind];
}

void events_init(struct events *events, struct store *store, void (*added)(void *context),
                 void *context)
{
        *events = (struct events){store, added, context};
}

static uint64_t first_kept(uint64_t last)
{
        return last > IMAGE_EVENTS ? last - IMAGE_EVENTS + 1 : 1;
}

static struct image_event *place(struct image *image, uint64_t seq)
{
        return &image->event[seq % (IMAGE_EVENTS + 1)];
}

/* Copies whole characters, and appends dots if the text is cut. */
static void put_text(char *to, const char *text)
{
        char whole[4 * IMAGE_EVENT_TEXT];
        size_t size = text_escape(whole, sizeof(whole), text, strlen(text));

        if (size < IMAGE_EVENT_TEXT) {
                memcpy(to, whole, size + 1);
                return;
        }
        size = text_escape(to, IMAGE_EVENT_TEXT - 3, whole, size);
        memcpy(to + size, "...", 4);
}

static void put_event(struct image_event *to, uint64_t seq, const struct image_facts *facts,
                      const char *text)
{
        put_text(to->text, text);
        store_set(&to->facts.time_usec, facts->time_usec);
        store_set(&to->facts.kind, facts->kind);
        store_set(&to->facts.state, facts->state);
        store_set(&to->facts.cause, facts->cause);
        store_set(&to->facts.client_id, facts->client_id);
        store_set(&to->facts.messages, facts->messages);
        store_set(&to->seq, seq);
}

void events_add(struct events *events, const struct image_facts *facts, const char *text)
{
        struct image *image = events->store->image;
        uint64_t seq = image->events.seq + 1, other = image->events.link == 1 ? 2 : 1;

        assert(events->store->depth == 0);
        put_event(place(image, seq), seq, facts, text);
        if (facts->kind != EVENT_LINK) {
                store_set(&image->events.seq, seq);
        } else {
                put_event(&image->link_event[other - 1], seq, facts, text);
                store_begin(events->store);
                store_put(events->store, &image->events.link, other);
                store_put(events->store, &image->events.seq, seq);
                store_commit(events->store);
        }
        if (events->added)
                events->added(events->context);
}

uint64_t events_last(const struct events *events)
{
        return events->store->image->events.seq;
}

uint64_t events_first(const struct events *events)
{
        return first_kept(events_last(events));
}

const struct image_event *events_get(const struct events *events, uint64_t seq)
{
        assert(seq >= events_first(events) && seq <= events_last(events));
        return place(events->store->image, seq);
}

const struct image_event *events_link(const struct events *events)
{
        const struct image *image = events->store->image;

        return image->events.link ? &image->link_event[image->events.link - 1] : NULL;
}

static bool is_good(const struct image_event *event)
{
        return event->facts.kind < EVENT_GAP && event->facts.state < LINK_STATES &&
               event->facts.cause < LINK_CAUSES &&
               memchr(event->text, '\0', sizeof(event->text)) != NULL;
}

const char *events_check(const struct store *store)
{
        struct image *image = store->image;
        uint64_t last = image->events.seq, link = image->events.link;

        if (last > UINT64_MAX / 2 || link > 2)
                return "the events are out of range";
        for (uint64_t seq = first_kept(last); seq <= last; seq++)
                if (place(image, seq)->seq != seq || !is_good(place(image, seq)))
                        return "an event is not what it should be";
        if (link && (!is_good(&image->link_event[link - 1]) ||
                     image->link_event[link - 1].facts.kind != EVENT_LINK ||
                     image->link_event[link - 1].seq > last))
                return "the last event of the link is not what it should be";
        return NULL;
}
