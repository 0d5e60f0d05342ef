/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/stall.h"

#define SEC UINT64_C(1000000)

static void reads_as(const struct stall_seen *seen, enum stall_place place, const char *reason)
{
        char text[240];

        assert_int_equal(stall_judge(seen), place);
        stall_text(seen, place, text, sizeof(text));
        assert_string_equal(text, reason);
}

static void behind_a_closed_window(uint64_t heard_usec, unsigned unanswered, enum stall_place place,
                                   const char *reason)
{
        const struct stall_seen seen = {.stalled_usec = 30 * SEC,
                                        .heard_usec = heard_usec,
                                        .unanswered = unanswered,
                                        .window_closed = true};

        reads_as(&seen, place, reason);
}

static void behind_a_closed_window_the_program_does_not_read(void **state)
{
        (void)state;
        /* The intervals of the probes grow: an answer may be half of the time ago, or more. */
        behind_a_closed_window(
                25 * SEC, 1, STALL_PROGRAM,
                "data waits and the peer took none for 30s (StallTimeout=): its kernel lives, its "
                "program does not read");
}

static void behind_a_closed_window_nobody_answers_the_probes(void **state)
{
        (void)state;
        behind_a_closed_window(
                26 * SEC, 2, STALL_PATH,
                "data waits and the peer took none for 30s (StallTimeout=): neither a byte nor an "
                "acknowledgement for 26s");
}

static void large_segments_are_sent_again_while_small_ones_pass(void **state)
{
        struct stall_seen seen = {
                .stalled_usec = 30 * SEC, .heard_usec = SEC, .under_way = 537, .sent_again = true};

        (void)state;
        reads_as(&seen, STALL_SIZE,
                 "data waits and the peer took none for 30s (StallTimeout=): the path takes small "
                 "packets and no large ones: MTU?");
        seen.under_way = 536;
        reads_as(&seen, STALL_KERNEL,
                 "data waits and the peer took none for 30s (StallTimeout=): its kernel lives and "
                 "acknowledges none");
        seen.under_way = 100000;
        seen.sent_again = false;
        assert_int_equal(stall_judge(&seen), STALL_KERNEL);
}

static void a_path_on_which_nothing_comes_back_is_dead(void **state)
{
        struct stall_seen seen = {.stalled_usec = 30 * SEC,
                                  .heard_usec = 15 * SEC,
                                  .under_way = 100000,
                                  .sent_again = true};

        (void)state;
        assert_int_equal(stall_judge(&seen), STALL_PATH);
        seen.under_way = 4;
        assert_int_equal(stall_judge(&seen), STALL_PATH);
        seen.heard_usec--;
        assert_int_equal(stall_judge(&seen), STALL_KERNEL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(behind_a_closed_window_the_program_does_not_read),
                cmocka_unit_test(behind_a_closed_window_nobody_answers_the_probes),
                cmocka_unit_test(large_segments_are_sent_again_while_small_ones_pass),
                cmocka_unit_test(a_path_on_which_nothing_comes_back_is_dead),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
