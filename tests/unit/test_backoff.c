/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/backoff.h"

static struct backoff fresh(void)
{
        struct backoff backoff;

        backoff_init(&backoff);
        backoff_configure(&backoff, 200, 3000, 1000);
        return backoff;
}

static void the_delay_doubles_up_to_the_largest_and_stays_there(void **state)
{
        struct backoff backoff = fresh();
        const uint64_t expected[] = {200, 400, 800, 1600, 3000, 3000, 3000};

        (void)state;
        for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
                assert_int_equal(backoff_wait(&backoff, 1.0), expected[i]);
}

static void the_random_factor_counts_at_the_first_and_at_the_cap(void **state)
{
        struct backoff backoff = fresh();

        (void)state;
        assert_int_equal(backoff_wait(&backoff, 0.5), 100);
        for (int i = 0; i < 10; i++)
                backoff_wait(&backoff, 0.5);
        assert_int_equal(backoff_wait(&backoff, 0.5), 1500);
}

static void it_falls_back_only_after_the_stable_time_and_after_what_was_paid(void **state)
{
        struct backoff backoff = fresh();

        (void)state;
        for (int i = 0; i < 10; i++)
                backoff_wait(&backoff, 1.0);
        assert_int_equal(backoff_stable_usec(&backoff), 3000); /* which were paid */
        backoff_fall(&backoff);
        assert_int_equal(backoff_wait(&backoff, 1.0), 200);
        assert_int_equal(backoff_stable_usec(&backoff), 1000); /* less was paid */
}

static void a_peer_that_says_no_is_asked_again_after_the_longest_delay(void **state)
{
        struct backoff backoff = fresh();

        (void)state;
        backoff_longest(&backoff);
        assert_int_equal(backoff_wait(&backoff, 1.0), 3000);
}

static void
other_limits_hold_at_once_and_a_first_delay_above_the_largest_is_the_largest(void **state)
{
        struct backoff backoff = fresh();

        (void)state;
        for (int i = 0; i < 10; i++)
                backoff_wait(&backoff, 1.0);
        backoff_configure(&backoff, 100, 500, 1000);
        assert_int_equal(backoff_wait(&backoff, 1.0), 500);
        backoff_configure(&backoff, 9000, 700, 1000);
        assert_int_equal(backoff_wait(&backoff, 1.0), 700);
        backoff_fall(&backoff);
        assert_int_equal(backoff_wait(&backoff, 1.0), 700);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_delay_doubles_up_to_the_largest_and_stays_there),
                cmocka_unit_test(the_random_factor_counts_at_the_first_and_at_the_cap),
                cmocka_unit_test(it_falls_back_only_after_the_stable_time_and_after_what_was_paid),
                cmocka_unit_test(a_peer_that_says_no_is_asked_again_after_the_longest_delay),
                cmocka_unit_test(
                        other_limits_hold_at_once_and_a_first_delay_above_the_largest_is_the_largest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
