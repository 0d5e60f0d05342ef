/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/liveness.h"

static const struct liveness_limits usual = {.interval_usec = 1000,
                                             .silence_usec = 3000,
                                             .path_usec = 3000,
                                             .stall_usec = 30000,
                                             .speaking_usec = 30000,
                                             .frame_usec = 10000};

/* A connection on which everything was seen just now. */
static struct liveness_seen lively(void)
{
        return (struct liveness_seen){.now = 100000,
                                      .last_byte = 100000,
                                      .last_ack = 100000,
                                      .last_sent = 100000,
                                      .last_progress = 100000};
}

static enum liveness_verdict verdict(const struct liveness_seen *seen)
{
        return liveness_judge(&usual, seen).verdict;
}

static void a_lively_link_is_good_and_looked_at_when_a_heartbeat_is_due(void **state)
{
        struct liveness_seen seen = lively();
        struct liveness life = liveness_judge(&usual, &seen);

        (void)state;
        assert_int_equal(life.verdict, LIVENESS_GOOD);
        assert_false(life.heartbeat);
        assert_int_equal(life.next, 101000);
}

static void silence_is_judged_to_the_microsecond(void **state)
{
        struct liveness_seen seen = lively();

        (void)state;
        seen.last_byte = seen.now - 2999;
        assert_int_equal(verdict(&seen), LIVENESS_GOOD);
        assert_int_equal(liveness_judge(&usual, &seen).next, seen.now + 1);
        seen.last_byte = seen.now - 3000;
        assert_int_equal(verdict(&seen), LIVENESS_SILENT);
}

static void silence_is_not_judged_while_we_pause_or_greet_or_know_of_it(void **state)
{
        struct liveness_seen seen = lively();

        (void)state;
        seen.last_byte = seen.now - 50000;
        seen.paused = true;
        assert_int_equal(verdict(&seen), LIVENESS_GOOD);
        seen.paused = false;
        seen.greeting = true;
        assert_int_equal(verdict(&seen), LIVENESS_GOOD);
        seen.greeting = false;
        seen.silence_known = true;
        assert_int_equal(verdict(&seen), LIVENESS_GOOD);
}

static void silence_and_path_are_judged_from_a_change_of_their_limits_on(void **state)
{
        struct liveness_limits limits = usual;
        struct liveness_seen seen = lively();

        (void)state;
        seen.last_byte = seen.last_ack = seen.now - 50000;
        seen.limits_since = seen.now - 2999;
        assert_int_equal(verdict(&seen), LIVENESS_GOOD);
        assert_int_equal(liveness_judge(&usual, &seen).next, seen.now + 1);
        seen.limits_since = seen.now - 3000;
        assert_int_equal(verdict(&seen), LIVENESS_SILENT);
        limits.silence_usec = 0;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_PATH);
        seen.limits_since = seen.now - 2999;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
}

static void a_path_is_dead_when_neither_bytes_nor_acknowledgements_come(void **state)
{
        struct liveness_limits limits = usual;
        struct liveness_seen seen = lively();

        (void)state;
        limits.silence_usec = 0;
        seen.last_byte = seen.now - 9000;
        seen.last_ack = seen.now - 2999;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
        seen.last_ack = seen.now - 3000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_PATH);
        seen.last_byte = seen.now - 10;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
}

static void behind_a_closed_window_only_the_stall_is_judged(void **state)
{
        struct liveness_limits limits = usual;
        struct liveness_seen seen = lively();

        (void)state;
        limits.silence_usec = 0;
        seen.last_byte = seen.last_ack = seen.now - 20000;
        seen.window_closed = seen.waiting = seen.unsent = true;
        seen.last_progress = seen.now - 29999;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
        seen.last_progress = seen.now - 30000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_STALLED);
        seen.waiting = false;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
}

static void a_peer_that_speaks_is_given_longer_and_not_for_ever(void **state)
{
        struct liveness_limits limits = usual;
        struct liveness_seen seen = lively();

        (void)state;
        seen.now = seen.last_ack = 1000000;
        limits.silence_usec = 0;
        limits.speaking_usec = 300000;
        seen.waiting = seen.unsent = true;
        seen.last_progress = seen.now - 299999;
        seen.last_byte = seen.now - 29999;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
        assert_int_equal(liveness_judge(&limits, &seen).next, seen.now + 1);
        seen.last_byte = seen.now - 30000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_STALLED);
        seen.last_byte = seen.now;
        seen.last_progress = seen.now - 300000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_STALLED);
        limits.speaking_usec = 30000; /* a value that is set */
        seen.last_progress = seen.now - 30000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_STALLED);
}

static void a_peer_that_is_not_read_may_speak(void **state)
{
        struct liveness_limits limits = usual;
        struct liveness_seen seen = lively();

        (void)state;
        seen.now = seen.last_ack = 1000000;
        limits.speaking_usec = 300000;
        seen.waiting = seen.unsent = seen.paused = true;
        seen.last_progress = seen.last_byte = seen.now - 299999;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
        seen.last_progress = seen.now - 300000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_STALLED);
}

static void half_a_message_is_not_waited_for_for_ever_but_while_we_pause(void **state)
{
        struct liveness_limits limits = usual;
        struct liveness_seen seen = lively();

        (void)state;
        limits.silence_usec = 0;
        seen.partial = true;
        seen.last_byte = seen.now - 10000;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_PARTIAL);
        seen.paused = true;
        assert_int_equal(liveness_judge(&limits, &seen).verdict, LIVENESS_GOOD);
}

static void a_heartbeat_is_due_only_when_there_was_nothing_to_send(void **state)
{
        struct liveness_seen seen = lively();

        (void)state;
        seen.last_sent = seen.now - 1000;
        assert_true(liveness_judge(&usual, &seen).heartbeat);
        seen.unsent = true;
        assert_false(liveness_judge(&usual, &seen).heartbeat);
        seen.unsent = false;
        seen.greeting = true;
        assert_false(liveness_judge(&usual, &seen).heartbeat);
}

static void what_is_off_is_never_judged_nor_waited_for(void **state)
{
        const struct liveness_limits off = {0};
        struct liveness_seen seen = lively();
        struct liveness life;

        (void)state;
        seen.now += UINT64_C(1000000000000);
        seen.waiting = seen.partial = true;
        life = liveness_judge(&off, &seen);
        assert_int_equal(life.verdict, LIVENESS_GOOD);
        assert_false(life.heartbeat);
        assert_true(life.next == UINT64_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_lively_link_is_good_and_looked_at_when_a_heartbeat_is_due),
                cmocka_unit_test(silence_is_judged_to_the_microsecond),
                cmocka_unit_test(silence_is_not_judged_while_we_pause_or_greet_or_know_of_it),
                cmocka_unit_test(silence_and_path_are_judged_from_a_change_of_their_limits_on),
                cmocka_unit_test(a_path_is_dead_when_neither_bytes_nor_acknowledgements_come),
                cmocka_unit_test(behind_a_closed_window_only_the_stall_is_judged),
                cmocka_unit_test(a_peer_that_speaks_is_given_longer_and_not_for_ever),
                cmocka_unit_test(a_peer_that_is_not_read_may_speak),
                cmocka_unit_test(half_a_message_is_not_waited_for_for_ever_but_while_we_pause),
                cmocka_unit_test(a_heartbeat_is_due_only_when_there_was_nothing_to_send),
                cmocka_unit_test(what_is_off_is_never_judged_nor_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
