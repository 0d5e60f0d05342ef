/* SPDX-License-Identifier: MIT */
/* Failures of the link: each kind is told once, and counted from then on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/failure_reports.h"
#include "core/state.h"

#define SECOND UINT64_C(1000000)

static bool failure(struct failure_reports *failure_reports, enum link_cause cause, uint64_t second,
                    uint64_t expected)
{
        uint64_t untold = UINT64_MAX;
        bool told = failure_reports_add(failure_reports, cause, second * SECOND, &untold);

        if (told)
                assert_int_equal(untold, expected);
        return told;
}

static void a_cause_that_goes_on_is_told_once_an_hour(void **state)
{
        struct failure_reports failure_reports = {0};

        (void)state;
        assert_true(failure(&failure_reports, CAUSE_REFUSED, 0, 0));
        for (uint64_t second = 1; second < 3600; second++)
                assert_false(failure(&failure_reports, CAUSE_REFUSED, second, 0));
        assert_true(failure(&failure_reports, CAUSE_REFUSED, 3600, 3599));
        assert_false(failure(&failure_reports, CAUSE_REFUSED, 3601, 0));
}

static void a_new_cause_is_told(void **state)
{
        struct failure_reports failure_reports = {0};

        (void)state;
        assert_true(failure(&failure_reports, CAUSE_REFUSED, 0, 0));
        assert_true(failure(&failure_reports, CAUSE_TIMEOUT, 1, 0));
        assert_true(failure(&failure_reports, CAUSE_RESOLVE, 2, 0));
}

static void causes_that_alternate_are_told_now_and_then(void **state)
{
        struct failure_reports failure_reports = {0};

        (void)state;
        for (uint64_t second = 0; second < 600; second += 2) {
                assert_true(failure(&failure_reports, CAUSE_REFUSED, second, 0) == (second == 0));
                assert_true(failure(&failure_reports, CAUSE_CLOSED, second + 1, 0) ==
                            (second == 0));
        }
        assert_true(failure(&failure_reports, CAUSE_REFUSED, 600, 299));
}

static void what_was_told_though_it_is_no_news_is_not_counted(void **state)
{
        struct failure_reports failure_reports = {0};

        (void)state;
        assert_true(failure(&failure_reports, CAUSE_CLOSED, 0, 0));
        assert_false(failure(&failure_reports, CAUSE_CLOSED, 1, 0));
        failure_reports_told(&failure_reports, CAUSE_CLOSED);
        assert_false(failure(&failure_reports, CAUSE_CLOSED, 2, 0));
        assert_true(failure(&failure_reports, CAUSE_CLOSED, 3600, 1));
}

static void after_a_good_connection_the_same_cause_is_news(void **state)
{
        struct failure_reports failure_reports = {0};

        (void)state;
        assert_true(failure(&failure_reports, CAUSE_CLOSED, 0, 0));
        assert_false(failure(&failure_reports, CAUSE_CLOSED, 1, 0));
        assert_int_equal(failure_reports_over(&failure_reports), 1);
        assert_int_equal(failure_reports_over(&failure_reports), 0);
        assert_true(failure(&failure_reports, CAUSE_CLOSED, 2, 0));
}

/* A host without IPv6 said "unreachable" of a peer whose program was down: its IPv6 address came
 * last in each round. */
static void the_cause_that_tells_most_of_the_peer_goes_first(void **state)
{
        static const enum link_cause causes[] = {CAUSE_REFUSED,     CAUSE_RESET,   CAUSE_TIMEOUT,
                                                 CAUSE_UNREACHABLE, CAUSE_RESOLVE, CAUSE_LOCAL,
                                                 CAUSE_NONE};
        const size_t n = sizeof(causes) / sizeof(*causes);

        (void)state;
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < n; j++)
                        assert_int_equal(link_cause_tells_more(causes[i], causes[j]), i < j);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_cause_that_goes_on_is_told_once_an_hour),
                cmocka_unit_test(a_new_cause_is_told),
                cmocka_unit_test(causes_that_alternate_are_told_now_and_then),
                cmocka_unit_test(what_was_told_though_it_is_no_news_is_not_counted),
                cmocka_unit_test(the_cause_that_tells_most_of_the_peer_goes_first),
                cmocka_unit_test(after_a_good_connection_the_same_cause_is_news),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
