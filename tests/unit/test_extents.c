/* SPDX-License-Identifier: MIT */
/* Cursors that read what is given to each of them. */
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

static struct log_place place_of(const struct feed *feed, size_t number)
{
        return (struct log_place){feed_pos(feed, number), number, 0};
}

static void extend(struct scene *s, struct reader *r, size_t from, size_t to)
{
        size_t last = r->first + r->n;

        assert_int_equal(
                cursor_extend(&r->cursor, place_of(&s->feed, from), place_of(&s->feed, to)), 0);
        if (r->n && r->range[last - 1].to == feed_pos(&s->feed, from)) {
                r->range[last - 1].to = feed_pos(&s->feed, to);
                return;
        }
        if (last == RANGES) {
                memmove(r->range, r->range + r->first, r->n * sizeof(r->range[0]));
                r->first = 0;
                last = r->n;
        }
        assert_true(last < RANGES);
        r->range[last].from = feed_pos(&s->feed, from);
        r->range[last].to = feed_pos(&s->feed, to);
        r->n++;
}

/* Gives all messages from number `from` on to readers that are there, some in a row to one. */
static void deal(struct scene *s, size_t from, int first, int n)
{
        int i = first + (int)random_below((uint64_t)n);

        while (from < s->feed.messages) {
                size_t to = from + 1 + random_size(40);

                to = to < s->feed.messages ? to : s->feed.messages;
                if (!random_one_in(3))
                        i = first + (int)random_below((uint64_t)n);
                if (!s->reader[i].there)
                        reader_open(s, i, false);
                extend(s, &s->reader[i], from, to);
                from = to;
        }
}

static bool drop_empty(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        (void)context;
        (void)slab;
        (void)pos;
        (void)size;
        return true;
}

static bool is_empty(const struct frame_spec *spec, const unsigned char *frame, size_t size)
{
        (void)frame;
        return size == frame_overhead(spec);
}

static const struct log_filter no_empty = {{0, 0}, drop_empty, NULL, 0};

static void extents_are_read_in_order_each_by_its_reader(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 3) {
                struct scene *s = scene_new(&k->spec);

                if (!k->smallest) {
                        s->feed.filter = &no_empty;
                        s->feed.leaves_out = is_empty;
                }
                for (int step = 0; step < 200; step++) {
                        int i = (int)random_below(READERS);
                        size_t from = s->feed.messages;

                        feed_some(s, (int)random_below(30), k->largest);
                        deal(s, from, 0, READERS);
                        for (int j = 0; j < READERS; j++)
                                if (s->reader[j].there && random_one_in(2))
                                        reader_read(s, &s->reader[j], random_size(300000));
                        if (!s->reader[i].there)
                                continue;
                        reader_check(s, &s->reader[i]);
                        if (random_one_in(20))
                                reader_close(&s->reader[i]);
                        if (random_one_in(60))
                                scene_recovers(s);
                }
                for (int i = 0; i < READERS; i++) {
                        if (!s->reader[i].there)
                                continue;
                        reader_read(s, &s->reader[i], SIZE_MAX);
                        reader_check(s, &s->reader[i]);
                        assert_int_equal(s->reader[i].n, 0);
                }
                assert_true(feed_is_small(&s->feed));
                scene_free(s);
        }
}

static void extents_and_open_readers_share_a_log(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        for (int step = 0; step < 600; step++) {
                struct reader *tap = &s->reader[random_below(3)];
                size_t from = s->feed.messages;

                feed_some(s, (int)random_below(30), 60000);
                deal(s, from, 3, READERS - 3);
                if (!tap->there)
                        reader_open(s, (int)(tap - s->reader), true);
                else if (random_one_in(30))
                        reader_close(tap);
                else
                        reader_read(s, tap, random_size(1 << 20));
                for (int j = 3; j < READERS; j++)
                        if (s->reader[j].there && random_one_in(2))
                                reader_read(s, &s->reader[j], random_size(1 << 20));
                if (s->reader[4].there)
                        reader_check(s, &s->reader[4]);
                if (random_one_in(60))
                        scene_recovers(s);
        }
        scene_free(s);
}

