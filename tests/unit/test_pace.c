/* SPDX-License-Identifier: MIT */
/* How often something is told, on a made-up clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pace.h"

static const struct pace_limits limits = {3, 10, 100};

static void the_first_few_are_told_one_by_one_and_the_others_together(void **state)
{
        struct pace pace = {0};
        uint64_t span;

        (void)state;
        for (int i = 0; i < 3; i++)
                assert_true(pace_take(&pace, &limits, 1, 1000));
        assert_int_equal(pace_due(&pace), UINT64_MAX);
        assert_false(pace_take(&pace, &limits, 1, 1001));
        assert_false(pace_take(&pace, &limits, 7, 1002));
        assert_int_equal(pace_due(&pace), 1010);
        assert_int_equal(pace_sum(&pace, &limits, false, 1009, &span), 0);
        assert_int_equal(pace_sum(&pace, &limits, false, 1012, &span), 8);
        assert_int_equal(span, 12);
        assert_int_equal(pace_sum(&pace, &limits, true, 1012, &span), 0);
}

static void while_it_goes_on_it_is_told_ever_more_rarely(void **state)
{
        const uint64_t expected[] = {10, 20, 40, 80, 100, 100};
        struct pace pace = {0};
        uint64_t now = 1000, span;

        (void)state;
        for (int i = 0; i < 3; i++)
                pace_take(&pace, &limits, 1, now);
        for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
                assert_false(pace_take(&pace, &limits, 5, now));
                assert_int_equal(pace_due(&pace), now + expected[i]);
                now += expected[i];
                assert_int_equal(pace_sum(&pace, &limits, false, now, &span), 5);
        }
}

static void a_quiet_span_makes_the_next_one_news_again(void **state)
{
        struct pace pace = {0};

        (void)state;
        for (int i = 0; i < 4; i++)
                pace_take(&pace, &limits, 1, 1000);
        assert_int_equal(pace_sum(&pace, &limits, false, 1010, NULL), 1);
        assert_false(pace_take(&pace, &limits, 1, 1011)); /* within the span of 20 */
        assert_int_equal(pace_sum(&pace, &limits, false, 1030, NULL), 1);
        assert_true(pace_take(&pace, &limits, 1, 1070)); /* the one of 40 went by */
        assert_true(pace_take(&pace, &limits, 1, 1071));
        assert_true(pace_take(&pace, &limits, 1, 1072));
        assert_false(pace_take(&pace, &limits, 1, 1073));
        assert_int_equal(pace_due(&pace), 1080);
}

static void what_is_counted_can_be_told_at_once(void **state)
{
        struct pace pace = {0};

        (void)state;
        for (int i = 0; i < 5; i++)
                pace_take(&pace, &limits, 1, 1000);
        assert_int_equal(pace_sum(&pace, &limits, true, 1001, NULL), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_first_few_are_told_one_by_one_and_the_others_together),
                cmocka_unit_test(while_it_goes_on_it_is_told_ever_more_rarely),
                cmocka_unit_test(a_quiet_span_makes_the_next_one_news_again),
                cmocka_unit_test(what_is_counted_can_be_told_at_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
