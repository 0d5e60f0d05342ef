/* SPDX-License-Identifier: MIT */
/* How long messages waited for a reader: each is told once, when it was passed whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/ledger.h"
#include "lib/feed.h"

enum { BODY = 96, FRAME = BODY + 4, MSEC = 1000, DRAINED = 1000000 };

static struct room {
        struct feed feed;
        struct cursor cursor;
        struct image_cursor *image;
        struct ledger ledger;
        struct image_histogram *down, *up;
} room;

static int setup(void **state)
{
        (void)state;
        memset(&room, 0, sizeof(room));
        feed_start(&room.feed, &frame_spec_default);
        room.image = &room.feed.store.image->client[0].cursor;
        room.down = &room.feed.store.image->latency[LATENCY_TO_CLIENTS];
        room.up = &room.feed.store.image->latency[LATENCY_TO_UPSTREAM];
        assert_true(store_client_ready(&room.feed.store, 0));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        feed_done(&room.feed);
        return 0;
}

/* So many messages of one size that come at this time. */
static void come(uint64_t now, int n)
{
        room.feed.now = now;
        for (int i = 0; i < n; i++)
                feed_message(&room.feed, BODY);
}

static void read_bytes(uint64_t now, uint64_t bytes)
{
        uint64_t waiting = cursor_waiting(&room.cursor);

        bytes = bytes < waiting ? bytes : waiting;
        cursor_tell_waits(&room.cursor, bytes, now, room.down);
        cursor_advance(&room.cursor, bytes);
}

static struct log_place place(uint64_t n)
{
        return (struct log_place){.pos = n * FRAME, .number = n};
}

static void a_reader_that_keeps_up_tells_each_message_with_its_own_time(void **state)
{
        (void)state;
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        come(10 * MSEC, 3);
        read_bytes(17 * MSEC, UINT64_MAX);
        come(20 * MSEC, 2);
        read_bytes(20 * MSEC + 5, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 5);
        assert_int_equal(histogram_min(room.down), 5);
        assert_int_equal(histogram_max(room.down), 7 * MSEC);
        assert_int_equal(room.down->sum, 3 * 7 * MSEC + 2 * 5);
        cursor_done(&room.cursor);
}

/* Within a millisecond they share a mark, which says when the last one came. */
static void what_comes_within_one_millisecond_is_told_apart_where_it_was_read_apart(void **state)
{
        (void)state;
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        come(10 * MSEC, 1);
        read_bytes(10 * MSEC + 3, UINT64_MAX);
        come(10 * MSEC + 400, 1);
        read_bytes(10 * MSEC + 450, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 2);
        assert_int_equal(histogram_min(room.down), 3);
        assert_int_equal(histogram_max(room.down), 50);
        cursor_done(&room.cursor);
}

static void a_message_that_is_read_in_part_is_told_when_it_is_read_whole(void **state)
{
        (void)state;
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        come(10 * MSEC, 1);
        read_bytes(11 * MSEC, FRAME - 1);
        assert_int_equal(histogram_count(room.down), 0);
        read_bytes(15 * MSEC, 1);
        assert_int_equal(histogram_count(room.down), 1);
        assert_int_equal(histogram_min(room.down), 5 * MSEC);
        cursor_done(&room.cursor);
}

static void what_was_there_before_a_reader_is_not_its_own(void **state)
{
        struct cursor first;

        (void)state;
        cursor_init(&first, &room.feed.log, &room.feed.store.image->acked, true);
        come(10 * MSEC, 50);
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        come(20 * MSEC, 4);
        read_bytes(21 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 4);
        assert_int_equal(histogram_max(room.down), MSEC);
        cursor_done(&room.cursor);
        cursor_done(&first);
}

static void
however_it_is_read_every_message_is_told_once_and_none_as_faster_than_it_was(void **state)
{
        uint64_t now = MSEC, n = 0, read_at_least = 0;

        (void)state;
        random_start("however");
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        for (int i = 0; i < 3000; i++) {
                int some = (int)random_below(6);
                uint64_t before = histogram_count(room.down);

                come(now, some);
                n += (uint64_t)some;
                now += random_below(3) * MSEC;
                read_bytes(now, random_below(8 * FRAME));
                assert_true(histogram_count(room.down) <= cursor_delivered(&room.cursor).messages);
                assert_true(histogram_count(room.down) >= before);
        }
        read_at_least = now;
        come(now, 1);
        read_bytes(now + DRAINED, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), n + 1);
        assert_true(histogram_max(room.down) <= read_at_least + DRAINED);
        assert_true(histogram_max(room.down) >= DRAINED);
        cursor_done(&room.cursor);
}

static void ranges_that_were_dealt_are_told_each_with_its_own_messages(void **state)
{
        (void)state;
        cursor_init(&room.cursor, &room.feed.log, room.image, false);
        come(10 * MSEC, 10);
        assert_int_equal(cursor_extend(&room.cursor, place(0), place(2)), 0);
        assert_int_equal(cursor_extend(&room.cursor, place(5), place(6)), 0);
        come(20 * MSEC, 10);
        assert_int_equal(cursor_extend(&room.cursor, place(12), place(15)), 0);
        read_bytes(30 * MSEC, FRAME);
        read_bytes(31 * MSEC, FRAME + FRAME / 2);
        assert_int_equal(histogram_count(room.down), 2);
        assert_int_equal(histogram_min(room.down), 21 * MSEC);
        read_bytes(32 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 6);
        assert_int_equal(room.down->sum, 2 * 21 * MSEC + 22 * MSEC + 3 * 12 * MSEC);
        /* What another reader left may be older than all that was read. */
        assert_int_equal(cursor_extend(&room.cursor, place(3), place(5)), 0);
        read_bytes(40 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 8);
        assert_int_equal(histogram_max(room.down), 30 * MSEC);
        cursor_done(&room.cursor);
}

