/* SPDX-License-Identifier: MIT */
/* The text for Prometheus, from made-up figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/report/metrics.h"
#include "store/histogram.h"

static struct status status;
static struct health health;
static struct image_histogram latency[LATENCY_KINDS];
static uint64_t lost[LINK_CAUSES], failed[LINK_CAUSES];
static char *text;

static int setup(void **state)
{
        (void)state;
        memset(latency, 0, sizeof(latency));
        memset(lost, 0, sizeof(lost));
        memset(failed, 0, sizeof(failed));
        health = (struct health){0};
        status = (struct status){
                .version = "1.2.3",
                .lost = lost,
                .failed = failed,
                .latency = latency,
                .upstream = {.rtt_usec = STATUS_NONE, .silent_usec = STATUS_NONE},
                .to_upstream = {.oldest_usec = BOOKS_NONE},
                .to_clients = {.oldest_usec = BOOKS_NONE},
        };
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        free(text);
        text = NULL;
        return 0;
}

static void assert_line(const char *line)
{
        char whole[256];

        free(text);
        text = metrics_text(&status, &health);
        assert_non_null(text);
        assert_true((size_t)snprintf(whole, sizeof(whole), "\n%s\n", line) < sizeof(whole));
        if (!strstr(text, whole))
                fail_msg("there is no line %s", line);
}

static void the_link_is_named_by_the_instance(void **state)
{
        (void)state;
        assert_line("ftcpd_up{link=\"ftcpd\"} 0");
        status.instance = "feed";
        assert_line("ftcpd_up{link=\"feed\"} 0");
        assert_null(strstr(text, "link=\"ftcpd\""));
}

static void no_name_breaks_a_line(void **state)
{
        (void)state;
        status.instance = "a\"b\\c\nd\xff";
        status.version = "\"";
        assert_line("ftcpd_up{link=\"a\\\"b\\\\c_d_\"} 0");
        assert_line("ftcpd_build_info{link=\"a\\\"b\\\\c_d_\",version=\"\\\"\"} 1");
}

static unsigned states_with_one(void)
{
        unsigned n = 0;

        for (const char *at = text; (at = strstr(at, "\nftcpd_link_state{")); at++) {
                const char *end = strchr(at + 1, '\n');

                n += end && end[-1] == '1';
        }
        return n;
}

static void the_link_is_in_one_state(void **state)
{
        (void)state;
        for (int i = 0; i < LINK_STATES; i++) {
                char line[128];

                status.upstream.state = (enum link_state)i;
                snprintf(line, sizeof(line), "ftcpd_link_state{link=\"ftcpd\",state=\"%s\"} 1",
                         link_state_name((enum link_state)i));
                assert_line(line);
                assert_int_equal(states_with_one(), 1);
                snprintf(line, sizeof(line), "ftcpd_up{link=\"ftcpd\"} %d", i == LINK_UP);
                assert_line(line);
        }
}

static void what_is_not_known_is_absent_and_what_is_empty_is_no_age(void **state)
{
        (void)state;
        assert_line("ftcpd_oldest_seconds{link=\"ftcpd\",direction=\"to_clients\"} 0.000000");
        assert_null(strstr(text, "ftcpd_rtt_seconds"));
        assert_null(strstr(text, "ftcpd_silent_seconds"));
        status.upstream.rtt_usec = 1234;
        status.to_clients.oldest_usec = 61000001;
        assert_line("ftcpd_rtt_seconds{link=\"ftcpd\"} 0.001234");
        assert_line("ftcpd_oldest_seconds{link=\"ftcpd\",direction=\"to_clients\"} 61.000001");
}

static void causes_and_reasons_have_their_own_counts(void **state)
{
        (void)state;
        lost[CAUSE_SILENT] = 7;
        failed[CAUSE_REFUSED] = 9;
        status.to_clients.dropped[DROP_EXPIRED] = (struct count){3, 30};
        status.to_clients.dropped[DROP_QUEUE_FULL] = (struct count){2, 20};
        health.severity = SEVERITY_CRITICAL;
        assert_line("ftcpd_disconnects_total{link=\"ftcpd\",cause=\"silent\"} 7");
        assert_line("ftcpd_disconnects_total{link=\"ftcpd\",cause=\"refused\"} 0");
        assert_line("ftcpd_connect_failures_total{link=\"ftcpd\",cause=\"refused\"} 9");
        assert_line("ftcpd_drops_total{link=\"ftcpd\",direction=\"to_clients\",reason=\"expired\"} "
                    "3");
        assert_line("ftcpd_dropped_bytes_total{link=\"ftcpd\",direction=\"to_clients\",reason="
                    "\"queue_full\"} 20");
        assert_line(
                "ftcpd_messages_total{link=\"ftcpd\",direction=\"to_clients\",book=\"dropped\"} "
                "5");
        assert_line("ftcpd_health{link=\"ftcpd\"} 2");
        assert_null(strstr(text, "cause=\"none\""));
}

static void a_bucket_counts_what_lasted_no_longer_than_its_end(void **state)
{
        (void)state;
        histogram_add(&latency[LATENCY_RTT], 15, 1);
        histogram_add(&latency[LATENCY_RTT], 16, 1);
        histogram_add(&latency[LATENCY_RTT], 31, 1);
        histogram_add(&latency[LATENCY_RTT], 1048576, 4);
        histogram_add(&latency[LATENCY_RTT], UINT64_C(1) << 40, 8);
        assert_line("ftcpd_latency_seconds_bucket{link=\"ftcpd\",kind=\"rtt\",le=\"0.000015\"} 1");
        assert_line("ftcpd_latency_seconds_bucket{link=\"ftcpd\",kind=\"rtt\",le=\"0.000031\"} 3");
        assert_line("ftcpd_latency_seconds_bucket{link=\"ftcpd\",kind=\"rtt\",le=\"1.048575\"} 3");
        assert_line("ftcpd_latency_seconds_bucket{link=\"ftcpd\",kind=\"rtt\",le=\"2.097151\"} 7");
        assert_line("ftcpd_latency_seconds_bucket{link=\"ftcpd\",kind=\"rtt\",le=\"+Inf\"} 15");
        assert_line("ftcpd_latency_seconds_count{link=\"ftcpd\",kind=\"rtt\"} 15");
        assert_line("ftcpd_latency_seconds_count{link=\"ftcpd\",kind=\"heartbeat\"} 0");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(the_link_is_named_by_the_instance),
                TEST(no_name_breaks_a_line),
                TEST(the_link_is_in_one_state),
                TEST(what_is_not_known_is_absent_and_what_is_empty_is_no_age),
                TEST(causes_and_reasons_have_their_own_counts),
                TEST(a_bucket_counts_what_lasted_no_longer_than_its_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
