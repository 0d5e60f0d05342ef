/* SPDX-License-Identifier: MIT */
/* Those who tap: what their connections make the daemon hold, and how they end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/control_room.h"
#include "wire/varlink.h"

#define TAP(parameters)                                                                            \
        "{\"method\":\"io.ftcpd.Tap\",\"more\":true,\"parameters\":{" parameters "}}"
#define HEALTH  "{\"method\":\"io.ftcpd.Health\"}"
#define SERVICE "org.varlink.service."

static struct tap *last_tap(void)
{
        return LIST_FIRST(&fake.taps.list);
}

/* The tap that this call begins. */
static struct tap *begin(int fd, const char *text)
{
        const struct tap *before = last_tap();
        time_t deadline = now() + DEADLINE_S;

        call(fd, text);
        while (last_tap() == before)
                turn_until(deadline);
        return last_tap();
}

/* A reply of this size, with its NUL, is given where there is room for it. */
static bool give(struct tap *tap, size_t size)
{
        static const char head[] = "{\"x\":\"", tail[] = "\"}";
        char *room = tap->ops->room(tap->subject, size);

        if (!room)
                return false;
        memset(room, '.', size);
        memcpy(room, head, strlen(head));
        memcpy(room + size - sizeof(tail), tail, sizeof(tail));
        tap->ops->given(tap->subject, size);
        return true;
}

/* The next reply has this size. */
static void assert_given(int fd, size_t size)
{
        json_t *reply = get(fd);

        assert_int_equal(strlen(json_string_value(json_object_get(reply, "x"))) + 9, size);
        json_decref(reply);
}

static void it_needs_more_and_parameters_that_make_sense(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Tap\"}");
        assert_error(get(fd), SERVICE "ExpectedMore", NULL, NULL);
        call(fd, TAP("\"direction\":\"up\""));
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "direction");
        call(fd, TAP("\"direction\":1"));
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "direction");
        call(fd, TAP("\"clientId\":\"1\""));
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "clientId");
        call(fd, TAP("\"id\":1"));
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "id");
        assert_null(last_tap());
        assert_non_null(begin(fd, TAP("")));
}

static void parameters_select(void **state)
{
        static const struct {
                const char *call;
                bool in, out;
                uint64_t client;
        } cases[] = {
                {TAP(""), true, true, 0},
                {TAP("\"direction\":null,\"clientId\":null"), true, true, 0},
                {TAP("\"direction\":\"in\""), true, false, 0},
                {TAP("\"direction\":\"out\",\"clientId\":9"), false, true, 9},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct tap *tap = begin(client(), cases[i].call);

                assert_int_equal(tap->ways[TAP_IN], cases[i].in);
                assert_int_equal(tap->ways[TAP_OUT], cases[i].out);
                assert_int_equal(tap->client_id, cases[i].client);
        }
}

static void assert_no_such_client(json_t *reply, json_int_t id)
{
        json_t *parameters = json_object_get(reply, "parameters");

        assert_string_equal(json_string_value(json_object_get(reply, "error")),
                            "io.ftcpd.NoSuchClient");
        assert_int_equal(json_integer_value(json_object_get(parameters, "id")), id);
        json_decref(reply);
}

static void a_client_that_is_not_there_is_an_error_and_other_calls_go_on(void **state)
{
        int fd = client();

        (void)state;
        fake.gone_client = 5;
        call(fd, TAP("\"clientId\":5"));
        assert_no_such_client(get(fd), 5);
        call(fd, TAP("\"clientId\":0"));
        assert_no_such_client(get(fd), 0);
        call(fd, TAP("\"clientId\":-3"));
        assert_no_such_client(get(fd), -3);
        call(fd, HEALTH);
        assert_result(get(fd));
        assert_null(last_tap());
}

static void a_tap_without_replies_is_none(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Tap\",\"more\":true,\"oneway\":true}");
        call(fd, HEALTH);
        assert_result(get(fd));
        assert_null(last_tap());
}

static void what_is_not_read_is_at_most_a_mebibyte(void **state)
{
        int fd = client();
        struct tap *tap = begin(fd, TAP(""));
        size_t given = 0, turns = 0;

        (void)state;
        while (give(tap, 1000)) {
                given++;
                if (given % 100 == 0)
                        turn();
        }
        /* The rest is what the socket took. */
        assert_in_range(given, VARLINK_MESSAGE_MAX / 1000, 2 * VARLINK_MESSAGE_MAX / 1000);
        for (size_t i = 0; i < given; i++)
                assert_given(fd, 1000);
        while (!give(tap, 1000) && turns++ < 1000)
                turn();
        assert_given(fd, 1000);
}

