/* SPDX-License-Identifier: MIT */
/*
 * What becomes of each message under every policy: a ledger beside a plain list of messages, which
 * is asked after every step of a random schedule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/ledger_room.h"
#include "lib/stream.h"

enum { SCHEDULES = 400, STEPS = 1500 };

/* ---- single cases ---- */

/* Seven messages of 100 bytes: one acknowledged, the second in part; two more transmitted, but of
 * the second of these not its last byte; one more and half of another begun; one not begun. */
static void seven(enum config_resend resend)
{
        room_messages(7);
        room_begin();
        room_write(550, false);
        room_check();
        room_end(101, 399, resend);
        room_check();
        room_begin();
        room_write_all();
        room_check();
        room_acknowledge(room.written);
        room_check();
}

static void unacked_repeats_what_is_not_acknowledged(void **state)
{
        (void)state;
        seven(RESEND_UNACKED);
        assert_int_equal(room.fates[DELIVERED].messages, 7);
        assert_int_equal(room.resent.messages, 5);
}

static void unsent_drops_what_the_peer_may_have(void **state)
{
        (void)state;
        seven(RESEND_UNSENT);
        assert_int_equal(room.fates[NOT_RESENT].messages, 2);
        assert_int_equal(room.fates[DELIVERED].messages, 5);
}

static void none_drops_what_was_begun_and_keeps_the_rest(void **state)
{
        (void)state;
        seven(RESEND_NONE);
        assert_int_equal(room.fates[NOT_RESENT].messages, 5);
        assert_int_equal(room.fates[DELIVERED].messages, 2);
}

static void behind_a_half_written_message_the_others_grow_too_old(void **state)
{
        (void)state;
        room_messages(3);
        room_messages(1);
        room_begin();
        room_write(50, false);
        room_expire(room.now);
        room_check();
        assert_int_equal(room.fates[EXPIRED].messages, 2);
        room_check_recovery();
        room_beat();
        room_write_all();
        room_check();
        assert_int_equal(room.written, 200 + BEAT);
        room_acknowledge(room.written);
        room_check();
        assert_int_equal(room.fates[DELIVERED].messages, 2);
}

static void what_grew_too_old_with_nothing_under_way_waits_no_more(void **state)
{
        (void)state;
        room_messages(2);
        room_begin();
        room_write_all();
        room_acknowledge(room.written);
        room_messages(5);
        room_expire(room.now + 1);
        room_check();
        assert_int_equal(cursor_waiting(&room.ledger.acked), 0);
        assert_int_equal(cursor_oldest(&room.ledger.acked), 0);
        assert_false(ledger_pending(&room.ledger, false));
}

/* A heartbeat was on its way when messages grew too old, and everything before it was
 * acknowledged. */
static void a_hole_behind_a_heartbeat_is_in_the_books(void **state)
{
        (void)state;
        room_messages(1);
        room_begin();
        room_write_all();
        room_beat();
        room_write_all();
        room_acknowledge(100);
        room_messages(2);
        room_expire(room.now + 1);
        room_check();
        room_messages(1);
        room_write_all();
        room_check();
        room_check_recovery();
        room_end(100, room.written, RESEND_UNACKED);
        room_check();
        assert_int_equal(room.fates[EXPIRED].messages, 2);
        assert_int_equal(room.fates[QUEUED].messages, 1);
}

static void a_link_that_takes_nothing_for_long_does_not_fill_the_map(void **state)
{
        (void)state;
        room_messages(1);
        room_begin();
        room_write(50, false);
        for (int i = 0; i < 2000; i++) {
                room_messages(1);
                room_expire(room.now + 1);
        }
        room_check();
        room_beat();
        assert_int_equal(room.beats, 1);
        room_write_all();
        assert_int_equal(room.written, 100 + BEAT);
        room_check();
}

/* Thousands of holes, none of them acknowledged: what does not fit into the map waits, heartbeats
 * do not, and with the acknowledgement it goes on. */
