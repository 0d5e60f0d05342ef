/* SPDX-License-Identifier: MIT */
/* Balance: which member gets a message, how few extents that takes, and what happens without any.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"
#include "flow/spread.h"
#include "lib/feed.h"

enum { MEMBERS = 8, SLACK = 64 * 1024 };

static struct {
        struct feed feed;
        struct spread spread;
        struct reader reader[MEMBERS];
        size_t got; /* messages read whole */
} room;

static struct image_client *client_of(uint32_t i)
{
        return &room.feed.store.image->client[i];
}

static void join(uint32_t i)
{
        assert_true(store_client_ready(&room.feed.store, i));
        assert_true(spread_room(&room.spread));
        store_begin(&room.feed.store);
        store_put(&room.feed.store, &client_of(i)->id, i + 1);
        store_put(&room.feed.store, &room.feed.store.image->totals.client_slots, i + 1);
        reader_join(&room.reader[i], &room.spread, client_of(i));
        store_commit(&room.feed.store);
}

static void start(uint32_t members)
{
        room.got = 0;
        feed_start(&room.feed, &frame_spec_default);
        spread_init(&room.spread, &room.feed.log);
        spread_configure(&room.spread, true, 0, UINT64_MAX);
        for (uint32_t i = 0; i < members; i++)
                join(i);
}

static void finish(void)
{
        while (room.spread.n_all)
                reader_done(room.spread.all[0], DROP_CLIENT_GONE);
        assert_int_equal(room.feed.store.n_free_extents, room.feed.store.extents_used);
        spread_done(&room.spread);
        feed_done(&room.feed);
}

/* n messages with bodies of this size come at once. */
static void come(size_t n, size_t body)
{
        struct stream bytes = {0};

        for (size_t i = 0; i < n; i++)
                stream_random(&bytes, &room.feed.spec, body);
        feed_bytes(&room.feed, bytes.bytes, bytes.size);
        stream_done(&bytes);
        spread_taken(&room.spread);
}

static uint64_t queue_of(uint32_t i)
{
        return cursor_waiting(&room.reader[i].cursor);
}

/* The member reads at most so many bytes, which must be those of the log. */
static void takes(uint32_t i, size_t limit)
{
        struct cursor *cursor = &room.reader[i].cursor;

        while (limit && queue_of(i)) {
                struct iovec iov[16];
                size_t n = 0, before = cursor_delivered(cursor).messages;
                int k = cursor_gather(cursor, limit, iov, 16);

                for (int j = 0; j < k; j++)
                        n += iov[j].iov_len;
                assert_true(n > 0 && n <= limit);
                reader_advance(&room.reader[i], n);
                room.got += cursor_delivered(cursor).messages - before;
                limit -= n;
        }
}

static void take_all(uint32_t members)
{
        for (uint32_t i = 0; i < members; i++)
                if (room.reader[i].role != READER_NONE)
                        takes(i, SIZE_MAX);
}

static uint64_t dropped(enum drop_reason reason)
{
        return room.feed.store.image->totals.in_dropped[reason][0];
}

static void assert_sound(void)
{
        struct store store;

        assert_int_equal(store_open(&store, dup(room.feed.store.fd)), 0);
        assert_null(recover_image(&store, &room.feed.spec));
        store_done(&store);
}

static uint32_t extents_taken(void)
{
        return room.feed.store.extents_used - room.feed.store.n_free_extents;
}

static void members_with_short_queues_are_served_in_turn(void **state)
{
        (void)state;
        start(3);
        come(30, 100);
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(queue_of(i), 10 * 104);
        take_all(3);
        for (uint32_t i = 0; i < 6; i++) {
                come(1, 100);
                assert_int_equal(queue_of(i % 3), 104);
                take_all(3);
        }
        finish();
}

/* However they come: many at once, or each by itself. */
static void long_queues_stay_even_and_take_few_extents(void **state)
{
        static const size_t at_once[] = {1, 3000};

        (void)state;
        for (size_t k = 0; k < 2; k++) {
                start(4);
                for (size_t n = 0; n < 400000; n += at_once[k] == 1 ? 1 : at_once[k]) {
                        uint64_t least = UINT64_MAX, most = 0;

                        come(at_once[k], k || n % 1000 ? 1 : 3000);
                        for (uint32_t i = 0; i < 4; i++) {
                                least = queue_of(i) < least ? queue_of(i) : least;
                                most = queue_of(i) > most ? queue_of(i) : most;
                        }
                        assert_true(most - least <= 3004 + least / 16);
                        assert_true(most - least <= 3004 + SLACK);
                }
                assert_true(queue_of(0) > 400000);
                assert_true(extents_taken() < 1500);
                take_all(4);
                assert_int_equal(room.got, room.feed.messages);
                finish();
        }
}