static void a_larger_one_is_given_when_all_is_read_and_not_before(void **state)
{
        enum { LARGE = 5 * VARLINK_MESSAGE_MAX };
        int fd = client();
        struct tap *tap = begin(fd, TAP(""));

        (void)state;
        assert_true(give(tap, 500));
        assert_false(give(tap, LARGE));
        assert_given(fd, 500);
        assert_true(give(tap, LARGE));
        assert_false(give(tap, 500));
        assert_given(fd, LARGE);
        assert_true(give(tap, 500));
        assert_given(fd, 500);
}

static void what_exceeds_the_limit_of_all_is_not_given_and_ends_nobody(void **state)
{
        struct tap *tap[4];
        int fd[4];
        unsigned given = 0;

        (void)state;
        for (int i = 0; i < 4; i++) {
                fd[i] = client();
                tap[i] = begin(fd[i], TAP(""));
        }
        assert_false(give(tap[0], 65 << 20));
        for (int i = 0; i < 4; i++)
                given += give(tap[i], 20 << 20);
        assert_int_equal(given, 3);
        for (int i = 0; i < 20; i++)
                turn();
        assert_true(give(tap[3], 100));
        assert_given(fd[3], 100);
}

static void one_that_closes_is_no_tap_any_more(void **state)
{
        int fd = client();
        time_t deadline = now() + DEADLINE_S;

        (void)state;
        begin(fd, TAP(""));
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < 10; i++)
                turn();
        assert_non_null(last_tap()); /* it can still read */
        assert_true(give(last_tap(), 100));
        assert_given(fd, 100);
        shutdown(fd, SHUT_RDWR);
        while (last_tap())
                turn_until(deadline);
}

static void the_client_goes(struct tap *tap)
{
        taps_remove(tap);
        tap->ops->ended(tap->subject);
}

static void the_end_of_its_client_is_its_last_reply(void **state)
{
        int fd = client();
        struct tap *tap = begin(fd, TAP("\"clientId\":7"));

        (void)state;
        assert_true(give(tap, 100));
        the_client_goes(tap);
        assert_given(fd, 100);
        assert_no_such_client(get(fd), 7);
        assert_ended(fd);
}

static void one_that_does_not_read_is_told_of_the_end_when_it_does(void **state)
{
        int fd = client();
        struct tap *tap = begin(fd, TAP("\"clientId\":7"));
        size_t given = 0;

        (void)state;
        while (give(tap, 10000)) {
                given++;
                turn();
        }
        the_client_goes(tap);
        for (int i = 0; i < 10; i++)
                turn();
        while (given-- > 0)
                assert_given(fd, 10000);
        assert_no_such_client(get(fd), 7);
        assert_ended(fd);
}

static void taps_and_their_clients_may_end_in_any_order(void **state)
{
        (void)state;
        for (int order = 0; order < 3; order++) {
                int fd = client();
                struct tap *tap = begin(fd, TAP("\"clientId\":7"));

                assert_true(give(tap, 100));
                if (order == 0)
                        the_client_goes(tap);
                shutdown(fd, SHUT_RDWR);
                if (order == 1)
                        the_client_goes(tap);
                for (int i = 0; i < 10; i++)
                        turn();
                assert_null(last_tap());
        }
        begin(client(), TAP("")); /* and one is left to the end of the server */
}

static void it_may_come_with_others_and_be_told_news_at_every_turn(void **state)
{
        int fds[20];
        struct tap *taps[20];

        (void)state;
        for (int i = 0; i < 20; i++) {
                fds[i] = client();
                taps[i] = begin(fds[i], TAP(""));
        }
        for (int round = 0; round < 50; round++) {
                for (int i = 0; i < 20; i++)
                        assert_true(give(taps[i], 20 + (size_t)(round * 37 + i) % 1000));
                if (round % 3 == 0)
                        turn();
        }
        for (int i = 0; i < 20; i++)
                for (int round = 0; round < 50; round++)
                        assert_given(fds[i], 20 + (size_t)(round * 37 + i) % 1000);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(it_needs_more_and_parameters_that_make_sense),
                TEST(parameters_select),
                TEST(a_client_that_is_not_there_is_an_error_and_other_calls_go_on),
                TEST(a_tap_without_replies_is_none),
                TEST(what_is_not_read_is_at_most_a_mebibyte),
                TEST(a_larger_one_is_given_when_all_is_read_and_not_before),
                TEST(what_exceeds_the_limit_of_all_is_not_given_and_ends_nobody),
                TEST(one_that_closes_is_no_tap_any_more),
                TEST(the_end_of_its_client_is_its_last_reply),
                TEST(one_that_does_not_read_is_told_of_the_end_when_it_does),
                TEST(taps_and_their_clients_may_end_in_any_order),
                TEST(it_may_come_with_others_and_be_told_news_at_every_turn),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
