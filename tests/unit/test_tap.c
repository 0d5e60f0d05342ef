/* SPDX-License-Identifier: MIT */
/* Those who watch what passes: who sees what, how much, and what they are told of the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "flow/tap.h"
#include "lib/feed.h"
#include "util/base64.h"

enum { WALL = 12345678 };

/* Who watches: reads as much as `limit` at once, and keeps all it was given. */
struct watcher {
        struct tap tap;
        char *replies;
        size_t size, room, limit, unread;
        size_t next; /* where the reply begins that was not looked at yet */
        unsigned given, misses, ended;
};

static char *on_room(void *subject, size_t size)
{
        struct watcher *w = subject;

        if (w->unread + size > w->limit)
                return NULL;
        if (w->room < w->size + size) {
                w->room = (w->size + size) * 2;
                w->replies = realloc(w->replies, w->room);
                assert_non_null(w->replies);
        }
        memset(w->replies + w->size, '#', size);
        return w->replies + w->size;
}

static void on_given(void *subject, size_t size)
{
        struct watcher *w = subject;

        assert_int_equal(w->replies[w->size + size - 1], '\0');
        w->size += size;
        w->unread += size;
        w->given++;
}

static void on_misses(void *subject)
{
        ((struct watcher *)subject)->misses++;
}

static void on_ended(void *subject)
{
        ((struct watcher *)subject)->ended++;
}

static const struct tap_ops ops = {on_room, on_given, on_misses, on_ended};

/* A log, and those who watch it. */
struct room {
        struct feed feed;
        struct taps taps;
        uint64_t now;
};

static void room_start(struct room *room, const struct frame_spec *spec)
{
        *room = (struct room){.now = 1000000};
        feed_start(&room->feed, spec);
        taps_init(&room->taps);
}

static void room_done(struct room *room)
{
        feed_done(&room->feed);
}

static void watch(struct room *room, struct watcher *w, bool in, bool out, uint64_t client)
{
        *w = (struct watcher){.tap = {.ops = &ops,
                                      .subject = w,
                                      .ways = {[TAP_IN] = in, [TAP_OUT] = out},
                                      .client_id = client},
                              .limit = SIZE_MAX / 2};
        taps_add(&room->taps, &w->tap);
}

static void leave(struct watcher *w)
{
        taps_remove(&w->tap);
        free(w->replies);
}

/* Passes the last `messages` of the log. */
static void pass(struct room *room, enum tap_way way, uint64_t client, uint64_t messages)
{
        const struct feed *feed = &room->feed;
        uint64_t number = feed->messages - messages;
        struct tap_batch batch = {way, client, {feed_pos(feed, number), number, 0}, messages};

        if (taps_want(&room->taps, &batch))
                taps_show(&room->taps, &feed->log, &batch, room->now, WALL);
}

/* The next reply; its message is put into bytes. */
static json_t *reply(struct watcher *w, unsigned char *bytes, size_t *size)
{
        const char *text = w->replies + w->next;
        json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *parameters;
        const char *message;

        assert_true(w->next < w->size);
        assert_non_null(whole);
        assert_true(json_is_true(json_object_get(whole, "continues")));
        w->next += strlen(text) + 1;
        parameters = json_incref(json_object_get(whole, "parameters"));
        json_decref(whole);
        message = json_string_value(json_object_get(parameters, "message"));
        assert_non_null(message);
        *size = (size_t)base64_decode(bytes, message, strlen(message));
        return parameters;
}

static uint64_t number_of(const json_t *parameters, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(parameters, key));
}

/* The next reply is message number k of the log, as people write it, or as many behind it as it
 * says were missed, which it returns; or says just that. Counts the message. */
static uint64_t assert_reply(const struct room *room, struct watcher *w, size_t k, uint64_t *seen)
{
        const struct feed *feed = &room->feed;
        static unsigned char bytes[4 << 20];
        const unsigned char *message;
        size_t size, wanted;
        json_t *parameters = reply(w, bytes, &size);
        uint64_t missed = number_of(parameters, "missed"), at;

        assert_int_equal(number_of(parameters, "timeUsec"), WALL);
        json_decref(parameters);
        if (missed && !size)
                return missed;
        (*seen)++;
        k += missed;
        assert_true(k < feed->messages);
        at = feed_pos(feed, k);
        frame_message(&feed->spec, feed->bytes.bytes + at, feed_pos(feed, k + 1) - at, &message,
                      &wanted);
        assert_int_equal(size, wanted);
        assert_memory_equal(bytes, message, size);
        return missed;
}

static uint64_t assert_message(const struct room *room, struct watcher *w, size_t k)
{
        uint64_t seen = 0, missed = assert_reply(room, w, k, &seen);

        assert_int_equal(seen, 1);
        return missed;
}

/* ---- base64 ---- */

