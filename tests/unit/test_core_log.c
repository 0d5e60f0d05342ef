/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed.h"
#include "stream.h"

/* Small messages, among them empty ones, as far as this kind of frame knows them. */
static void add_messages(struct stream *s, const struct kind *k, int n)
{
        for (int i = 0; i < n; i++) {
                uint64_t body = random_one_in(4) ? 0 : random_below(14);

                body = body < k->smallest ? k->smallest : body;
                stream_random(s, &k->spec, body > k->largest ? k->largest : body);
        }
}

/* Of what is still there: from a reader's place on. */
static void check_places(const struct feed *feed, uint64_t from)
{
        struct log_place place = log_place(&feed->log, feed->bytes.size);

        assert_int_equal(place.pos, feed->bytes.size);
        assert_int_equal(place.number, feed->messages);
        assert_int_equal(place.time_usec, 0);
        for (int i = 0; i < 40 && from < feed->bytes.size; i++) {
                uint64_t pos = from + random_below(feed->bytes.size - from);
                size_t number = feed_number(feed, pos);

                place = log_place(&feed->log, pos);
                assert_int_equal(place.pos, feed_pos(feed, number));
                assert_int_equal(place.number, number);
                place = log_behind(&feed->log, place);
                assert_int_equal(place.pos, feed_pos(feed, number + 1));
                assert_int_equal(place.number, number + 1);
        }
}

struct reader {
        struct feed feed;
        struct cursor cursor; /* open since the start */
};

static void reader_start(struct reader *r, const struct frame_spec *spec)
{
        feed_start(&r->feed, spec);
        cursor_init(&r->cursor, &r->feed.log, &r->feed.store.image->client[0].cursor, true);
}

/* Everything that the model has is there. */
static void reader_done(struct reader *r)
{
        check_places(&r->feed, r->cursor.image->pos);
        feed_read(&r->feed, &r->cursor, SIZE_MAX);
        assert_int_equal(r->cursor.image->pos, r->feed.bytes.size);
        slabs_free(&r->feed.store, log_cut(&r->feed.log));
        assert_true(feed_is_small(&r->feed));
        cursor_done(&r->cursor);
        feed_done(&r->feed);
}

static void a_stream_torn_in_two_at_any_byte_is_whole_again(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct reader r;

                reader_start(&r, &k->spec);
                add_messages(&s, k, 12);
                for (size_t cut = 1; cut < s.size; cut++) {
                        struct log_taken taken = feed_bytes(&r.feed, s.bytes, cut);

                        assert_int_equal(taken.result, FRAME_MORE);
                        taken = feed_bytes(&r.feed, s.bytes + cut, s.size - cut);
                        assert_int_equal(taken.result, FRAME_MORE);
                        assert_int_equal(r.feed.tail.size, 0);
                }
                reader_done(&r);
                stream_done(&s);
        }
}

static void frames_and_headers_straddle_slabs_at_every_byte(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                size_t reach = frame_overhead(&k->spec) + 6;
                struct reader r;

                reader_start(&r, &k->spec);
                reach = reach > 12 ? 12 : reach;
                for (size_t before = 0; before <= reach; before++) {
                        struct stream s = {0};

                        feed_align(&r.feed, (before + 1) * IMAGE_SLAB_SIZE - before);
                        add_messages(&s, k, 4);
                        for (size_t i = 0; i < s.size; i++) {
                                struct log_taken taken = feed_bytes(&r.feed, s.bytes + i, 1);

                                assert_int_equal(taken.result, FRAME_MORE);
                        }
                        stream_done(&s);
                }
                reader_done(&r);
        }
}

static void thousands_of_messages_come_in_one_read(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct reader r;

                reader_start(&r, &k->spec);
                add_messages(&s, k, 20000);
                for (size_t cut = 0; cut < 9; cut += 4) {
                        struct log_taken taken = feed_bytes(&r.feed, s.bytes, s.size - cut);

                        assert_int_equal(taken.result, FRAME_MORE);
                        feed_bytes(&r.feed, s.bytes + s.size - cut, cut);
                        assert_int_equal(r.feed.tail.size, 0);
                }
                assert_int_equal(r.feed.messages, 60000);
                reader_done(&r);
                stream_done(&s);
        }
}