/* One has a message at the very beginning and hangs; the others' slabs behind it go. */
static void slabs_in_the_middle_are_freed_while_one_reader_hangs(void **unused)
{
        static const size_t bodies[] = {60, 100, 252, 8188, 20000, 65532};

        (void)unused;
        for (size_t b = 0; b < 2 * sizeof(bodies) / sizeof(*bodies); b++) {
                size_t body = bodies[b / 2], a_read = 4 * IMAGE_SLAB_SIZE / (body + 4);
                struct scene *s = scene_new(&frame_spec_default);

                if (b % 2) { /* cut at heartbeats, too */
                        s->feed.filter = &no_empty;
                        s->feed.leaves_out = is_empty;
                }
                reader_open(s, 0, false);
                feed_message(&s->feed, body);
                extend(s, &s->reader[0], 0, 1);
                feed_align(&s->feed, 2 * IMAGE_SLAB_SIZE);
                for (int round = 0; round < 60; round++) {
                        size_t from = s->feed.messages;
                        struct stream bytes = {0};

                        for (size_t i = 0; i < a_read; i++) {
                                if (b % 2 && (i == 0 || random_one_in(3)))
                                        stream_frame(&bytes, &s->feed.spec, NULL, 0);
                                stream_random(&bytes, &s->feed.spec, body);
                        }
                        feed_bytes(&s->feed, bytes.bytes, bytes.size);
                        stream_done(&bytes);
                        deal(s, from, 1, 5);
                        for (int j = 1; j < 6; j++)
                                if (s->reader[j].there)
                                        reader_read(s, &s->reader[j], SIZE_MAX);
                        assert_true(s->feed.store.used_bytes <= 6 * IMAGE_SLAB_SIZE);
                        scene_recovers(s);
                }
                reader_check(s, &s->reader[0]);
                scene_free(s);
        }
}

/* The end leaves a slab whose readers are through; what came behind them waits to be dealt. */
static void what_is_dealt_late_is_still_there(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        reader_open(s, 0, false);
        reader_open(s, 1, false);
        feed_align(&s->feed, IMAGE_SLAB_SIZE + 1000);
        extend(s, &s->reader[0], 0, 1);
        extend(s, &s->reader[1], 1, s->feed.messages);
        reader_read(s, &s->reader[1], SIZE_MAX);
        for (uint64_t slab = 2; slab < 6; slab++) {
                size_t from = s->feed.messages;

                feed_align(&s->feed, slab * IMAGE_SLAB_SIZE);
                feed_align(&s->feed, slab * IMAGE_SLAB_SIZE + 1000);
                extend(s, &s->reader[1], from, s->feed.messages);
                reader_check(s, &s->reader[1]);
                reader_read(s, &s->reader[1], SIZE_MAX);
        }
        scene_free(s);
}

/* The slab of the last mark goes out of the middle and comes again within the same millisecond. */
static void a_slab_that_comes_again_tells_of_what_it_holds_now(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        reader_open(s, 0, false);
        reader_open(s, 1, false);
        feed_align(&s->feed, IMAGE_SLAB_SIZE);
        extend(s, &s->reader[0], 0, s->feed.messages);
        for (int i = 0; i < 4; i++) {
                size_t from = s->feed.messages;

                feed_message(&s->feed, 2 * IMAGE_SLAB_SIZE - 4);
                extend(s, &s->reader[1], from, from + 1);
                reader_read(s, &s->reader[1], SIZE_MAX);
                feed_message(&s->feed, 96);
                feed_message(&s->feed, IMAGE_SLAB_SIZE - 104);
                extend(s, &s->reader[1], from + 1, from + 3);
                reader_read(s, &s->reader[1], 50);
                reader_check(s, &s->reader[1]);
                scene_recovers(s);
                reader_read(s, &s->reader[1], SIZE_MAX);
        }
        scene_free(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(extents_are_read_in_order_each_by_its_reader),
                cmocka_unit_test(extents_and_open_readers_share_a_log),
                cmocka_unit_test(slabs_in_the_middle_are_freed_while_one_reader_hangs),
                cmocka_unit_test(what_is_dealt_late_is_still_there),
                cmocka_unit_test(a_slab_that_comes_again_tells_of_what_it_holds_now),
        };

        random_start("extents");
        return cmocka_run_group_tests_name("extents", tests, NULL, NULL);
}
