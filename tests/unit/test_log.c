/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/feed.h"
#include "lib/stream.h"

static void a_stream_torn_in_two_at_any_byte_is_whole_again(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct follower r;

                follower_start(&r, &k->spec);
                stream_messages(&s, k, 12);
                for (size_t cut = 1; cut < s.size; cut++) {
                        struct log_taken taken = feed_bytes(&r.feed, s.bytes, cut);

                        assert_int_equal(taken.result, FRAME_MORE);
                        taken = feed_bytes(&r.feed, s.bytes + cut, s.size - cut);
                        assert_int_equal(taken.result, FRAME_MORE);
                        assert_int_equal(r.feed.tail.size, 0);
                }
                follower_done(&r);
                stream_done(&s);
        }
}

static void frames_and_headers_straddle_slabs_at_every_byte(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                size_t reach = frame_overhead(&k->spec) + 6;
                struct follower r;

                follower_start(&r, &k->spec);
                reach = reach > 12 ? 12 : reach;
                for (size_t before = 0; before <= reach; before++) {
                        struct stream s = {0};

                        feed_align(&r.feed, (before + 1) * IMAGE_SLAB_SIZE - before);
                        stream_messages(&s, k, 4);
                        for (size_t i = 0; i < s.size; i++) {
                                struct log_taken taken = feed_bytes(&r.feed, s.bytes + i, 1);

                                assert_int_equal(taken.result, FRAME_MORE);
                        }
                        stream_done(&s);
                }
                follower_done(&r);
        }
}

static void thousands_of_messages_come_in_one_read(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct follower r;

                follower_start(&r, &k->spec);
                stream_messages(&s, k, 20000);
                for (size_t cut = 0; cut < 9; cut += 4) {
                        struct log_taken taken = feed_bytes(&r.feed, s.bytes, s.size - cut);

                        assert_int_equal(taken.result, FRAME_MORE);
                        feed_bytes(&r.feed, s.bytes + s.size - cut, cut);
                        assert_int_equal(r.feed.tail.size, 0);
                }
                assert_int_equal(r.feed.messages, 60000);
                follower_done(&r);
                stream_done(&s);
        }
}

static void random_sizes_come_in_random_pieces(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct follower r;

                follower_start(&r, &k->spec);
                while (r.feed.bytes.size < 2 << 20 && r.feed.messages < 5000) {
                        size_t done = 0;

                        s.size = 0;
                        for (int i = 0; i < 20; i++) {
                                uint64_t body = random_size(k->largest);

                                stream_random(&s, &k->spec,
                                              body < k->smallest ? k->smallest : body);
                        }
                        while (done < s.size) {
                                size_t chunk = 1 + random_size(300000) + s.size / 1000;

                                chunk = chunk < s.size - done ? chunk : s.size - done;
                                feed_bytes(&r.feed, s.bytes + done, chunk);
                                done += chunk;
                                if (random_one_in(4))
                                        feed_read(&r.feed, &r.cursor, random_size(100000));
                        }
                }
                follower_done(&r);
                stream_done(&s);
        }
}

static void the_largest_message_is_taken_and_a_larger_one_is_told(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                struct log_taken taken;
                struct stream s = {0};
                struct follower r;

                spec.max_message_size = k->largest <= 200000 ? k->largest - 1 : 200000;
                follower_start(&r, &spec);
                feed_message(&r.feed, spec.max_message_size);
                feed_message(&r.feed, spec.max_message_size);
                stream_random(&s, &spec, k->smallest);
                stream_random(&s, &spec, spec.max_message_size + 1);
                taken = feed_bytes(&r.feed, s.bytes, s.size);
                assert_int_equal(taken.result, FRAME_TOO_LARGE);
                assert_int_equal(taken.messages, 1);
                assert_int_equal(taken.declared,
                                 spec.type == FRAME_LENGTH
                                         ? kind_length(&spec, spec.max_message_size + 1)
                                         : 0);
                follower_done(&r);
                stream_done(&s);
        }
}