static void what_is_skipped_is_not_told(void **state)
{
        (void)state;
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        come(10 * MSEC, 10);
        come(20 * MSEC, 10);
        read_bytes(30 * MSEC, FRAME / 2);
        assert_int_equal(cursor_jump(&room.cursor, 15 * FRAME).messages, 14);
        read_bytes(40 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 6);
        assert_int_equal(room.down->sum, 30 * MSEC + 5 * 20 * MSEC);
        cursor_done(&room.cursor);
}

static void a_successor_tells_only_what_is_left(void **state)
{
        struct cursor again;

        (void)state;
        cursor_init(&room.cursor, &room.feed.log, room.image, true);
        come(10 * MSEC, 5);
        come(20 * MSEC, 5);
        read_bytes(30 * MSEC, 7 * FRAME);
        cursor_recover(&again, &room.feed.log, room.image);
        memset(room.down, 0, sizeof(*room.down));
        log_shut(&room.feed.log, room.cursor.pin); /* of the two that stand for one */
        room.cursor = again;
        read_bytes(40 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.down), 3);
        assert_int_equal(room.down->sum, 3 * 20 * MSEC);
        cursor_done(&room.cursor);
}

/* ---- to the upstream ---- */

static void send_bytes(uint64_t now, uint64_t bytes)
{
        while (bytes) {
                struct iovec iov;

                if (!ledger_gather(&room.ledger, bytes, false, &iov, 1))
                        return;
                ledger_tell_waits(&room.ledger, iov.iov_len, now);
                ledger_sent(&room.ledger, iov.iov_len);
                bytes -= iov.iov_len;
        }
}

static void begin(void)
{
        ledger_init(&room.ledger, &room.feed.log, false);
        ledger_begin(&room.ledger, room.feed.log.image->end, LEDGER_HEARD);
}

static void what_goes_to_the_upstream_is_told_once_whatever_goes_again(void **state)
{
        (void)state;
        begin();
        come(10 * MSEC, 4);
        send_bytes(11 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.up), 4);
        come(20 * MSEC, 1);
        send_bytes(21 * MSEC, FRAME / 2);
        ledger_end(&room.ledger, 0, 0, RESEND_UNACKED);
        ledger_begin(&room.ledger, room.feed.log.image->end, LEDGER_HEARD);
        come(50 * MSEC, 1);
        send_bytes(60 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.up), 6);
        assert_int_equal(room.up->sum, 4 * MSEC + 40 * MSEC + 10 * MSEC);
}

static void a_successor_tells_nothing_again_that_was_begun_before(void **state)
{
        (void)state;
        begin();
        come(10 * MSEC, 4);
        send_bytes(11 * MSEC, 2 * FRAME);
        ledger_end(&room.ledger, 0, 2 * FRAME, RESEND_UNACKED);
        cursor_done(&room.ledger.acked);
        ledger_init(&room.ledger, &room.feed.log, true);
        memset(room.up, 0, sizeof(*room.up));
        ledger_begin(&room.ledger, room.feed.log.image->end, LEDGER_HEARD);
        send_bytes(20 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.up), 2);
}

static void what_has_become_too_old_is_not_told(void **state)
{
        (void)state;
        begin();
        come(10 * MSEC, 3);
        come(20 * MSEC, 2);
        send_bytes(21 * MSEC, FRAME / 2);
        assert_int_equal(ledger_expire(&room.ledger, 15 * MSEC).messages, 2);
        send_bytes(30 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.up), 3);
        assert_int_equal(room.up->sum, 20 * MSEC + 2 * 10 * MSEC);
        come(40 * MSEC, 3);
        ledger_end(&room.ledger, room.ledger.image->written, room.ledger.image->written,
                   RESEND_UNACKED);
        assert_int_equal(ledger_expire(&room.ledger, 45 * MSEC).messages, 3);
        ledger_begin(&room.ledger, room.feed.log.image->end, LEDGER_HEARD);
        come(50 * MSEC, 1);
        send_bytes(51 * MSEC, UINT64_MAX);
        assert_int_equal(histogram_count(room.up), 4);
        assert_int_equal(histogram_max(room.up), 20 * MSEC);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_reader_that_keeps_up_tells_each_message_with_its_own_time),
                TEST(what_comes_within_one_millisecond_is_told_apart_where_it_was_read_apart),
                TEST(a_message_that_is_read_in_part_is_told_when_it_is_read_whole),
                TEST(what_was_there_before_a_reader_is_not_its_own),
                TEST(however_it_is_read_every_message_is_told_once_and_none_as_faster_than_it_was),
                TEST(ranges_that_were_dealt_are_told_each_with_its_own_messages),
                TEST(what_is_skipped_is_not_told),
                TEST(a_successor_tells_only_what_is_left),
                TEST(what_goes_to_the_upstream_is_told_once_whatever_goes_again),
                TEST(a_successor_tells_nothing_again_that_was_begun_before),
                TEST(what_has_become_too_old_is_not_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
