/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/scene.h"
#include "lib/stream.h"

/* ---- open cursors ---- */

static void readers_of_an_empty_log_get_all_that_comes(void **unused)
{
        (void)unused;
        for (int slow = 0; slow < 2; slow++) {
                struct scene *s = scene_new(&frame_spec_default);

                reader_open(s, 0, true);
                reader_open(s, 1, true);
                reader_open(s, 2, true);
                reader_close(&s->reader[2]);
                for (int i = 0; i < 20; i++)
                        feed_message(&s->feed, 20000);
                reader_read(s, &s->reader[0], SIZE_MAX);
                /* One that comes and goes takes nothing away from another. */
                reader_open(s, 2, true);
                reader_close(&s->reader[2]);
                reader_check(s, &s->reader[0]);
                reader_check(s, &s->reader[1]);
                assert_int_equal(reader_read(s, &s->reader[1], slow ? 70000 : SIZE_MAX),
                                 slow ? 70000 : s->feed.bytes.size);
                if (slow)
                        reader_close(&s->reader[1]);
                assert_true(feed_is_small(&s->feed));
                scene_free(s);
        }
}

static void memory_does_not_grow_with_what_was_read(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 5) {
                struct scene *s = scene_new(&k->spec);
                uint64_t most = 0;

                reader_open(s, 0, true);
                reader_open(s, 1, true);
                for (int i = 0; i < 3000; i++) {
                        feed_some(s, 20, k->largest < 5000 ? k->largest : 5000);
                        reader_read(s, &s->reader[0], SIZE_MAX);
                        reader_read(s, &s->reader[1], SIZE_MAX);
                        if (s->feed.store.used_bytes > most)
                                most = s->feed.store.used_bytes;
                }
                assert_true(s->feed.bytes.size > 100000);
                assert_true(most <= 8 * IMAGE_SLAB_SIZE);
                assert_true(s->feed.store.slabs <= 16);
                scene_free(s);
        }
}

static void a_slow_reader_keeps_what_it_has_not_read_and_no_more(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        reader_open(s, 0, true);
        reader_open(s, 1, true);
        for (int i = 0; i < 200; i++) {
                feed_some(s, 30, 3000);
                reader_read(s, &s->reader[0], SIZE_MAX);
                if (i > 50)
                        reader_read(s, &s->reader[1], random_below(60000));
                assert_true(s->feed.store.used_bytes <=
                            cursor_waiting(&s->reader[1].cursor) + 6 * IMAGE_SLAB_SIZE);
        }
        reader_check(s, &s->reader[1]);
        reader_close(&s->reader[1]);
        assert_true(feed_is_small(&s->feed));
        scene_free(s);
}

/* ---- jumps ---- */

static void jump(struct scene *s, struct reader *r, size_t number)
{
        uint64_t to = feed_pos(&s->feed, number), from = r->range[r->first].from;
        size_t at = feed_number(&s->feed, from);
        struct count skipped = {0, 0}, is;

        if (r->n == 2) {
                uint64_t open_from = r->range[r->first + 1].from;

                if (to > open_from) {
                        skipped = whole_between(&s->feed, open_from, to);
                        r->range[r->first + 1].from = to;
                }
        } else if (feed_pos(&s->feed, at) == from) {
                if (to > from) {
                        skipped = whole_between(&s->feed, from, to);
                        r->range[r->first].from = to;
                }
        } else if (feed_pos(&s->feed, at + 1) < to) {
                skipped = whole_between(&s->feed, feed_pos(&s->feed, at + 1), to);
                r->first = 0;
                r->n = 2;
                r->range[0].from = from;
                r->range[0].to = feed_pos(&s->feed, at + 1);
                r->range[1].from = to;
                r->range[1].to = UINT64_MAX;
        }
        is = cursor_jump(&r->cursor, to);
        assert_int_equal(is.messages, skipped.messages);
        assert_int_equal(is.bytes, skipped.bytes);
        r->skipped = count_add(r->skipped, skipped);
        if (r->n == 1 && r->first) { /* the open range is the only one again */
                r->range[0] = r->range[r->first];
                r->first = 0;
        }
}

static void a_jump_at_a_boundary_skips_at_once(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct reader *r = &s->reader[0];

        (void)unused;
        reader_open(s, 0, true);
        for (int i = 0; i < 40; i++)
                feed_message(&s->feed, 10000);
        jump(s, r, 7);
        reader_check(s, r);
        jump(s, r, 3); /* back: nothing */
        jump(s, r, 7);
        assert_int_equal(reader_read(s, r, 10004), 10004);
        reader_check(s, r);
        jump(s, r, 40);
        reader_check(s, r);
        assert_int_equal(r->skipped.messages, 39);
        assert_int_equal(reader_read(s, r, SIZE_MAX), 0);
        assert_true(feed_is_small(&s->feed));
        scene_free(s);
}