static void random_sizes_come_in_random_pieces(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct reader r;

                reader_start(&r, &k->spec);
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
                reader_done(&r);
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
                struct reader r;

                spec.max_message_size = k->largest <= 200000 ? k->largest - 1 : 200000;
                reader_start(&r, &spec);
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
                reader_done(&r);
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
                struct reader r;

                if (spec.type != FRAME_DELIMITER)
                        continue;
                spec.max_message_size = 100000;
                reader_start(&r, &spec);
                feed_message(&r.feed, 77);
                taken = feed_chunks(&r.feed, text, sure - 1, 30000);
                assert_int_equal(taken.result, FRAME_MORE);
                taken = feed_bytes(&r.feed, text, 1);
                assert_int_equal(taken.result, FRAME_TOO_LARGE);
                reader_done(&r);
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
                        struct reader r;

                        reader_start(&r, &k->spec);
                        feed_align(&r.feed, end - 7);
                        taken = feed_bytes(&r.feed, "0003abc", 7);
                        assert_int_equal(taken.messages, 1);
                        taken = feed_chunks(&r.feed, bad[i], 3, 1);
                        assert_int_equal(taken.result, FRAME_MORE);
                        taken = feed_bytes(&r.feed, bad[i] + 3, 1);
                        assert_int_equal(taken.result, FRAME_BROKEN);
                        assert_int_equal(taken.total, 0);
                        reader_done(&r);
                }
        }
}

/* ---- filters ---- */

/* A heartbeat is a body "hb"; others of its size are looked at and kept. */
static bool is_heartbeat(const struct frame_spec *spec, const unsigned char *frame, size_t size)
{
        size_t before = spec->type == FRAME_LENGTH ? frame_overhead(spec) : 0;

        return size == frame_overhead(spec) + 2 && memcmp(frame + before, "hb", 2) == 0;
}

static size_t asked;

static bool drop_heartbeat(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        const struct feed *feed = context;
        unsigned char frame[FRAME_HEADER_MAX + 2 + FRAME_DELIMITER_MAX];

        asked++;
        assert_int_equal(size, frame_overhead(&feed->spec) + 2);
        log_copy(&feed->log, slab, pos, frame, size);
        return is_heartbeat(&feed->spec, frame, size);
}

struct filtered {
        struct reader reader;
        struct log_filter filter;
};

static void filtered_start(struct filtered *f, const struct frame_spec *spec)
{
        reader_start(&f->reader, spec);
        f->filter = (struct log_filter){{2, 2}, drop_heartbeat, &f->reader.feed};
        f->reader.feed.filter = &f->filter;
        f->reader.feed.leaves_out = is_heartbeat;
        asked = 0;
}

static size_t messages_of_two(const struct feed *feed)
{
        size_t n = 0;

        for (size_t i = 0; i < feed->messages; i++)
                n += feed_pos(feed, i + 1) - feed_pos(feed, i) == frame_overhead(&feed->spec) + 2;
        return n;
}

static void filtered_done(struct filtered *f)
{
        const struct feed *feed = &f->reader.feed;

        assert_int_equal(asked, messages_of_two(feed) + feed->left_out);
        reader_done(&f->reader);
}

/* h: a heartbeat, k: one like it that is kept, m: a message, L: a large one. */
static void add_letters(struct stream *s, const struct kind *k, const char *letters)
{
        for (; *letters; letters++) {
                uint64_t body = 3 + random_below(5);

                if (*letters == 'h')
                        stream_frame(s, &k->spec, "hb", 2);
                else if (*letters == 'k')
                        stream_frame(s, &k->spec, "ok", 2);
                else
                        stream_random(s, &k->spec,
                                      *letters == 'm'       ? body
                                      : k->largest > 150000 ? 150000
                                                            : k->largest);
        }
}

static bool knows_heartbeats(const struct kind *k)
{
        return k->smallest <= 2;
}

static void heartbeats_are_left_out_wherever_they_stand(void **unused)
{
        static const char *const patterns[] = {
                "h",  "hm",  "mh",  "mhm",  "hh",  "hmh", "mkm", "k",     "hk",
                "kh", "hhm", "mhh", "khkh", "hLh", "Lh",  "hL",  "mLhLm", "hkmhkmh",
        };

        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct filtered f;

                if (!knows_heartbeats(k))
                        continue;
                filtered_start(&f, &k->spec);
                for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
                        struct stream s = {0};
                        size_t whole;

                        add_letters(&s, k, patterns[i]);
                        feed_bytes(&f.reader.feed, s.bytes, s.size);
                        assert_int_equal(f.reader.feed.tail.size, 0);
                        /* And with a part of something behind it. */
                        whole = s.size;
                        add_letters(&s, k, i % 3 == 0 ? "h" : i % 3 == 1 ? "m" : "L");
                        whole += 1 + random_below(s.size - whole - 1);
                        feed_bytes(&f.reader.feed, s.bytes, whole);
                        feed_bytes(&f.reader.feed, s.bytes + whole, s.size - whole);
                        assert_int_equal(f.reader.feed.tail.size, 0);
                        stream_done(&s);
                }
                filtered_done(&f);
        }
}

