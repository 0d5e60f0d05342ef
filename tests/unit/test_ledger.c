/* SPDX-License-Identifier: MIT */
/* What the peer's kernel has, may have and cannot have; what goes again; what goes besides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/ledger.h"

/* A message of 100 bytes as a frame. */
enum { BODY = 100, FRAME = BODY + 4, BEAT = 4 + 3 };

static struct room {
        struct store store;
        struct log out;
        struct ledger ledger;
        uint64_t put;        /* messages in the log */
        unsigned char *wire; /* what went on this connection */
        uint64_t sent, acked;
} room;

static int setup(void **state)
{
        (void)state;
        memset(&room, 0, sizeof(room));
        if (store_init(&room.store))
                return -1;
        log_init(&room.out, &room.store, &room.store.image->out, &frame_spec_default);
        ledger_init(&room.ledger, &room.out, false);
        room.wire = malloc(1 << 24);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        store_done(&room.store);
        free(room.wire);
        return 0;
}

/* Byte k of message n on the wire. */
static unsigned char byte_of(uint64_t n, uint64_t k)
{
        return k < 4 ? (k == 3 ? BODY : 0) : (unsigned char)(n * 31 + k);
}

static void put_messages(uint64_t n)
{
        unsigned char frame[FRAME];
        uint64_t base = 0, end = room.out.image->end;

        for (; n; n--, room.put++) {
                for (uint64_t k = 0; k < FRAME; k++)
                        frame[k] = byte_of(room.put, k);
                for (uint64_t at = 0; at < FRAME;) {
                        struct iovec iov;

                        assert_int_equal(log_room(&room.out, end, FRAME - at, &iov, 1), 1);
                        memcpy(iov.iov_base, frame + at, iov.iov_len);
                        at += iov.iov_len;
                        end += iov.iov_len;
                }
        }
        log_take(&room.out, &base, end, NULL, 1, 0);
        assert_int_equal(room.out.image->number, room.put);
}

static void begin(void)
{
        ledger_begin(&room.ledger, 0, LEDGER_HEARD);
        room.sent = room.acked = 0;
}

static bool beat(const char *text)
{
        unsigned char header[4] = {0, 0, 0, 3};
        struct iovec iov[2] = {{header, 4}, {(void *)text, 3}};

        return ledger_inject(&room.ledger, iov, 2);
}

/* Hands at most this much to the kernel, as one gather gives it. */
static uint64_t write_once(uint64_t most, bool hold)
{
        struct iovec iov[4];
        int n = ledger_gather(&room.ledger, most, hold, iov, 4);
        uint64_t went = 0;

        for (int i = 0; i < n; i++) {
                memcpy(room.wire + room.sent + went, iov[i].iov_base, iov[i].iov_len);
                went += iov[i].iov_len;
        }
        assert_true(went <= most);
        room.sent += went;
        ledger_sent(&room.ledger, went);
        return went;
}

/* Until nothing comes any more; returns the sum. */
static uint64_t write_all(uint64_t most, bool hold)
{
        uint64_t sum = 0, went;

        while (sum < most && (went = write_once(most - sum, hold)))
                sum += went;
        return sum;
}

static void assert_message(uint64_t at, uint64_t n)
{
        for (uint64_t k = 0; k < FRAME; k++)
                assert_int_equal(room.wire[at + k], byte_of(n, k));
}

static void assert_beat(uint64_t at, const char *text)
{
        assert_memory_equal(room.wire + at, "\0\0\0\3", 4);
        assert_memory_equal(room.wire + at + 4, text, 3);
}

static void assert_count(struct count count, uint64_t messages)
{
        assert_int_equal(count.messages, messages);
        assert_int_equal(count.bytes, messages * FRAME);
}

/* ---- the end of a connection ---- */

static void each_begun_message_is_in_one_class(void **state)
{
        struct ledger_end end;

        (void)state;
        put_messages(7);
        begin();
        assert_int_equal(write_all(5 * FRAME + 50, false), 5 * FRAME + 50);
        /* The first is there, of the second a part; the fourth was transmitted but for a byte. */
        end = ledger_end(&room.ledger, FRAME + 1, 4 * FRAME - 1, RESEND_UNACKED);
        assert_count(end.acked, 1);
        assert_count(end.unacked, 2);
        assert_count(end.unsent, 3);
        assert_count(cursor_delivered(&room.ledger.acked), 1);
        assert_count(cursor_queued(&room.ledger.acked), 6);
}

