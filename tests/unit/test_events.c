/* SPDX-License-Identifier: MIT */
/* The ring of events: what is kept, what a text becomes, and that a crash at any store leaves the
 * last ones whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/events.h"
#include "flow/recover.h"

static struct store store, copy;
static struct events events;
static unsigned added, recovered;

static void on_added(void *context)
{
        assert_ptr_equal(context, &added);
        added++;
}

static int start(void **state)
{
        (void)state;
        added = recovered = 0;
        if (store_init(&store) < 0)
                return -1;
        events_init(&events, &store, on_added, &added);
        return 0;
}

static int stop(void **state)
{
        (void)state;
        store_hook = NULL;
        store_done(&store);
        return 0;
}

/* Everything of event n can be told from n. */
static void add(uint64_t n)
{
        struct image_facts facts = {.time_usec = n * 3, .kind = n % EVENT_GAP};
        char text[32];

        if (facts.kind == EVENT_LINK) {
                facts.state = n % LINK_STATES;
                facts.cause = n % LINK_CAUSES;
        }
        snprintf(text, sizeof(text), "event %llu", (unsigned long long)n);
        events_add(&events, &facts, text);
}

static void assert_event(const struct image_event *event, uint64_t n)
{
        char text[32];

        snprintf(text, sizeof(text), "event %llu", (unsigned long long)n);
        assert_int_equal(event->seq, n);
        assert_int_equal(event->facts.time_usec, n * 3);
        assert_int_equal(event->facts.kind, n % EVENT_GAP);
        if (event->facts.kind == EVENT_LINK) {
                assert_int_equal(event->facts.state, n % LINK_STATES);
                assert_int_equal(event->facts.cause, n % LINK_CAUSES);
        }
        assert_string_equal(event->text, text);
}

static void assert_ring(const struct events *ring, uint64_t last)
{
        uint64_t first = last > IMAGE_EVENTS ? last - IMAGE_EVENTS + 1 : 1;
        uint64_t link = last - last % EVENT_GAP;

        assert_int_equal(events_last(ring), last);
        assert_int_equal(events_first(ring), first);
        for (uint64_t seq = first; seq <= last; seq++)
                assert_event(events_get(ring, seq), seq);
        if (link)
                assert_event(events_link(ring), link);
        else
                assert_null(events_link(ring));
}

static void the_last_ones_are_kept_with_their_numbers(void **state)
{
        (void)state;
        assert_ring(&events, 0);
        for (uint64_t n = 1; n <= 3 * IMAGE_EVENTS; n++) {
                add(n);
                assert_int_equal(added, n);
                assert_ring(&events, n);
        }
}

static void the_last_event_of_the_link_outlives_the_ring(void **state)
{
        struct image_facts facts = {.kind = EVENT_CLIENT};

        (void)state;
        add(EVENT_GAP); /* of kind link */
        for (int i = 0; i < 2 * IMAGE_EVENTS; i++)
                events_add(&events, &facts, "another");
        assert_int_equal(events_link(&events)->facts.time_usec, EVENT_GAP * 3);
        assert_string_equal(events_link(&events)->text, "event 5");
}

static const char *told(const char *text)
{
        events_add(&events, &(struct image_facts){.kind = EVENT_SERVICE}, text);
        return events_get(&events, events_last(&events))->text;
}

static void a_text_is_cut_between_characters_and_can_steer_nothing(void **state)
{
        char text[4 * IMAGE_EVENT_TEXT];
        const char *kept;
        size_t size;

        (void)state;
        assert_string_equal(told("a\nb\033c"), "a\\nb\\x1bc");
        for (size_t before = 0; before < 4; before++) {
                memset(text, 'x', before);
                for (size_t i = before; i < sizeof(text) - 4; i += 3)
                        memcpy(text + i, "\xe2\x82\xac", 4);
                kept = told(text);
                size = strlen(kept);
                assert_in_range(size, IMAGE_EVENT_TEXT - 4, IMAGE_EVENT_TEXT - 1);
                assert_string_equal(kept + size - 3, "...");
                assert_int_equal((size - 3 - before) % 3, 0);
                assert_memory_equal(kept, text, size - 3);
        }
        memset(text, 'y', IMAGE_EVENT_TEXT - 1);
        text[IMAGE_EVENT_TEXT - 1] = '\0';
        assert_string_equal(told(text), text);
}

