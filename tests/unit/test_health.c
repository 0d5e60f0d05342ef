/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/report/health.h"

#define SEC UINT64_C(1000000)

static const struct config config = {
        .critical_after_usec = 30 * SEC,
        .max_age_usec = 60 * SEC,
        .flaps = 5,
        .held = HELD_WARNING,
};

static struct status healthy(void)
{
        return (struct status){
                .upstream = {.state = LINK_UP, .silent_usec = 0},
                .to_upstream = {.limit_bytes = 1000, .oldest_usec = BOOKS_NONE},
                .to_clients = {.limit_bytes = 1000, .oldest_usec = BOOKS_NONE},
        };
}

static struct health judge_by(const struct status *status, const struct config *limits)
{
        struct health health;

        memset(&health, 0xff, sizeof(health));
        health_judge(status, limits, &health);
        return health;
}

static struct health judge(const struct status *status)
{
        return judge_by(status, &config);
}

/* The one reason there is, which is a warning and contains the words. */
static void assert_warns(const struct status *status, const char *words)
{
        struct health health = judge(status);

        assert_int_equal(health.severity, SEVERITY_WARNING);
        assert_int_equal(health.n_reasons, 1);
        assert_int_equal(health.reasons[0].severity, SEVERITY_WARNING);
        if (!strstr(health.reasons[0].text, words))
                fail_msg("\"%s\" does not contain \"%s\"", health.reasons[0].text, words);
}

static void assert_ok(const struct status *status)
{
        struct health health = judge(status);

        assert_int_equal(health.severity, SEVERITY_OK);
        assert_int_equal(health.n_reasons, 0);
}

static void a_link_that_is_up_and_at_ease_is_ok(void **state)
{
        struct status status = healthy();

        (void)state;
        assert_ok(&status);
}

static void a_link_that_is_down_warns_and_becomes_critical_in_time(void **state)
{
        struct status status = healthy();
        struct health health;

        (void)state;
        status.upstream.state = LINK_CONNECTING;
        status.upstream.last_error = "connection refused";
        status.upstream.down_usec = 30 * SEC - 1;
        assert_warns(&status, "not been up for 29s, it is connecting: connection refused");
        status.upstream.down_usec = 30 * SEC;
        health = judge(&status);
        assert_int_equal(health.severity, SEVERITY_CRITICAL);
        assert_int_equal(health.reasons[0].severity, SEVERITY_CRITICAL);
}

static void the_time_in_one_state_does_not_count_but_the_time_down(void **state)
{
        struct status status = healthy();

        (void)state;
        status.upstream.state = LINK_WAITING;
        status.upstream.state_usec = 100 * SEC;
        status.upstream.down_usec = SEC;
        assert_warns(&status, "1s");
}

static void with_critical_after_0_down_is_critical_at_once_and_with_infinity_never(void **state)
{
        struct status status = healthy();
        struct config limits = config;

        (void)state;
        status.upstream.state = LINK_GREETING;
        limits.critical_after_usec = 0;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_CRITICAL);
        limits.critical_after_usec = CONFIG_INFINITY;
        status.upstream.down_usec = UINT64_MAX / 2;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_WARNING);
}

static void a_link_that_is_connected_is_an_attempt_that_goes_on(void **state)
{
        struct status status = healthy();

        (void)state;
        status.upstream.state = LINK_CONNECTED;
        status.upstream.state_usec = status.upstream.down_usec = 2 * SEC;
        status.upstream.heartbeat_timeout_usec = 3 * SEC;
        assert_warns(&status, "it is connected for 2s, nothing heard yet");
        status.upstream.last_error = "connecting: Connection refused";
        assert_warns(&status, "nothing heard yet; before: connecting: Connection refused");
}

static void the_first_connection_of_an_outage_is_not_critical_before_its_silence_is(void **state)
{
        struct status status = healthy();

        (void)state;
        status.upstream.state = LINK_CONNECTED;
        status.upstream.down_usec = 100 * SEC;
        status.upstream.heartbeat_timeout_usec = 3 * SEC;
        status.upstream.state_usec = 3 * SEC - 1;
        assert_int_equal(judge(&status).severity, SEVERITY_WARNING);
        status.upstream.state_usec = 3 * SEC;
        assert_int_equal(judge(&status).severity, SEVERITY_CRITICAL);
        status.upstream.state_usec = 0;
        status.upstream.unheard = 1; /* an earlier one was silent, or closed at once */
        assert_int_equal(judge(&status).severity, SEVERITY_CRITICAL);
}

static void a_queue_full_of_what_nobody_may_have_read_is_told(void **state)
{
        struct status status = healthy();
        struct health health;

        (void)state;
        status.upstream.state = LINK_CONNECTED;
        status.upstream.provisional = 64 << 20;
        assert_int_equal(judge(&status).n_reasons, 1);
        status.to_upstream.fullest_bytes = 1000;
        health = judge(&status);
        assert_int_equal(health.n_reasons, 3);
        assert_string_equal(
                health.reasons[1].text,
                "the upstream's kernel acknowledged 64.0M, its program has not said a byte");
        status.upstream.provisional = 0;
        assert_int_equal(judge(&status).n_reasons, 2);
}