static void a_line_is_too_large_as_soon_as_that_is_sure(void **unused)
{
        unsigned char *text = malloc(150000);

        (void)unused;
        memset(text, 'x', 150000);
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                size_t sure = 100000 + spec.delimiter_size;
                struct log_taken taken;
                struct follower r;

                if (spec.type != FRAME_DELIMITER)
                        continue;
                spec.max_message_size = 100000;
                follower_start(&r, &spec);
                feed_message(&r.feed, 77);
                taken = feed_chunks(&r.feed, text, sure - 1, 30000);
                assert_int_equal(taken.result, FRAME_MORE);
                taken = feed_bytes(&r.feed, text, 1);
                assert_int_equal(taken.result, FRAME_TOO_LARGE);
                follower_done(&r);
        }
        free(text);
}

static void what_is_before_a_broken_length_is_taken(void **unused)
{
        static const char *const bad[] = {"12x4", "-001", "00 1", "\xff\xff\xff\xff"};
        const struct kind *k = kinds;

        (void)unused;
        while (k->spec.format != FRAME_DECIMAL || k->spec.length_size != 4)
                k++;
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                for (uint64_t end = IMAGE_SLAB_SIZE - 4; end <= IMAGE_SLAB_SIZE; end++) {
                        struct log_taken taken;
                        struct follower r;

                        follower_start(&r, &k->spec);
                        feed_align(&r.feed, end - 7);
                        taken = feed_bytes(&r.feed, "0003abc", 7);
                        assert_int_equal(taken.messages, 1);
                        taken = feed_chunks(&r.feed, bad[i], 3, 1);
                        assert_int_equal(taken.result, FRAME_MORE);
                        taken = feed_bytes(&r.feed, bad[i] + 3, 1);
                        assert_int_equal(taken.result, FRAME_BROKEN);
                        assert_int_equal(taken.total, 0);
                        follower_done(&r);
                }
        }
}

static void the_limit_holds_for_slabs_that_are_used_again(void **unused)
{
        struct iovec iov[64];
        struct follower r;
        uint64_t fill;

        (void)unused;
        follower_start(&r, &kinds[0].spec);
        for (int i = 0; i < 20; i++)
                feed_message(&r.feed, 60000);
        feed_read(&r.feed, &r.cursor, SIZE_MAX);
        fill = r.feed.log.image->end;
        r.feed.store.limit_bytes = r.feed.store.used_bytes + 2 * IMAGE_SLAB_SIZE;
        assert_in_range(log_room(&r.feed.log, fill, 1 << 20, iov, 64), 2, 3);
        assert_true(r.feed.store.used_bytes <= r.feed.store.limit_bytes);
        fill += iov[0].iov_len + 2 * IMAGE_SLAB_SIZE;
        assert_int_equal(log_room(&r.feed.log, fill, 1, iov, 64), 0);
        r.feed.store.limit_bytes = UINT64_MAX;
        assert_int_equal(log_room(&r.feed.log, fill, 1, iov, 64), 1);
        follower_done(&r);
}

static void room_that_was_made_ready_stays_where_it_was(void **unused)
{
        struct iovec first[8], again[8];
        struct follower r;
        int n;

        (void)unused;
        follower_start(&r, &kinds[0].spec);
        feed_align(&r.feed, 5000);
        n = log_room(&r.feed.log, 5000, 300000, first, 8);
        assert_int_equal(n, 5);
        assert_int_equal(log_room(&r.feed.log, 5000 + first[0].iov_len + 7, 300000, again, 3), 3);
        assert_ptr_equal(again[0].iov_base, (unsigned char *)first[1].iov_base + 7);
        assert_ptr_equal(again[1].iov_base, first[2].iov_base);
        assert_int_equal(log_room(&r.feed.log, 5000, 300000, again, 8), 5);
        assert_memory_equal(first, again, sizeof(first[0]) * 5);
        follower_done(&r);
}

/* ---- marks ---- */

static uint64_t mark_at(const struct feed *feed, uint64_t pos, uint32_t *origin)
{
        uint64_t hint = 0, far = feed->log.image->mark_next, stale = random_below(far + 1);
        const struct image_mark *mark = log_find_mark(&feed->log, pos, &hint);

        assert_non_null(mark);
        assert_ptr_equal(log_find_mark(&feed->log, pos, &far), mark);
        assert_ptr_equal(log_find_mark(&feed->log, pos, &stale), mark);
        *origin = (uint32_t)mark->where;
        return mark->time_usec;
}