static void what_one_leaves_takes_few_extents_with_the_others(void **state)
{
        (void)state;
        start(1);
        come(200000, 1);
        join(1);
        join(2);
        assert_int_equal(reader_done(&room.reader[0], DROP_CLIENT_GONE).messages, 0);
        assert_true(queue_of(1) < queue_of(2) + SLACK && queue_of(2) < queue_of(1) + SLACK);
        assert_true(extents_taken() < 500);
        take_all(3);
        assert_int_equal(room.got, 200000);
        finish();
}

/* One leaves many pieces to others that have something already: each piece goes to one, whole. */
static void what_one_leaves_is_not_lost_without_extents(void **state)
{
        (void)state;
        start(3);
        come(100000, 1);
        assert_true(extents_taken() > 100);
        room.feed.store.extents_most = extents_taken() + 4;
        assert_int_equal(reader_done(&room.reader[0], DROP_CLIENT_GONE).messages, 0);
        take_all(3);
        assert_int_equal(room.got, 100000);
        finish();
}

/* Messages so large that each ends a run, and a small one between two of them, are the worst that a
 * peer can do; members that read now and then help it. */
static void come_in_pieces(size_t rounds)
{
        for (size_t i = 0; i < rounds; i++) {
                uint32_t most = 0;

                come(1, 1);
                come(1, 200 + random_below(3000));
                for (uint32_t m = 1; m < MEMBERS; m++)
                        if (queue_of(m) > queue_of(most))
                                most = m;
                if (random_one_in(50))
                        takes(most, random_below(3000));
        }
}

static void without_extents_nothing_is_lost(void **state)
{
        (void)state;
        for (int round = 0; round < 20; round++) {
                start(MEMBERS);
                room.feed.store.extents_most = 50 + (uint32_t)random_below(10);
                come_in_pieces(300);
                assert_true(room.spread.scant);
                assert_true(extents_taken() <= room.feed.store.extents_most);
                assert_sound();
                /* All who leave while nothing can be had find what they need. */
                for (uint32_t i = 0; i < 3; i++)
                        takes(i, 2);
                assert_int_equal(reader_leave(&room.reader[0]), 0);
                for (uint32_t i = 1; i < 3; i++)
                        room.got += reader_done(&room.reader[i], DROP_CLIENT_GONE).messages > 1;
                come_in_pieces(50);
                assert_int_equal(dropped(DROP_QUEUE_FULL), 0);
                assert_true(dropped(DROP_CLIENT_GONE) <= 2); /* begun */
                take_all(MEMBERS);
                spread_mind_extents(&room.spread);
                assert_false(room.spread.scant);
                assert_int_equal(room.got + dropped(DROP_CLIENT_GONE), room.feed.messages);
                finish();
        }
}

/* A process without memory for a single extent. */
static void without_any_extent_nothing_is_lost(void **state)
{
        (void)state;
        start(MEMBERS);
        room.feed.store.extents_most = 0;
        come_in_pieces(300);
        assert_true(room.spread.scant);
        assert_int_equal(dropped(DROP_QUEUE_FULL), 0);
        take_all(MEMBERS);
        assert_int_equal(room.got, room.feed.messages);
        finish();
}

static void the_mode_waits_for_extents(void **state)
{
        (void)state;
        start(2);
        spread_configure(&room.spread, false, 0, UINT64_MAX);
        room.feed.store.extents_most = 0;
        spread_configure(&room.spread, true, 0, UINT64_MAX);
        assert_false(room.spread.balance);
        come(1, 10);
        assert_int_equal(queue_of(0) + queue_of(1), 28);
        room.feed.store.extents_most = IMAGE_EXTENTS;
        come(1, 10); /* the last one for all */
        assert_true(room.spread.balance);
        come(2, 10);
        assert_int_equal(queue_of(0) + queue_of(1), 28 + 28 + 28);
        finish();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_with_short_queues_are_served_in_turn),
                cmocka_unit_test(long_queues_stay_even_and_take_few_extents),
                cmocka_unit_test(what_one_leaves_takes_few_extents_with_the_others),
                cmocka_unit_test(what_one_leaves_is_not_lost_without_extents),
                cmocka_unit_test(without_extents_nothing_is_lost),
                cmocka_unit_test(without_any_extent_nothing_is_lost),
                cmocka_unit_test(the_mode_waits_for_extents),
        };

        random_start("balance");
        return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