static void a_map_full_of_holes_holds_messages_back_until_some_are_acknowledged(void **state)
{
        uint64_t written;

        (void)state;
        room_messages(1);
        room_begin();
        for (int i = 0; i < 900; i++) {
                room_write(100, false);
                room_messages(1);
                room_expire(room.now + 1);
                room_messages(1);
        }
        room_check();
        written = room.written;
        assert_in_range(written, 100 * 400, 100 * 600);
        room_beat();
        assert_int_equal(room_write(1000, false), BEAT);
        assert_int_equal(room_write(1000, false), 0);
        room_check();
        room_acknowledge(room.written);
        room_check();
        room_write_all();
        room_acknowledge(room.written);
        room_check();
        assert_int_equal(room.fates[QUEUED].messages, 0);
}

static void without_a_connection_the_oldest_go(void **state)
{
        (void)state;
        room_messages(3);
        room_messages(2);
        room_expire(room.now);
        room_check();
        room_begin();
        room_write(150, false);
        room_end(0, 150, RESEND_UNACKED);
        room_expire(room.now + 1);
        room_check();
        assert_int_equal(room.fates[EXPIRED].messages, 5);
        room_begin();
        room_write_all();
        assert_int_equal(room.written, 0);
}

/* ---- random schedules ---- */

static void step(enum config_resend resend)
{
        uint64_t way = room.written - room.acked;

        if (random_one_in(4))
                room_append_some(random_below(8));
        if (!room.live) {
                if (random_one_in(5))
                        room_expire(room.now - random_below(20000));
                else if (random_one_in(3))
                        room_begin_as(random_one_in(2) ? LEDGER_UNHEARD : LEDGER_HEARD);
                return;
        }
        if (random_one_in(100))
                room_hear();
        switch (random_below(10)) {
        case 0: room_beat(); break;
        case 1: room_expire(room.now - random_below(30000)); break;
        case 2:
                if (random_one_in(20)) {
                        uint64_t acked = room.acked + random_below(way + 1);

                        room_end(acked, acked + random_below(room.written - acked + 1), resend);
                }
                break;
        case 3:
        case 4: room_acknowledge(room.acked + random_below(way + 1)); break;
        case 5: room_acknowledge(room.written); break;
        default: room_write(1 + random_size(20000), random_one_in(5)); break;
        }
}

static void at_every_step_the_books_are_those_of_a_plain_list(void **state)
{
        random_start("at_every_step_the_books_are_those_of_a_plain_list");
        room_teardown(state);
        for (int i = 0; i < SCHEDULES; i++) {
                enum config_resend resend = (enum config_resend)(i % 3);

                room_setup(state);
                for (int k = 0; k < STEPS; k++) {
                        step(resend);
                        room_check();
                        if (random_one_in(100))
                                room_check_recovery();
                }
                if (!room.live)
                        room_begin();
                room_hear();
                room_write_all();
                room_acknowledge(room.written);
                room_check();
                assert_int_equal(room.fates[QUEUED].messages, 0);
                assert_in_range(room.store.used_bytes, 0, 3 * IMAGE_SLAB_SIZE);
                room_teardown(state);
        }
        room_setup(state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                test(unacked_repeats_what_is_not_acknowledged),
                test(unsent_drops_what_the_peer_may_have),
                test(none_drops_what_was_begun_and_keeps_the_rest),
                test(behind_a_half_written_message_the_others_grow_too_old),
                test(what_grew_too_old_with_nothing_under_way_waits_no_more),
                test(a_hole_behind_a_heartbeat_is_in_the_books),
                test(a_link_that_takes_nothing_for_long_does_not_fill_the_map),
                test(a_map_full_of_holes_holds_messages_back_until_some_are_acknowledged),
                test(without_a_connection_the_oldest_go),
                test(at_every_step_the_books_are_those_of_a_plain_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