static void marks_tell_the_time_to_the_millisecond_and_the_origin_of_long_runs(void **unused)
{
        uint32_t origin_of[4000], origin, known = 0;
        struct follower r;

        (void)unused;
        follower_start(&r, &kinds[0].spec);
        for (int i = 0; i < 4000; i++) {
                r.feed.now += random_one_in(3) ? random_below(5000) : random_below(300);
                if (random_one_in(5))
                        r.feed.origin = 1 + (uint32_t)random_below(3);
                origin_of[i] = r.feed.origin;
                feed_message(&r.feed, random_size(2000));
        }
        for (int i = 0; i < 4000; i++) {
                uint64_t time = mark_at(&r.feed, feed_pos(&r.feed, (size_t)i), &origin);

                assert_true(time >= r.feed.message[i].time && time < r.feed.message[i].time + 1000);
                assert_true(origin == 0 || origin == origin_of[i]);
                known += origin != 0;
        }
        assert_true(known > 1000);
        follower_done(&r);
}

/* Who asks where a message begins or ends while a reader is within it asks at each write. The
 * delimiters that are written behind the first slab would be found by a search. */
static void a_long_line_is_not_searched_again(void **unused)
{
        enum { LONG = 5 * IMAGE_SLAB_SIZE + 100 };

        const struct frame_spec spec = {.type = FRAME_DELIMITER,
                                        .delimiter = "\r\n",
                                        .delimiter_size = 2,
                                        .max_message_size = LONG};
        static unsigned char bytes[LONG + 2];
        struct log_place place;
        struct follower r;

        (void)unused;
        follower_start(&r, &spec);
        memset(bytes, 'x', LONG);
        memcpy(bytes + LONG, "\r\n", 2);
        feed_bytes(&r.feed, (const unsigned char *)"ab\r\ncd\r\n", 8);
        feed_bytes(&r.feed, bytes, sizeof(bytes));
        feed_bytes(&r.feed, bytes, sizeof(bytes));
        feed_bytes(&r.feed, (const unsigned char *)"ef\r\n", 4);
        for (uint64_t at = IMAGE_SLAB_SIZE; at < 8 + LONG; at += 5000)
                log_write(&r.feed.log, SLAB_NONE, at, "\r\n", 2);
        place = log_place(&r.feed.log, 8 + LONG - 1);
        assert_int_equal(place.pos, 8);
        assert_int_equal(place.number, 2);
        place = log_behind(&r.feed.log, place);
        assert_int_equal(place.pos, 8 + LONG + 2);
        assert_int_equal(place.number, 3);
        place = log_behind(&r.feed.log, place);
        assert_int_equal(place.pos, 8 + 2 * (LONG + 2));
        assert_int_equal(log_place(&r.feed.log, place.pos + 1).pos, place.pos);
        assert_int_equal(log_behind(&r.feed.log, place).number, 5);
        assert_int_equal(log_place(&r.feed.log, 5).pos, 4);
        for (uint64_t at = IMAGE_SLAB_SIZE; at < 8 + LONG; at += 5000)
                log_write(&r.feed.log, SLAB_NONE, at, "xx", 2);
        follower_done(&r);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_stream_torn_in_two_at_any_byte_is_whole_again),
                cmocka_unit_test(frames_and_headers_straddle_slabs_at_every_byte),
                cmocka_unit_test(thousands_of_messages_come_in_one_read),
                cmocka_unit_test(random_sizes_come_in_random_pieces),
                cmocka_unit_test(the_largest_message_is_taken_and_a_larger_one_is_told),
                cmocka_unit_test(a_line_is_too_large_as_soon_as_that_is_sure),
                cmocka_unit_test(what_is_before_a_broken_length_is_taken),
                cmocka_unit_test(the_limit_holds_for_slabs_that_are_used_again),
                cmocka_unit_test(a_long_line_is_not_searched_again),
                cmocka_unit_test(room_that_was_made_ready_stays_where_it_was),
                cmocka_unit_test(
                        marks_tell_the_time_to_the_millisecond_and_the_origin_of_long_runs),
        };

        random_start("log");
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