static void base64_is_that_of_the_standard(void **state)
{
        static const char *const texts[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
        static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                            "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
        char to[16];

        (void)state;
        for (size_t i = 0; i < 7; i++) {
                size_t size = base64_size(strlen(texts[i]));

                assert_int_equal(size, strlen(coded[i]));
                base64_encode(to, texts[i], strlen(texts[i]));
                assert_memory_equal(to, coded[i], size);
                assert_int_equal(base64_decode(to, coded[i], size), strlen(texts[i]));
                assert_memory_equal(to, texts[i], strlen(texts[i]));
        }
        base64_encode(to, "\xff\xef\xbe", 3);
        assert_memory_equal(to, "/+++", 4);
}

static void base64_goes_both_ways_within_its_own_room(void **state)
{
        unsigned char bytes[400], room[600];

        (void)state;
        for (size_t size = 0; size < sizeof(bytes); size++) {
                size_t text = base64_size(size);

                for (size_t i = 0; i < size; i++)
                        bytes[i] = (unsigned char)random_number();
                memcpy(room + text - size, bytes, size);
                base64_encode((char *)room, room + text - size, size);
                assert_int_equal(base64_decode(room, (char *)room, text), size);
                assert_memory_equal(room, bytes, size);
        }
}

static void what_is_no_base64_is_refused(void **state)
{
        static const char *const bad[] = {
                "Z",    "Zg",   "Zg=",  "Zg==Zg==", "Z===",     "====", "Zm9\n",
                "Zh==", "Zm9=", "Zm-_", "=g==",     "Zm9v Zg=", "Z=g="};
        char to[16];

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                assert_true(base64_decode(to, bad[i], strlen(bad[i])) < 0);
}

/* ---- what is shown ---- */

static void every_kind_of_frame_is_shown_as_people_write_it(void **state)
{
        (void)state;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct watcher w;
                struct room room;

                room_start(&room, &k->spec);
                watch(&room, &w, true, true, 0);
                for (int batch = 0; batch < 40; batch++) {
                        size_t before = room.feed.messages;

                        s.size = 0;
                        stream_messages(&s, k, (int)random_below(40) + 1);
                        if (random_one_in(4))
                                stream_random(&s, &k->spec,
                                              k->smallest + random_size(k->largest / 4));
                        feed_bytes(&room.feed, s.bytes, s.size);
                        room.now += 1000000;
                        pass(&room, TAP_IN, 0, room.feed.messages - before);
                        for (; before < room.feed.messages; before++)
                                assert_int_equal(assert_message(&room, &w, before), 0);
                }
                assert_int_equal(w.next, w.size);
                stream_done(&s);
                leave(&w);
                room_done(&room);
        }
}

static void a_large_message_across_many_slabs_is_shown_whole(void **state)
{
        struct watcher w;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &w, true, false, 0);
        for (size_t size = 3000000; size < 3000003; size++) {
                feed_message(&room.feed, size);
                room.now += 1000000;
                pass(&room, TAP_IN, 0, 1);
                assert_int_equal(assert_message(&room, &w, room.feed.messages - 1), 0);
        }
        leave(&w);
        room_done(&room);
}

static void direction_and_client_are_told_and_select(void **state)
{
        static const struct {
                bool in, out;
                uint64_t client;
                unsigned given;
        } cases[] = {
                {true, true, 0, 5},  {true, false, 0, 3}, {false, true, 0, 2}, {true, true, 7, 3},
                {false, true, 7, 1}, {false, true, 9, 0}, {true, false, 7, 2}, {true, true, 8, 3},
        };
        struct reader reads = {.role = READER_MEMBER};

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct watcher w;
                struct room room;

                room_start(&room, &frame_spec_default);
                watch(&room, &w, cases[i].in, cases[i].out, cases[i].client);
                w.tap.reader = &reads;
                feed_message(&room.feed, 5);
                pass(&room, TAP_OUT, 7, 1);
                pass(&room, TAP_OUT, 8, 1);
                pass(&room, TAP_IN, 0, 1); /* for all */
                pass(&room, TAP_IN, 7, 1); /* dealt */
                pass(&room, TAP_IN, 8, 1);
                assert_int_equal(w.given, cases[i].given);
                assert_int_equal(w.tap.missed, 0);
                leave(&w);
                room_done(&room);
        }
}

static void the_client_of_a_message_is_told_where_there_is_one(void **state)
{
        static const char *const ways[] = {[TAP_IN] = "in", [TAP_OUT] = "out"};
        unsigned char bytes[16];
        struct watcher w;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &w, true, true, 0);
        feed_message(&room.feed, 5);
        for (uint64_t client = 0; client < 4; client++) {
                enum tap_way way = client == 3 ? TAP_OUT : TAP_IN;
                const json_t *told;
                json_t *parameters;
                size_t size;

                pass(&room, way, client == 2 ? INT64_MAX : client, 1);
                parameters = reply(&w, bytes, &size);
                told = json_object_get(parameters, "clientId");
                assert_string_equal(json_string_value(json_object_get(parameters, "direction")),
                                    ways[way]);
                assert_true(client ? json_is_integer(told) : !told);
                assert_int_equal(json_integer_value(told), client == 2 ? INT64_MAX : client);
                json_decref(parameters);
        }
        leave(&w);
        room_done(&room);
}