static void copy_memory(void)
{
        size_t from = offsetof(struct image, in);

        memcpy(&copy.image->header, &store.image->header, sizeof(store.image->header));
        copy.image->undo.count = store.image->undo.count;
        memcpy(copy.image->undo.entry, store.image->undo.entry, 64 * 16);
        memcpy((char *)copy.image + from, (char *)store.image + from,
               offsetof(struct image, client) - from);
}

/* Of whatever was being written, either nothing is to be seen or all. */
static void crash_here(void)
{
        struct events after;
        struct store found;

        copy_memory();
        store_hook = NULL;
        assert_int_equal(store_open(&found, dup(copy.fd)), 0);
        assert_null(recover_image(&found, &frame_spec_default));
        events_init(&after, &found, NULL, NULL);
        assert_in_range(store.image->events.seq, added, added + 1);
        assert_ring(&after, store.image->undo.count ? added : store.image->events.seq);
        store_done(&found);
        recovered++;
        store_hook = crash_here;
}

static void a_crash_at_any_store_leaves_the_last_ones_whole(void **state)
{
        (void)state;
        assert_int_equal(store_init(&copy), 0);
        for (uint64_t n = 1; n <= 2 * IMAGE_EVENTS + 30; n++) {
                /* Where the ring begins, and where it goes round. */
                bool here = n < 12 || (n > IMAGE_EVENTS - 8 && n < IMAGE_EVENTS + 12);

                store_hook = here || n > 2 * IMAGE_EVENTS + 20 ? crash_here : NULL;
                add(n);
                store_hook = NULL;
        }
        store_done(&copy);
        assert_true(recovered > 200);
        print_message("%u recovered\n", recovered);
}

static const char *check_with(uint64_t *word, uint64_t value)
{
        uint64_t old = *word;
        const char *wrong;

        *word = value;
        wrong = events_check(&store);
        *word = old;
        return wrong;
}

static void a_ring_that_cannot_be_trusted_is_refused(void **state)
{
        struct image_event *event, *link;
        char text[IMAGE_EVENT_TEXT];

        (void)state;
        for (uint64_t n = 1; n <= IMAGE_EVENTS + 50; n++)
                add(n);
        event = &store.image->event[(IMAGE_EVENTS + 40) % (IMAGE_EVENTS + 1)];
        link = &store.image->link_event[store.image->events.link - 1];
        assert_null(events_check(&store));
        assert_non_null(check_with(&event->seq, event->seq + 1));
        assert_non_null(check_with(&event->facts.kind, EVENT_GAP));
        assert_non_null(check_with(&event->facts.kind, UINT64_MAX));
        assert_non_null(check_with(&event->facts.state, LINK_STATES));
        assert_non_null(check_with(&event->facts.cause, LINK_CAUSES));
        assert_non_null(check_with(&store.image->events.seq, UINT64_MAX));
        assert_non_null(check_with(&store.image->events.seq, IMAGE_EVENTS + 51));
        assert_non_null(check_with(&store.image->events.link, 3));
        assert_non_null(check_with(&link->facts.kind, EVENT_CLIENT));
        assert_non_null(check_with(&link->seq, IMAGE_EVENTS + 51));
        memcpy(text, event->text, sizeof(text));
        memset(event->text, 'x', sizeof(event->text));
        assert_non_null(events_check(&store));
        memcpy(event->text, text, sizeof(text));
        assert_null(events_check(&store));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(the_last_ones_are_kept_with_their_numbers, start,
                                                stop),
                cmocka_unit_test_setup_teardown(the_last_event_of_the_link_outlives_the_ring, start,
                                                stop),
                cmocka_unit_test_setup_teardown(
                        a_text_is_cut_between_characters_and_can_steer_nothing, start, stop),
                cmocka_unit_test_setup_teardown(a_crash_at_any_store_leaves_the_last_ones_whole,
                                                start, stop),
                cmocka_unit_test_setup_teardown(a_ring_that_cannot_be_trusted_is_refused, start,
                                                stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
