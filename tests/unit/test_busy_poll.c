/* SPDX-License-Identifier: MIT */
/* When the process waits awake for what comes next, on a made-up clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/busy_poll.h"
#include "lib/stream.h"

enum { KIB = 1024, BURST = 240 * KIB };

static struct busy_poll poll;
static uint64_t passed, now;
static bool awake;

static int setup(void **state)
{
        (void)state;
        poll = (struct busy_poll){0};
        passed = 0;
        awake = false;
        now = 1000000;
        return 0;
}

/*
 * So many bytes pass after `usec` in which there was nothing. Returns how long of that was waited
 * awake, looking every other microsecond.
 */
static uint64_t pass(uint64_t bytes, uint64_t usec)
{
        uint64_t until = now + usec, began = now, slept;

        while (awake && now < until) {
                now += 2;
                awake = busy_poll_pass(&poll, passed, now);
        }
        slept = now;
        now = now < until ? until : now;
        passed += bytes;
        awake = busy_poll_pass(&poll, passed, now);
        return slept - began;
}

static void what_comes_closely_is_waited_for_awake(void **state)
{
        (void)state;
        pass(BURST, 1000);
        for (int i = 0; i < 100; i++)
                assert_in_range(pass(BURST, 60), 58, 62);
}

static void so_is_one_message_that_is_large(void **state)
{
        (void)state;
        pass(64 * KIB, 1000);
        for (int i = 0; i < 100; i++)
                assert_in_range(pass(64 * KIB, 15), 13, 17);
}

static void small_messages_are_waited_for_asleep(void **state)
{
        (void)state;
        for (int i = 0; i < 1000; i++)
                assert_int_equal(pass(64, 10), 0);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(pass(2 * KIB, 60), 0);
}

/* How many of 1000 waits were awake, each of them in vain. */
static unsigned vain_throttles(uint64_t bytes, uint64_t usec, uint64_t most)
{
        unsigned n = 0;

        for (int i = 0; i < 1000; i++) {
                uint64_t took = pass(bytes, usec);

                n += took > 0;
                assert_in_range(took, 0, most);
        }
        return n;
}

static void what_comes_slowly_is_hardly_ever(void **state)
{
        setup(state);
        assert_in_range(vain_throttles(BURST, 1000, 80), 5, 22);
        setup(state);
        assert_in_range(vain_throttles(16 * KIB, 60, 6), 5, 22);
}

static void what_comes_closely_again_is_waited_for_awake_again(void **state)
{
        int asleep = 0;

        (void)state;
        vain_throttles(BURST, 1000, 80);
        while (!pass(BURST, 60))
                asleep++;
        assert_in_range(asleep, 0, 64);
        for (int i = 0; i < 100; i++)
                assert_in_range(pass(BURST, 60), 58, 62);
        assert_in_range(pass(BURST, 1000), 58, 102);
        assert_int_equal(pass(BURST, 60), 0);
        assert_in_range(pass(BURST, 60), 58, 62);
}

static void it_is_awake_for_a_hundred_microseconds_at_most(void **state)
{
        (void)state;
        random_start("busy");
        for (int i = 0; i < 20000; i++) {
                uint64_t bytes = random_below(UINT64_C(1) << random_below(21));

                assert_in_range(pass(bytes, random_below(UINT64_C(1) << random_below(12))), 0, 102);
        }
}

static void in_all_it_waits_no_longer_than_was_earned(void **state)
{
        uint64_t sum = 0;

        (void)state;
        random_start("earned");
        for (int i = 0; i < 20000; i++)
                sum += pass(64 * KIB + random_below(64 * KIB), random_below(60));
        assert_true(sum > 0);
        assert_true(sum * 3 * KIB <= passed + passed / 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(what_comes_closely_is_waited_for_awake, setup),
                cmocka_unit_test_setup(so_is_one_message_that_is_large, setup),
                cmocka_unit_test_setup(small_messages_are_waited_for_asleep, setup),
                cmocka_unit_test(what_comes_slowly_is_hardly_ever),
                cmocka_unit_test_setup(what_comes_closely_again_is_waited_for_awake_again, setup),
                cmocka_unit_test_setup(it_is_awake_for_a_hundred_microseconds_at_most, setup),
                cmocka_unit_test_setup(in_all_it_waits_no_longer_than_was_earned, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