static void how_bad_a_held_link_is_the_configuration_says(void **state)
{
        static const enum severity severities[] = {
                [HELD_OK] = SEVERITY_OK,
                [HELD_WARNING] = SEVERITY_WARNING,
                [HELD_CRITICAL] = SEVERITY_CRITICAL,
        };
        struct status status = healthy();
        struct config limits = config;

        (void)state;
        status.upstream.state = LINK_HELD;
        status.upstream.held_by = "root";
        status.upstream.down_usec = 1000 * SEC;
        for (int i = 0; i < 3; i++) {
                struct health health;

                limits.held = (enum config_held)i;
                health = judge_by(&status, &limits);
                assert_int_equal(health.severity, severities[i]);
                assert_int_equal(health.n_reasons, 1);
                assert_int_equal(health.reasons[0].severity, severities[i]);
                assert_string_equal(health.reasons[0].text, "the link is held by root");
        }
}

static void a_held_link_is_held_before_its_connection_is_closed(void **state)
{
        struct status status = healthy();

        (void)state;
        status.upstream.held_by = "root";
        assert_warns(&status, "held by root");
}

static void what_waits_while_the_link_is_held_may_grow_old_but_not_fill_the_queue(void **state)
{
        struct status status = healthy();
        struct config limits = config;

        (void)state;
        limits.held = HELD_OK;
        status.upstream.state = LINK_HELD;
        status.upstream.held_by = "root";
        status.to_upstream.oldest_usec = 1000 * SEC;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_OK);
        status.to_upstream.fullest_bytes = 900;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_WARNING);
        status.to_upstream.fullest_bytes = 0;
        status.to_clients.oldest_usec = 1000 * SEC;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_WARNING);
}

static void a_held_link_warns_however_long(void **state)
{
        struct status status = healthy();

        (void)state;
        status.upstream.state = LINK_HELD;
        status.upstream.down_usec = 1000000 * SEC;
        assert_warns(&status, "held");
        status.upstream.held_by = "root";
        status.upstream.held_reason = "works on the line";
        assert_warns(&status, "held by root: works on the line");
}

static void a_long_reason_is_cut_between_two_characters(void **state)
{
        static const char begin[] = "the link is held by root: ";
        struct status status = healthy();
        struct health health;
        char reason[200 * 3 + 2];

        (void)state;
        status.upstream.state = LINK_HELD;
        status.upstream.held_by = "root";
        status.upstream.held_reason = reason;
        for (int shift = 0; shift < 3; shift++) {
                size_t n = (size_t)shift, size;

                memset(reason, 'x', n);
                for (; n + 3 < sizeof(reason); n += 3)
                        memcpy(reason + n, "\xe2\x82\xac", 4);
                health = judge(&status);
                size = strlen(health.reasons[0].text);
                assert_in_range(size, HEALTH_TEXT_MAX - 3, HEALTH_TEXT_MAX - 1);
                assert_string_equal(health.reasons[0].text + size - 6, "\xe2\x82\xac...");
                assert_int_equal((size - strlen(begin) - (size_t)shift) % 3, 0);
        }
}

static void reported_silence_warns(void **state)
{
        struct status status = healthy();

        (void)state;
        status.upstream.silent_usec = 100 * SEC;
        assert_ok(&status);
        status.upstream.silent_reported = true;
        assert_warns(&status, "silent for 1min 40s");
        status.upstream.silent_usec = STATUS_NONE;
        assert_warns(&status, "silent");
}

static void the_middle_of_a_message_warns_after_10_seconds_if_we_read(void **state)
{
        struct status status = healthy();
        struct status_partial *partial = &status.upstream.partial;

        (void)state;
        *partial = (struct status_partial){true, 1195725856, 300, 10 * SEC - 1};
        assert_ok(&status);
        partial->age_usec = 10 * SEC;
        assert_warns(&status, "300 bytes of it arrived (1195725856 declared)");
        status.upstream.paused = true;
        assert_ok(&status);
        status.upstream.paused = false;
        partial->declared_bytes = STATUS_NONE;
        assert_warns(&status, "300 bytes of it arrived");
        partial->present = false;
        assert_ok(&status);
}

static void as_many_losses_as_flaps_warn_and_0_is_off(void **state)
{
        struct status status = healthy();
        struct config limits = config;

        (void)state;
        status.upstream.recent_losses = 4;
        assert_ok(&status);
        status.upstream.recent_losses = 5;
        assert_warns(&status, "lost 5 times");
        limits.flaps = 0;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_OK);
}

static void a_queue_over_80_percent_warns_in_either_direction(void **state)
{
        struct status status = healthy();

        (void)state;
        status.to_upstream.fullest_bytes = 800;
        assert_ok(&status);
        status.to_upstream.fullest_bytes = 801;
        assert_warns(&status, "over 80 %: 801 of 1000 bytes");
        status = healthy();
        status.to_clients.fullest_bytes = 801;
        assert_warns(&status, "over 80 %");
        status.to_clients.limit_bytes = UINT64_MAX;
        status.to_clients.fullest_bytes = UINT64_MAX / 2;
        assert_ok(&status);
}