static void heartbeats_are_left_out_across_slabs(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct filtered f;

                if (!knows_heartbeats(k))
                        continue;
                filtered_start(&f, &k->spec);
                for (uint64_t before = 0; before < 12; before++) {
                        uint64_t slab = f.reader.feed.log.image->end / IMAGE_SLAB_SIZE + 2;
                        struct stream s = {0};

                        feed_align(&f.reader.feed, slab * IMAGE_SLAB_SIZE - before);
                        add_letters(&s, k, before % 2 ? "hmhkmLhm" : "mhmhmm");
                        if (before % 3)
                                feed_bytes(&f.reader.feed, s.bytes, s.size);
                        else
                                feed_chunks(&f.reader.feed, s.bytes, s.size, 1 + random_below(200));
                        stream_done(&s);
                }
                filtered_done(&f);
        }
}

static void thousands_of_heartbeats_stand_among_thousands_of_messages(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct filtered f;

                if (!knows_heartbeats(k))
                        continue;
                filtered_start(&f, &k->spec);
                for (int i = 0; i < 20000; i++) {
                        char letter[2] = {"hkmm"[random_below(4)]};

                        add_letters(&s, k, letter);
                }
                feed_bytes(&f.reader.feed, s.bytes, s.size);
                for (size_t done = 0; done < s.size;) {
                        size_t n = 1 + random_size(40000);

                        n = n < s.size - done ? n : s.size - done;
                        feed_bytes(&f.reader.feed, s.bytes + done, n);
                        done += n;
                        if (random_one_in(3))
                                feed_read(&f.reader.feed, &f.reader.cursor, random_below(50000));
                }
                filtered_done(&f);
                stream_done(&s);
        }
}

static bool drop_all(void *context, uint32_t slab, uint64_t pos, uint64_t size)
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

static void empty_messages_are_heartbeats_by_default(void **unused)
{
        const struct log_filter filter = {{0, 0}, drop_all, NULL};

        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct reader r;

                if (k->smallest)
                        continue;
                reader_start(&r, &k->spec);
                r.feed.filter = &filter;
                r.feed.leaves_out = is_empty;
                add_messages(&s, k, 300);
                feed_bytes(&r.feed, s.bytes, s.size);
                feed_chunks(&r.feed, s.bytes, s.size, 1);
                feed_chunks(&r.feed, s.bytes, s.size, 9);
                assert_true(r.feed.left_out > 100);
                reader_done(&r);
                stream_done(&s);
        }
}

static void what_comes_behind_heartbeats_may_be_wrong(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                struct log_taken taken;
                struct stream s = {0};
                unsigned char seen[8];
                struct filtered f;

                if (!knows_heartbeats(k))
                        continue;
                spec.max_message_size = 7;
                filtered_start(&f, &spec);
                add_letters(&s, k, "mhmhk");
                stream_random(&s, &spec, 9);
                taken = feed_bytes(&f.reader.feed, s.bytes, s.size);
                assert_int_equal(taken.result, FRAME_TOO_LARGE);
                assert_int_equal(taken.messages, 3);
                /* Its bytes are there to be explained. */
                log_copy(&f.reader.feed.log, f.reader.feed.log.end_slab,
                         f.reader.feed.log.image->end, seen, sizeof(seen));
                assert_memory_equal(seen, f.reader.feed.tail.bytes, sizeof(seen));
                filtered_done(&f);
                stream_done(&s);
        }
}

/* ---- memory ---- */

static void without_memory_nothing_is_taken_and_later_all_of_it(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct log_taken taken = {.no_memory = true};
                struct stream s = {0};
                struct filtered f;
                struct feed *feed = &f.reader.feed;
                uint64_t more = 0;

                if (!knows_heartbeats(k))
                        continue;
                filtered_start(&f, &k->spec);
                feed_align(feed, IMAGE_SLAB_SIZE - 20);
                while (s.size < 500000)
                        add_letters(&s, k, s.size > 200000 && random_one_in(50) ? "h" : "m");
                feed_receive(feed, s.bytes, s.size);
                for (; taken.no_memory; more++) {
                        uint64_t marks = feed->log.image->mark_next;

                        assert_true(more < 40);
                        feed->store.limit_bytes =
                                feed->store.used_bytes + more * IMAGE_SLAB_SIZE / 2;
                        feed->now += 1000;
                        asked = 0;
                        taken = feed_take(feed);
                        if (taken.no_memory)
                                assert_int_equal(feed->log.image->mark_next, marks);
                }
                assert_true(more > 2);
                feed->store.limit_bytes = UINT64_MAX;
                feed_message(feed, 9);
                filtered_done(&f);
                stream_done(&s);
        }
}

