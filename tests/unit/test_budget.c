/* SPDX-License-Identifier: MIT */
/* What may be spent of the loop's time, on a made-up clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/budget.h"

static void a_burst_is_spent_at_once(void **state)
{
        struct budget budget = {.share = 8, .burst = 1000};

        (void)state;
        for (int i = 0; i < 10; i++) {
                assert_int_equal(budget_wait(&budget, 5000), 0);
                budget_spend(&budget, 100, 5000);
        }
        assert_int_equal(budget_wait(&budget, 5000), 4000);
        assert_int_equal(budget_wait(&budget, 5000 + 8000), 0);
}

static void later_it_is_one_part_of_the_time(void **state)
{
        struct budget budget = {.share = 8, .burst = 1000};
        uint64_t now = 5000, spent = 0;

        (void)state;
        while (now < 10005000) {
                uint64_t wait = budget_wait(&budget, now);

                now += wait;
                if (wait)
                        continue;
                budget_spend(&budget, 30, now);
                spent += 30;
                now += 30;
        }
        assert_in_range(spent, 10000000 / 8 - 1000, 10000000 / 8 + 2000);
}

static void no_time_is_saved_up(void **state)
{
        struct budget budget = {.share = 8, .burst = 1000};

        (void)state;
        budget_spend(&budget, 10, 5000);
        assert_int_equal(budget_wait(&budget, 1000000000), 0);
        budget_spend(&budget, 1000, 1000000000);
        assert_int_equal(budget_wait(&budget, 1000000000), 4000);
}

static void a_clock_that_stands_still_does_no_harm(void **state)
{
        struct budget budget = {.share = 8, .burst = 1000, .as_of = 7000};

        (void)state;
        budget_spend(&budget, 2000, 6000);
        assert_int_equal(budget_wait(&budget, 6000), 12000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_burst_is_spent_at_once),
                cmocka_unit_test(later_it_is_one_part_of_the_time),
                cmocka_unit_test(no_time_is_saved_up),
                cmocka_unit_test(a_clock_that_stands_still_does_no_harm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