/* It may take its time for the one message: what the others are through with is gone. */
static void who_is_in_a_message_and_jumps_keeps_that_message_and_no_more(void **unused)
{
        for (int quick = 1; quick <= 3; quick++) {
                struct scene *s = scene_new(&frame_spec_default);
                struct reader *slow = &s->reader[0];

                (void)unused;
                for (int i = 0; i <= quick; i++)
                        reader_open(s, i, true);
                feed_message(&s->feed, 300000);
                assert_int_equal(reader_read(s, slow, 1000), 1000);
                for (int i = 0; i < 100; i++) {
                        feed_some(s, 20, i % 2 ? 400000 : 20000);
                        jump(s, slow, s->feed.messages);
                        for (int k = 1; k <= quick; k++)
                                reader_read(s, &s->reader[k], i % 7 == k ? 60000 : SIZE_MAX);
                        reader_check(s, slow);
                        if (i % 10 == 9) {
                                for (int k = 1; k <= quick; k++)
                                        reader_read(s, &s->reader[k], SIZE_MAX);
                                assert_true(s->feed.store.used_bytes <= 12 * IMAGE_SLAB_SIZE);
                        }
                        if (i % 40 == 39)
                                scene_recovers(s);
                }
                reader_read(s, slow, SIZE_MAX);
                for (int i = 0; i <= quick; i++)
                        reader_check(s, &s->reader[i]);
                scene_free(s);
        }
}

static void a_jump_in_a_message_finishes_it_first(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct reader *r = &s->reader[0];

        (void)unused;
        reader_open(s, 0, true);
        feed_message(&s->feed, 300000);
        for (int i = 0; i < 40; i++)
                feed_message(&s->feed, 10000);
        for (int round = 0; round < 3; round++) {
                size_t next = feed_number(&s->feed, r->range[r->first].from) + 1;

                reader_read(s, r, round ? 1 : 70000);
                jump(s, r, next); /* what it does anyway */
                jump(s, r, next + 3);
                jump(s, r, next + 2);
                jump(s, r, next + 5);
                reader_check(s, r);
                reader_read(s, r, 1);
                jump(s, r, next + 6);
                reader_check(s, r);
                reader_read(s, r, feed_pos(&s->feed, next) - r->range[r->first].from);
                reader_check(s, r);
                assert_int_equal(r->range[r->first].from, feed_pos(&s->feed, next + 6));
        }
        reader_read(s, r, 5);
        jump(s, r, 41);
        reader_check(s, r);
        feed_message(&s->feed, 5);
        reader_check(s, r);
        reader_read(s, r, SIZE_MAX);
        assert_int_equal(r->delivered.messages + r->skipped.messages, 42);
        assert_true(feed_is_small(&s->feed));
        scene_free(s);
}

static void random_readers_come_read_jump_and_go(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 3) {
                struct scene *s = scene_new(&k->spec);

                for (int step = 0; step < 1000; step++) {
                        int i = (int)random_below(READERS);
                        struct reader *r = &s->reader[i];

                        if (random_one_in(6))
                                feed_some(s, (int)random_below(30), k->largest);
                        if (!r->there) {
                                if (random_one_in(4))
                                        reader_open(s, i, true);
                                continue;
                        }
                        if (random_one_in(60))
                                reader_close(r);
                        else if (random_one_in(5) && s->feed.messages)
                                jump(s, r, s->feed.messages - random_below(30) % s->feed.messages);
                        else
                                reader_read(s, r, 1 + random_size(300000));
                        if (r->there)
                                reader_check(s, r);
                        if (random_one_in(200))
                                scene_recovers(s);
                }
                scene_free(s);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(readers_of_an_empty_log_get_all_that_comes),
                cmocka_unit_test(memory_does_not_grow_with_what_was_read),
                cmocka_unit_test(a_slow_reader_keeps_what_it_has_not_read_and_no_more),
                cmocka_unit_test(a_jump_at_a_boundary_skips_at_once),
                cmocka_unit_test(who_is_in_a_message_and_jumps_keeps_that_message_and_no_more),
                cmocka_unit_test(a_jump_in_a_message_finishes_it_first),
                cmocka_unit_test(random_readers_come_read_jump_and_go),
        };

        random_start("cursor");
        return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