/* The marks fill their slab in the middle of what is taken. */
static void without_memory_for_marks_nothing_is_taken_either(void **unused)
{
        (void)unused;
        for (int heartbeats = 0; heartbeats < 3; heartbeats++) {
                const char *letters[] = {"LLLLL", "hLLLLL", "LhLhLLhLm"};
                struct log_taken taken;
                struct stream s = {0};
                struct filtered f;
                struct feed *feed = &f.reader.feed;

                filtered_start(&f, &kinds[0].spec);
                for (int i = 0; i < 2046; i++) {
                        feed->now += 1000;
                        feed_message(feed, 3);
                }
                add_letters(&s, &kinds[0], letters[heartbeats]);
                feed_receive(feed, s.bytes, s.size);
                feed_read(feed, &f.reader.cursor, SIZE_MAX);
                for (int i = 0; i < 40; i++) {
                        feed->now += 1000;
                        asked = 0;
                        feed->store.limit_bytes =
                                feed->store.used_bytes + (uint64_t)i * IMAGE_SLAB_SIZE;
                        taken = feed_take(feed);
                        if (!taken.no_memory)
                                break;
                        assert_int_equal(feed->log.image->mark_next, 2046);
                }
                feed->store.limit_bytes = UINT64_MAX;
                assert_int_equal(taken.messages, 5 + (heartbeats == 2));
                filtered_done(&f);
                stream_done(&s);
        }
}

static void the_limit_holds_for_slabs_that_are_used_again(void **unused)
{
        struct iovec iov[64];
        struct reader r;
        uint64_t fill;

        (void)unused;
        reader_start(&r, &kinds[0].spec);
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
        reader_done(&r);
}

static void room_that_was_made_ready_stays_where_it_was(void **unused)
{
        struct iovec first[8], again[8];
        struct reader r;
        int n;

        (void)unused;
        reader_start(&r, &kinds[0].spec);
        feed_align(&r.feed, 5000);
        n = log_room(&r.feed.log, 5000, 300000, first, 8);
        assert_int_equal(n, 5);
        assert_int_equal(log_room(&r.feed.log, 5000 + first[0].iov_len + 7, 300000, again, 3), 3);
        assert_ptr_equal(again[0].iov_base, (unsigned char *)first[1].iov_base + 7);
        assert_ptr_equal(again[1].iov_base, first[2].iov_base);
        assert_int_equal(log_room(&r.feed.log, 5000, 300000, again, 8), 5);
        assert_memory_equal(first, again, sizeof(first[0]) * 5);
        reader_done(&r);
}

/* ---- marks ---- */

static uint64_t mark_at(const struct feed *feed, uint64_t pos, uint32_t *origin)
{
        uint64_t hint = 0, far = feed->log.image->mark_next, stale = random_below(far + 1);
        const struct image_mark *mark = log_mark(&feed->log, pos, &hint);

        assert_non_null(mark);
        assert_ptr_equal(log_mark(&feed->log, pos, &far), mark);
        assert_ptr_equal(log_mark(&feed->log, pos, &stale), mark);
        *origin = (uint32_t)mark->where;
        return mark->time_usec;
}

static void marks_tell_the_time_to_the_millisecond_and_the_origin_of_long_runs(void **unused)
{
        uint32_t origin_of[4000], origin, known = 0;
        struct reader r;

        (void)unused;
        reader_start(&r, &kinds[0].spec);
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
        reader_done(&r);
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
                cmocka_unit_test(heartbeats_are_left_out_wherever_they_stand),
                cmocka_unit_test(heartbeats_are_left_out_across_slabs),
                cmocka_unit_test(thousands_of_heartbeats_stand_among_thousands_of_messages),
                cmocka_unit_test(empty_messages_are_heartbeats_by_default),
                cmocka_unit_test(what_comes_behind_heartbeats_may_be_wrong),
                cmocka_unit_test(without_memory_nothing_is_taken_and_later_all_of_it),
                cmocka_unit_test(without_memory_for_marks_nothing_is_taken_either),
                cmocka_unit_test(the_limit_holds_for_slabs_that_are_used_again),
                cmocka_unit_test(room_that_was_made_ready_stays_where_it_was),
                cmocka_unit_test(
                        marks_tell_the_time_to_the_millisecond_and_the_origin_of_long_runs),
        };

        random_start("log");
        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