static void a_message_counts_with_its_last_byte(void **state)
{
        struct ledger_end end;

        (void)state;
        put_messages(4);
        begin();
        write_all(4 * FRAME, false);
        end = ledger_end(&room.ledger, 2 * FRAME, 3 * FRAME, RESEND_UNACKED);
        assert_count(end.acked, 2);
        assert_count(end.unacked, 1);
        assert_count(end.unsent, 1);
}

static void a_connection_on_which_nothing_went_ends_with_nothing(void **state)
{
        struct ledger_end end;

        (void)state;
        put_messages(2);
        begin();
        end = ledger_end(&room.ledger, 0, 0, RESEND_UNACKED);
        assert_count(end.acked, 0);
        assert_count(end.unacked, 0);
        assert_count(end.unsent, 0);
        assert_count(cursor_queued(&room.ledger.acked), 2);
}

static void what_was_acknowledged_long_ago_is_still_told_at_the_end(void **state)
{
        struct ledger_end end;

        (void)state;
        put_messages(5000);
        begin();
        write_all(4000 * FRAME, false);
        ledger_acked(&room.ledger, 3000 * FRAME + 7);
        end = ledger_end(&room.ledger, 3500 * FRAME, 3600 * FRAME, RESEND_UNACKED);
        assert_count(end.acked, 3500);
        assert_count(end.unacked, 100);
        assert_count(end.unsent, 400);
}

static void injected_frames_are_in_no_class(void **state)
{
        struct ledger_end end;

        (void)state;
        put_messages(1);
        begin();
        beat("one");
        write_all(UINT32_MAX, false);
        put_messages(1);
        beat("two");
        write_all(UINT32_MAX, false);
        assert_int_equal(room.sent, 2 * FRAME + 2 * BEAT);
        assert_beat(0, "one");
        assert_message(BEAT, 0);
        assert_beat(BEAT + FRAME, "two");
        assert_message(2 * BEAT + FRAME, 1);
        /* Acknowledged into the second heartbeat, transmitted all of it. */
        end = ledger_end(&room.ledger, BEAT + FRAME + 2, 2 * BEAT + FRAME, RESEND_UNACKED);
        assert_count(end.acked, 1);
        assert_count(end.unacked, 0);
        assert_count(end.unsent, 1);
}

/* ---- what goes again ---- */

static void the_first_unacknowledged_message_goes_again_from_byte_0(void **state)
{
        (void)state;
        put_messages(6);
        begin();
        write_all(3 * FRAME + 60, false);
        ledger_end(&room.ledger, FRAME + 99, 3 * FRAME + 60, RESEND_UNACKED);
        put_messages(2);
        begin();
        assert_int_equal(write_all(UINT32_MAX, false), 7 * FRAME);
        for (uint64_t i = 0; i < 7; i++)
                assert_message(i * FRAME, i + 1);
}

static void what_is_acknowledged_never_goes_again(void **state)
{
        (void)state;
        put_messages(4);
        begin();
        write_all(4 * FRAME, false);
        ledger_end(&room.ledger, 4 * FRAME, 4 * FRAME, RESEND_UNACKED);
        begin();
        assert_int_equal(write_all(UINT32_MAX, false), 0);
        assert_false(ledger_pending(&room.ledger, false));
        put_messages(1);
        assert_int_equal(write_all(UINT32_MAX, false), FRAME);
        assert_message(0, 4);
}

static void a_half_written_message_goes_again_whole(void **state)
{
        (void)state;
        put_messages(1);
        begin();
        for (uint64_t half = 1; half < FRAME; half += 17) {
                write_all(half, false);
                assert_true(ledger_in_message(&room.ledger));
                ledger_end(&room.ledger, half, half, RESEND_UNACKED);
                assert_false(ledger_in_message(&room.ledger));
                begin();
        }
        assert_int_equal(write_all(UINT32_MAX, false), FRAME);
        assert_message(0, 0);
        assert_count(ledger_sent_count(&room.ledger), 1);
        assert_count(ledger_resent_count(&room.ledger), 1);
}

