/* SPDX-License-Identifier: MIT */
/* How long the longest pass of the event loop took, on made-up clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pass_times.h"

static struct pass_times times;
static uint64_t now, cpu, readings;

static int setup(void **state)
{
        (void)state;
        now = 1000000;
        cpu = 70000;
        readings = 0;
        pass_times_begin(&times, now, cpu);
        return 0;
}

/* A pass that sleeps and then works. */
static void pass(uint64_t asleep, uint64_t busy)
{
        now += asleep + busy;
        cpu += busy;
        if (!pass_times_end(&times, now))
                return;
        pass_times_read(&times, now, cpu);
        readings++;
}

static void the_longest_pass_is_told(void **state)
{
        (void)state;
        pass(0, 3000);
        pass(0, 9000);
        pass(0, 2000);
        assert_int_equal(times.longest, 9000);
}

static void sleep_does_not_count(void **state)
{
        (void)state;
        pass(5000000, 1500);
        pass(100000, 1200);
        assert_int_equal(times.longest, 1500);
}

static void short_passes_do_not_add_up(void **state)
{
        (void)state;
        for (int i = 0; i < 10000; i++)
                pass(0, 50);
        assert_in_range(times.longest, 0, 1000);
}

static void a_long_pass_behind_short_ones_is_told_to_a_millisecond(void **state)
{
        (void)state;
        for (int i = 0; i < 15; i++)
                pass(10, 50);
        pass(0, 20000);
        assert_in_range(times.longest, 19000, 20000);
}

static void the_processors_clock_is_read_once_a_millisecond_at_most(void **state)
{
        (void)state;
        for (int i = 0; i < 100000; i++)
                pass(0, 10);
        assert_in_range(readings, 1, 1000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(the_longest_pass_is_told, setup),
                cmocka_unit_test_setup(sleep_does_not_count, setup),
                cmocka_unit_test_setup(short_passes_do_not_add_up, setup),
                cmocka_unit_test_setup(a_long_pass_behind_short_ones_is_told_to_a_millisecond,
                                       setup),
                cmocka_unit_test_setup(the_processors_clock_is_read_once_a_millisecond_at_most,
                                       setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