static void an_old_message_warns_in_either_direction_and_0_is_off(void **state)
{
        struct status status = healthy();
        struct config limits = config;

        (void)state;
        status.to_upstream.oldest_usec = 60 * SEC;
        assert_ok(&status);
        status.to_upstream.oldest_usec = 60 * SEC + 1;
        assert_warns(&status, "waited for 1min");
        limits.max_age_usec = 0;
        assert_int_equal(judge_by(&status, &limits).severity, SEVERITY_OK);
        status = healthy();
        status.to_clients.oldest_usec = 7200 * SEC + 180 * SEC;
        assert_warns(&status, "waited for 2h 3min");
}

static void a_recent_loss_that_nobody_chose_warns(void **state)
{
        struct status status = healthy();

        (void)state;
        status.recent_loss = true;
        assert_warns(&status, "dropped within the last minute");
}

static void connections_that_wait_unaccepted_warn_with_the_socket_and_the_reason(void **state)
{
        struct status status = healthy();

        (void)state;
        status.fault_at_data = "at /run/a: Operation not permitted";
        assert_warns(&status, "clients can't be accepted at /run/a: Operation not permitted");
        status.fault_at_data = NULL;
        status.fault_at_control = "at /run/b: Too many open files";
        assert_warns(&status, "control connections can't be accepted at /run/b: Too many open");
}

static void all_reasons_are_listed_and_the_worst_is_the_verdict(void **state)
{
        struct status status = healthy();
        struct health health;

        (void)state;
        status.upstream = (struct status_upstream){
                .state = LINK_WAITING,
                .down_usec = 100 * SEC,
                .silent_reported = true,
                .recent_losses = 9,
                .partial = {true, 1, 1, 11 * SEC},
        };
        status.to_upstream.fullest_bytes = status.to_clients.fullest_bytes = 1000;
        status.to_upstream.oldest_usec = status.to_clients.oldest_usec = 100 * SEC;
        status.recent_loss = status.shut = status.outdated = true;
        status.fault_at_data = status.fault_at_control = "at a socket";
        health = judge(&status);
        assert_int_equal(health.severity, SEVERITY_CRITICAL);
        assert_int_equal(health.n_reasons, 13);
        for (size_t i = 1; i < health.n_reasons; i++)
                assert_int_equal(health.reasons[i].severity, SEVERITY_WARNING);
}

static void each_socket_whose_path_is_gone_is_a_reason(void **state)
{
        struct status status = healthy();
        struct health health;

        (void)state;
        status.gone[0] = "nobody can connect: one";
        status.n_gone = 1;
        assert_warns(&status, "nobody can connect: one");
        status.gone[1] = "nobody can connect: two";
        status.n_gone = 2;
        health = judge(&status);
        assert_int_equal(health.severity, SEVERITY_WARNING);
        assert_int_equal(health.n_reasons, 2);
        assert_string_equal(health.reasons[1].text, "nobody can connect: two");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_socket_whose_path_is_gone_is_a_reason),
                cmocka_unit_test(a_link_that_is_up_and_at_ease_is_ok),
                cmocka_unit_test(a_link_that_is_down_warns_and_becomes_critical_in_time),
                cmocka_unit_test(the_time_in_one_state_does_not_count_but_the_time_down),
                cmocka_unit_test(
                        with_critical_after_0_down_is_critical_at_once_and_with_infinity_never),
                cmocka_unit_test(a_held_link_warns_however_long),
                cmocka_unit_test(a_long_reason_is_cut_between_two_characters),
                cmocka_unit_test(a_link_that_is_connected_is_an_attempt_that_goes_on),
                cmocka_unit_test(
                        the_first_connection_of_an_outage_is_not_critical_before_its_silence_is),
                cmocka_unit_test(a_queue_full_of_what_nobody_may_have_read_is_told),
                cmocka_unit_test(how_bad_a_held_link_is_the_configuration_says),
                cmocka_unit_test(a_held_link_is_held_before_its_connection_is_closed),
                cmocka_unit_test(
                        what_waits_while_the_link_is_held_may_grow_old_but_not_fill_the_queue),
                cmocka_unit_test(reported_silence_warns),
                cmocka_unit_test(the_middle_of_a_message_warns_after_10_seconds_if_we_read),
                cmocka_unit_test(as_many_losses_as_flaps_warn_and_0_is_off),
                cmocka_unit_test(a_queue_over_80_percent_warns_in_either_direction),
                cmocka_unit_test(an_old_message_warns_in_either_direction_and_0_is_off),
                cmocka_unit_test(a_recent_loss_that_nobody_chose_warns),
                cmocka_unit_test(
                        connections_that_wait_unaccepted_warn_with_the_socket_and_the_reason),
                cmocka_unit_test(all_reasons_are_listed_and_the_worst_is_the_verdict),
        };

        return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