static void repeats_count_as_sent_and_as_sent_again(void **state)
{
        (void)state;
        put_messages(5);
        begin();
        write_all(3 * FRAME + 1, false);
        assert_count(ledger_sent_count(&room.ledger), 3);
        assert_count(ledger_resent_count(&room.ledger), 0);
        ledger_end(&room.ledger, FRAME, 3 * FRAME, RESEND_UNACKED);
        begin();
        write_all(FRAME, false);
        assert_count(ledger_sent_count(&room.ledger), 4);
        assert_count(ledger_resent_count(&room.ledger), 1);
        write_all(UINT32_MAX, false);
        /* Of these four, the second, third and fourth had been begun, the fifth had not. */
        assert_count(ledger_sent_count(&room.ledger), 7);
        assert_count(ledger_resent_count(&room.ledger), 3);
        ledger_end(&room.ledger, 0, 4 * FRAME, RESEND_UNACKED);
        assert_count(ledger_sent_count(&room.ledger), 7);
        assert_count(ledger_resent_count(&room.ledger), 3);
        begin();
        write_all(UINT32_MAX, false);
        assert_count(ledger_sent_count(&room.ledger), 11);
        assert_count(ledger_resent_count(&room.ledger), 7);
}

static void a_short_connection_does_not_forget_what_was_begun_before(void **state)
{
        (void)state;
        put_messages(3);
        begin();
        write_all(3 * FRAME, false);
        ledger_end(&room.ledger, 0, 0, RESEND_UNACKED);
        begin();
        write_all(FRAME / 2, false);
        ledger_end(&room.ledger, 0, 0, RESEND_UNACKED);
        begin();
        write_all(UINT32_MAX, false);
        assert_count(ledger_sent_count(&room.ledger), 6);
        assert_count(ledger_resent_count(&room.ledger), 3);
}

static void unacked_is_what_was_written_whole_and_is_not_acknowledged(void **state)
{
        (void)state;
        put_messages(5);
        begin();
        assert_count(ledger_unacked(&room.ledger, UINT64_MAX), 0);
        write_all(3 * FRAME + 50, false);
        assert_count(ledger_unacked(&room.ledger, UINT64_MAX), 3);
        /* What the kernel only holds is not on its way. */
        assert_count(ledger_unacked(&room.ledger, 3 * FRAME), 3);
        assert_count(ledger_unacked(&room.ledger, 3 * FRAME - 1), 2);
        assert_count(ledger_unacked(&room.ledger, 0), 0);
        ledger_acked(&room.ledger, FRAME + 50);
        assert_count(ledger_unacked(&room.ledger, FRAME + 50), 0);
        assert_count(ledger_unacked(&room.ledger, 2 * FRAME), 1);
        assert_count(ledger_unacked(&room.ledger, UINT64_MAX), 2);
        assert_count(cursor_delivered(&room.ledger.acked), 1);
        ledger_acked(&room.ledger, 3 * FRAME + 50);
        assert_count(ledger_unacked(&room.ledger, UINT64_MAX), 0);
        ledger_end(&room.ledger, 3 * FRAME + 50, 3 * FRAME + 50, RESEND_UNACKED);
        assert_count(ledger_unacked(&room.ledger, UINT64_MAX), 0);
}

/* ---- what goes besides ---- */

static void what_is_injected_waits_for_the_end_of_a_message(void **state)
{
        (void)state;
        put_messages(2);
        begin();
        for (uint64_t half = 1; half < FRAME; half += 25) {
                uint64_t at = room.sent;

                write_all(half, false);
                assert_true(beat("beA"));
                assert_true(beat("beB"));
                assert_true(ledger_pending(&room.ledger, true));
                write_all(FRAME - half + 2 * BEAT, false);
                assert_message(at, at / (FRAME + 2 * BEAT));
                assert_beat(at + FRAME, "beA");
                assert_beat(at + FRAME + BEAT, "beB");
                put_messages(1);
        }
        assert_false(ledger_pending(&room.ledger, true));
        assert_true(ledger_pending(&room.ledger, false));
}

static void a_half_written_heartbeat_is_finished_first(void **state)
{
        (void)state;
        put_messages(1);
        begin();
        beat("one");
        write_all(2, false);
        assert_false(ledger_in_message(&room.ledger));
        beat("two");
        write_all(UINT32_MAX, false);
        assert_beat(0, "one");
        assert_beat(BEAT, "two");
        assert_message(2 * BEAT, 0);
}

static void on_hold_only_what_is_begun_is_finished(void **state)
{
        (void)state;
        put_messages(2);
        begin();
        assert_int_equal(write_all(UINT32_MAX, true), 0);
        beat("hi!");
        assert_int_equal(write_all(UINT32_MAX, true), BEAT);
        write_all(10, false);
        assert_int_equal(write_all(UINT32_MAX, true), FRAME - 10);
        assert_int_equal(write_all(UINT32_MAX, true), 0);
        assert_true(ledger_pending(&room.ledger, false));
        assert_int_equal(write_all(UINT32_MAX, false), FRAME);
}

