/* SPDX-License-Identifier: MIT */
/* Messages that are left out of a log: heartbeats, answers. */
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
        struct follower follower;
        struct log_filter filter;
};

static void filtered_start(struct filtered *f, const struct frame_spec *spec)
{
        follower_start(&f->follower, spec);
        /* However few it may look at in one take: all takes together are as one. */
        f->filter = (struct log_filter){{2, 2}, drop_heartbeat, &f->follower.feed, random_below(5)};
        f->follower.feed.filter = &f->filter;
        f->follower.feed.leaves_out = is_heartbeat;
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
        const struct feed *feed = &f->follower.feed;

        assert_int_equal(asked, messages_of_two(feed) + feed->left_out);
        follower_done(&f->follower);
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

static void no_more_frames_are_looked_at_in_one_take_than_may_be(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct log_filter filter;
                struct feed feed;
                struct stream s = {0};

                if (!knows_heartbeats(k))
                        continue;
                feed_start(&feed, &k->spec);
                filter = (struct log_filter){{2, 2}, drop_heartbeat, &feed, 10};
                feed.filter = &filter;
                feed.leaves_out = is_heartbeat;
                add_letters(&s, k, "hhhhhkkkkkhhhhhkkkkkhhmk");
                feed_receive(&feed, s.bytes, s.size);
                for (unsigned take = 1; take <= 3; take++) {
                        struct image_session *session = &feed.store.image->session;
                        struct log_taken taken;

                        asked = 0;
                        taken = log_take(&feed.log, &session->rx_base, session->rx_read, &filter, 1,
                                         0);
                        assert_int_equal(asked, take < 3 ? 10 : 3);
                        assert_int_equal(taken.messages, take < 3 ? 5 : 2);
                        assert_int_equal(taken.more, take < 3);
                        assert_int_equal(taken.total, 0);
                }
                stream_done(&s);
                feed_done(&feed);
        }
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
                        feed_bytes(&f.follower.feed, s.bytes, s.size);
                        assert_int_equal(f.follower.feed.tail.size, 0);
                        /* And with a part of something behind it. */
                        whole = s.size;
                        add_letters(&s, k, i % 3 == 0 ? "h" : i % 3 == 1 ? "m" : "L");
                        whole += 1 + random_below(s.size - whole - 1);
                        feed_bytes(&f.follower.feed, s.bytes, whole);
                        feed_bytes(&f.follower.feed, s.bytes + whole, s.size - whole);
                        assert_int_equal(f.follower.feed.tail.size, 0);
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
                        uint64_t slab = f.follower.feed.log.image->end / IMAGE_SLAB_SIZE + 2;
                        struct stream s = {0};

                        feed_align(&f.follower.feed, slab * IMAGE_SLAB_SIZE - before);
                        add_letters(&s, k, before % 2 ? "hmhkmLhm" : "mhmhmm");
                        if (before % 3)
                                feed_bytes(&f.follower.feed, s.bytes, s.size);
                        else
                                feed_chunks(&f.follower.feed, s.bytes, s.size,
                                            1 + random_below(200));
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
                feed_bytes(&f.follower.feed, s.bytes, s.size);
                for (size_t done = 0; done < s.size;) {
                        size_t n = 1 + random_size(40000);

                        n = n < s.size - done ? n : s.size - done;
                        feed_bytes(&f.follower.feed, s.bytes + done, n);
                        done += n;
                        if (random_one_in(3))
                                feed_read(&f.follower.feed, &f.follower.cursor,
                                          random_below(50000));
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
        const struct log_filter filter = {{0, 0}, drop_all, NULL, 0};

        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                struct follower r;

                if (k->smallest)
                        continue;
                follower_start(&r, &k->spec);
                r.feed.filter = &filter;
                r.feed.leaves_out = is_empty;
                stream_messages(&s, k, 300);
                feed_bytes(&r.feed, s.bytes, s.size);
                feed_chunks(&r.feed, s.bytes, s.size, 1);
                feed_chunks(&r.feed, s.bytes, s.size, 9);
                assert_true(r.feed.left_out > 100);
                follower_done(&r);
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
                taken = feed_bytes(&f.follower.feed, s.bytes, s.size);
                assert_int_equal(taken.result, FRAME_TOO_LARGE);
                assert_int_equal(taken.messages, 3);
                /* Its bytes are there to be explained. */
                log_copy(&f.follower.feed.log, f.follower.feed.log.end_slab,
                         f.follower.feed.log.image->end, seen, sizeof(seen));
                assert_memory_equal(seen, f.follower.feed.tail.bytes, sizeof(seen));
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
                struct feed *feed = &f.follower.feed;
                uint64_t more = 0;

                if (!knows_heartbeats(k))
                        continue;
                filtered_start(&f, &k->spec);
                f.filter.most = 0; /* one take, or nothing */
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
                struct feed *feed = &f.follower.feed;

                filtered_start(&f, &kinds[0].spec);
                for (int i = 0; i < 2046; i++) {
                        feed->now += 1000;
                        feed_message(feed, 3);
                }
                add_letters(&s, &kinds[0], letters[heartbeats]);
                feed_receive(feed, s.bytes, s.size);
                feed_read(feed, &f.follower.cursor, SIZE_MAX);
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

/* Messages before a heartbeat are committed before the bytes behind move: they are told, even if
 * the next mark finds no memory then. */
static void without_memory_behind_a_move_the_messages_before_are_told(void **unused)
{
        struct stream s = {0};
        struct filtered f;
        struct feed *feed = &f.follower.feed;
        struct image_session *session;
        struct log_taken taken;
        uint64_t number;

        (void)unused;
        filtered_start(&f, &kinds[0].spec);
        session = &feed->store.image->session;
        for (int i = 0; i < 2047; i++) {
                feed->now += 1000;
                feed_message(feed, 3);
        }
        feed_align(feed, IMAGE_SLAB_SIZE - 30);
        number = feed->log.image->number;
        feed->now += 1000;
        add_letters(&s, &kinds[0], "mhmmmmm");
        feed_receive(feed, s.bytes, s.size);
        feed->store.limit_bytes = feed->store.used_bytes + IMAGE_SLAB_SIZE;
        taken = log_take(&feed->log, &session->rx_base, session->rx_read, &f.filter, feed->now, 0);
        assert_true(taken.no_memory);
        assert_int_equal(taken.messages, 1);
        assert_int_equal(feed->log.image->number, number + 1);
        assert_int_equal(feed->log.image->mark_next, 2048);
        feed->store.limit_bytes = UINT64_MAX;
        taken = log_take(&feed->log, &session->rx_base, session->rx_read, &f.filter, feed->now, 0);
        assert_false(taken.no_memory);
        assert_int_equal(taken.messages, 5);
        cursor_done(&f.follower.cursor);
        feed_done(feed);
        stream_done(&s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_more_frames_are_looked_at_in_one_take_than_may_be),
                cmocka_unit_test(heartbeats_are_left_out_wherever_they_stand),
                cmocka_unit_test(heartbeats_are_left_out_across_slabs),
                cmocka_unit_test(thousands_of_heartbeats_stand_among_thousands_of_messages),
                cmocka_unit_test(empty_messages_are_heartbeats_by_default),
                cmocka_unit_test(what_comes_behind_heartbeats_may_be_wrong),
                cmocka_unit_test(without_memory_nothing_is_taken_and_later_all_of_it),
                cmocka_unit_test(without_memory_for_marks_nothing_is_taken_either),
                cmocka_unit_test(without_memory_behind_a_move_the_messages_before_are_told),
        };

        random_start("filter");
        return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