static void what_is_for_all_is_not_for_a_client_that_does_not_read(void **state)
{
        struct reader reader = {.role = READER_NONE};
        struct watcher w;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &w, true, true, 7);
        w.tap.reader = &reader;
        feed_message(&room.feed, 5);
        pass(&room, TAP_IN, 0, 1);
        reader.role = READER_LEAVING;
        pass(&room, TAP_IN, 0, 1);
        assert_int_equal(w.given, 0);
        reader.role = READER_WAITS; /* it gets later what comes since it is there */
        pass(&room, TAP_IN, 0, 1);
        assert_int_equal(w.given, 1);
        assert_int_equal(w.tap.missed, 0);
        leave(&w);
        room_done(&room);
}

static void a_tap_of_a_client_ends_when_it_goes(void **state)
{
        struct watcher all, seven, eight;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &seven, true, true, 7);
        watch(&room, &all, true, true, 0);
        watch(&room, &eight, true, true, 8);
        taps_client_gone(&room.taps, 7);
        assert_int_equal(seven.ended, 1);
        assert_int_equal(all.ended + eight.ended, 0);
        taps_client_gone(&room.taps, 7);
        assert_int_equal(seven.ended, 1);
        leave(&all);
        leave(&eight);
        assert_false(taps_any(&room.taps));
        room_done(&room);
}

/* ---- what is missed ---- */

static void what_it_is_too_slow_for_is_counted_exactly(void **state)
{
        (void)state;
        for (int run = 0; run < 50; run++) {
                uint64_t seen[3] = {0}, missed[3] = {0}, passed = 0;
                unsigned replies;
                struct watcher w[3];
                struct room room;

                room_start(&room, &frame_spec_default);
                for (int i = 0; i < 3; i++)
                        watch(&room, &w[i], true, true, 0);
                for (int batch = 0; batch < 60; batch++) {
                        uint64_t n = random_below(50) + 1;

                        for (uint64_t k = 0; k < n; k++)
                                feed_message(&room.feed, random_size(3000));
                        room.now += random_below(3) * 10;
                        pass(&room, random_one_in(2) ? TAP_IN : TAP_OUT, 0, n);
                        passed += n;
                        for (int i = 1; i < 3; i++) { /* the first one reads everything */
                                w[i].limit = TAP_ROOM + 20000 * (size_t)i;
                                if (random_one_in(3))
                                        w[i].unread = 0;
                        }
                }
                for (int i = 0; i < 3; i++) {
                        for (replies = 0; w[i].next < w[i].size; replies++)
                                missed[i] +=
                                        assert_reply(&room, &w[i], seen[i] + missed[i], &seen[i]);
                        assert_int_equal(seen[i] + missed[i] + w[i].tap.missed, passed);
                        assert_int_equal(replies, w[i].given);
                        leave(&w[i]);
                }
                assert_int_equal(seen[0], passed);
                assert_true(seen[1] < passed && seen[1] > 0);
                room_done(&room);
        }
}

static void one_that_does_not_read_is_not_even_walked_for(void **state)
{
        struct watcher w;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &w, true, true, 0);
        w.limit = 64 * 1024 + 2000; /* it is full when there is still room for small ones */
        for (int i = 0; i < 1000; i++) {
                feed_message(&room.feed, 64);
                pass(&room, TAP_IN, 0, 1);
        }
        assert_in_range(w.given, 5, 20);
        assert_false(taps_want(&room.taps, &(struct tap_batch){TAP_IN, 0, {0}, 1000000}));
        assert_int_equal(w.given + w.tap.missed, 1001000);
        leave(&w);
        room_done(&room);
}

static void a_message_that_does_not_fit_is_missed_and_smaller_ones_behind_it_are_not(void **state)
{
        struct watcher w;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &w, true, true, 0);
        w.limit = TAP_ROOM + 10000;
        feed_message(&room.feed, 10);
        feed_message(&room.feed, 100000);
        feed_message(&room.feed, 100000);
        feed_message(&room.feed, 10);
        pass(&room, TAP_OUT, 1, 4);
        assert_int_equal(assert_message(&room, &w, 0), 0);
        assert_int_equal(assert_message(&room, &w, 1), 2);
        assert_int_equal(w.next, w.size);
        leave(&w);
        room_done(&room);
}