static void what_is_injected_is_lost_with_its_connection(void **state)
{
        (void)state;
        put_messages(1);
        begin();
        beat("one");
        write_all(3, false);
        beat("two");
        ledger_end(&room.ledger, 0, 3, RESEND_UNACKED);
        begin();
        assert_false(ledger_pending(&room.ledger, true));
        assert_int_equal(write_all(UINT32_MAX, false), FRAME);
        assert_message(0, 0);
}

static void too_many_heartbeats_under_way_are_refused_until_some_are_acknowledged(void **state)
{
        uint64_t taken = 0;

        (void)state;
        put_messages(1);
        begin();
        write_all(UINT32_MAX, false);
        for (; taken < IMAGE_PIECES && beat("hb!"); taken++) {
                put_messages(1);
                write_all(UINT32_MAX, false);
        }
        assert_in_range(taken, IMAGE_PIECES / 4, IMAGE_PIECES - 1);
        for (uint64_t i = 0; i <= taken; i++)
                assert_message(i * (FRAME + BEAT), i);
        ledger_acked(&room.ledger, room.sent);
        assert_true(beat("hb!"));
        assert_int_equal(write_all(UINT32_MAX, false), BEAT);
}

static void a_million_messages_with_heartbeats_leave_nothing_behind(void **state)
{
        uint64_t used = 0, pieces = 0, lag = 0, beats = 0;

        (void)state;
        begin();
        for (int i = 0; i < 4000; i++) {
                const struct image_session *image = room.ledger.image;
                uint64_t n = 0;

                put_messages(250);
                assert_true(beat("hb!"));
                beats++;
                room.sent = 0; /* its bytes are not looked at */
                while ((n = write_once(5000 + (uint64_t)i, false)) > 0)
                        room.sent = 0;
                /* The peer's kernel is always some way behind, so that nothing is ever at rest. */
                ledger_acked(&room.ledger, image->written - lag);
                lag = (uint64_t)i * 7 % 3000;
                if (image->piece_next - image->piece_first > pieces)
                        pieces = image->piece_next - image->piece_first;
                if (room.store.used_bytes > used)
                        used = room.store.used_bytes;
        }
        assert_int_equal(room.ledger.image->written, 1000000ull * FRAME + beats * BEAT);
        assert_count(ledger_sent_count(&room.ledger), 1000000);
        assert_in_range(pieces, 1, 8);
        assert_in_range(used, 1, 1 << 20);
        ledger_acked(&room.ledger, room.ledger.image->written);
        assert_count(cursor_delivered(&room.ledger.acked), 1000000);
        assert_count(cursor_queued(&room.ledger.acked), 0);
}

/* As of an image whose counters were damaged: no check of the recovery looks at them. */
static void a_counter_that_is_too_high_makes_no_sum_wrap(void **state)
{
        struct books books;

        (void)state;
        put_messages(3);
        room.ledger.totals->out_dropped[DROP_EXPIRED][0] = 9;
        room.ledger.totals->out_dropped[DROP_EXPIRED][1] = 1 << 20;
        ledger_books(&room.ledger, &books);
        assert_count(books.queued, 3);
        assert_count(books.delivered, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                test(each_begun_message_is_in_one_class),
                test(a_message_counts_with_its_last_byte),
                test(a_connection_on_which_nothing_went_ends_with_nothing),
                test(what_was_acknowledged_long_ago_is_still_told_at_the_end),
                test(injected_frames_are_in_no_class),
                test(the_first_unacknowledged_message_goes_again_from_byte_0),
                test(what_is_acknowledged_never_goes_again),
                test(a_half_written_message_goes_again_whole),
                test(repeats_count_as_sent_and_as_sent_again),
                test(a_short_connection_does_not_forget_what_was_begun_before),
                test(unacked_is_what_was_written_whole_and_is_not_acknowledged),
                test(what_is_injected_waits_for_the_end_of_a_message),
                test(a_half_written_heartbeat_is_finished_first),
                test(on_hold_only_what_is_begun_is_finished),
                test(what_is_injected_is_lost_with_its_connection),
                test(too_many_heartbeats_under_way_are_refused_until_some_are_acknowledged),
                test(a_counter_that_is_too_high_makes_no_sum_wrap),
                test(a_million_messages_with_heartbeats_leave_nothing_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