/* The next reply has an empty message, and says that so many were missed. */
static void assert_notice(struct watcher *w, const char *direction, uint64_t missed)
{
        json_t *object = json_loads(w->replies + w->next, 0, NULL);
        const json_t *parameters = json_object_get(object, "parameters");

        w->next += strlen(w->replies + w->next) + 1;
        assert_true(json_is_true(json_object_get(object, "continues")));
        assert_string_equal(json_string_value(json_object_get(parameters, "direction")), direction);
        assert_int_equal(number_of(parameters, "timeUsec"), WALL);
        assert_int_equal(number_of(parameters, "missed"), missed);
        assert_string_equal(json_string_value(json_object_get(parameters, "message")), "");
        assert_int_equal(json_object_size(parameters), 4);
        json_decref(object);
}

static void what_was_missed_at_the_end_is_told_with_an_empty_message(void **state)
{
        struct watcher w;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &w, true, true, 0);
        tap_tell_missed(&w.tap, WALL); /* nothing was */
        assert_int_equal(w.given, 0);
        w.limit = 100;
        for (int i = 0; i < 3; i++)
                feed_message(&room.feed, 50);
        pass(&room, TAP_IN, 0, 2);
        pass(&room, TAP_OUT, 1, 1);
        assert_int_equal(w.misses, 1); /* it is not told for each */
        tap_tell_missed(&w.tap, WALL);
        assert_int_equal(w.tap.missed, 3); /* there is no room for it either */
        w.limit = TAP_ROOM * 2;
        tap_tell_missed(&w.tap, WALL);
        assert_notice(&w, "out", 3);
        tap_tell_missed(&w.tap, WALL);
        feed_message(&room.feed, 50);
        pass(&room, TAP_IN, 0, 1);
        assert_int_equal(assert_message(&room, &w, 3), 0);
        w.limit = 100; /* one that is empty itself comes behind it */
        feed_message(&room.feed, 50);
        pass(&room, TAP_IN, 0, 1);
        w.limit = TAP_ROOM * 2;
        feed_message(&room.feed, 0);
        pass(&room, TAP_OUT, 0, 1);
        assert_notice(&w, "out", 1);
        assert_int_equal(assert_message(&room, &w, 5), 0);
        assert_int_equal(w.next, w.size);
        leave(&w);
        room_done(&room);
}

static void together_they_get_so_much_a_second_and_no_more(void **state)
{
        struct watcher a, b;
        struct room room;

        (void)state;
        room_start(&room, &frame_spec_default);
        watch(&room, &a, true, false, 0);
        watch(&room, &b, true, false, 0);
        for (int i = 0; i < 100; i++)
                feed_message(&room.feed, 9000);
        for (int i = 0; i < 10; i++)
                pass(&room, TAP_IN, 0, 100); /* the same ones, in no time */
        assert_in_range(a.size + b.size, TAP_BURST, TAP_BURST + 20000);
        assert_true(a.given > 100);
        assert_in_range(b.given, a.given - 1, a.given + 1);
        assert_int_equal(a.given + a.tap.missed, 1000);
        assert_int_equal(b.given + b.tap.missed, 1000);
        a.size = b.size = a.given = b.given = 0;
        a.tap.missed = b.tap.missed = 0;
        for (int i = 0; i < 1000; i++) {
                room.now += 1234; /* not whole milliseconds */
                pass(&room, TAP_IN, 0, 100);
        }
        assert_in_range(a.size + b.size, TAP_BYTES_A_SECOND * 1.2, TAP_BYTES_A_SECOND * 1.25);
        leave(&a);
        leave(&b);
        room_done(&room);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(base64_is_that_of_the_standard),
                cmocka_unit_test(base64_goes_both_ways_within_its_own_room),
                cmocka_unit_test(what_is_no_base64_is_refused),
                cmocka_unit_test(every_kind_of_frame_is_shown_as_people_write_it),
                cmocka_unit_test(a_large_message_across_many_slabs_is_shown_whole),
                cmocka_unit_test(direction_and_client_are_told_and_select),
                cmocka_unit_test(the_client_of_a_message_is_told_where_there_is_one),
                cmocka_unit_test(what_is_for_all_is_not_for_a_client_that_does_not_read),
                cmocka_unit_test(a_tap_of_a_client_ends_when_it_goes),
                cmocka_unit_test(what_it_is_too_slow_for_is_counted_exactly),
                cmocka_unit_test(one_that_does_not_read_is_not_even_walked_for),
                cmocka_unit_test(
                        a_message_that_does_not_fit_is_missed_and_smaller_ones_behind_it_are_not),
                cmocka_unit_test(what_was_missed_at_the_end_is_told_with_an_empty_message),
                cmocka_unit_test(together_they_get_so_much_a_second_and_no_more),
        };

        random_start("taps");
        return cmocka_run_group_tests(tests, NULL, NULL);
}
