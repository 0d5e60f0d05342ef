/* SPDX-License-Identifier: MIT */
/* The methods of operators, and Flush, behind a made-up daemon. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/control_room.h"
#include "util/user.h"

#define INVALID "org.varlink.service.InvalidParameter"

static const char *me(void)
{
        static char name[USER_NAME_MAX];

        user_name(getuid(), name);
        return name;
}

/* Calls a method with parameters and holds what the daemon was asked to do against words and the
 * caller's name. */
static void assert_steers(int fd, const char *method, const char *parameters, const char *before,
                          const char *behind)
{
        char text[400], words[300];

        snprintf(text, sizeof(text), "{\"method\":\"io.ftcpd.%s\",\"parameters\":%s}", method,
                 parameters);
        snprintf(words, sizeof(words), "%s%s%s", before, me(), behind);
        call(fd, text);
        assert_result(get(fd));
        assert_string_equal(fake.steered, words);
}

static void every_method_does_what_it_says_and_tells_who_asks(void **state)
{
        int fd = client();

        (void)state;
        fake.n_clients = 3;
        assert_steers(fd, "Hold", "{}", "hold by ", ", -, -1");
        assert_steers(fd, "Hold", "{\"reason\":null,\"forUsec\":null}", "hold by ", ", -, -1");
        assert_steers(fd, "Hold", "{\"reason\":\"x y\",\"forUsec\":5}", "hold by ", ", x y, 5");
        assert_steers(fd, "Release", "{}", "release by ", "");
        assert_steers(fd, "Reconnect", "{}", "reconnect by ", "");
        assert_steers(fd, "DropClient", "{\"id\":3}", "drop 3 by ", "");
        assert_steers(fd, "SetLogLevel", "{\"level\":\"debug\"}", "log level debug by ", "");
}

static void assert_refused(int fd, const char *text, const char *error, const char *parameter)
{
        fake.steered[0] = '\0';
        call(fd, text);
        assert_error(get(fd), error, "parameter", parameter);
        assert_string_equal(fake.steered, "");
}

static void values_that_make_no_sense_are_named_and_nothing_is_done(void **state)
{
        int fd = client();

        (void)state;
        assert_refused(fd, "{\"method\":\"io.ftcpd.Hold\",\"parameters\":{\"forUsec\":0}}", INVALID,
                       "forUsec");
        assert_refused(fd, "{\"method\":\"io.ftcpd.Hold\",\"parameters\":{\"forUsec\":-1}}",
                       INVALID, "forUsec");
        assert_refused(fd, "{\"method\":\"io.ftcpd.Hold\",\"parameters\":{\"forUsec\":1.5}}",
                       INVALID, "forUsec");
        assert_refused(fd, "{\"method\":\"io.ftcpd.Hold\",\"parameters\":{\"reason\":1}}", INVALID,
                       "reason");
        assert_refused(fd, "{\"method\":\"io.ftcpd.Release\",\"parameters\":{\"id\":1}}", INVALID,
                       "id");
        assert_refused(fd, "{\"method\":\"io.ftcpd.DropClient\"}", INVALID, "id");
        assert_refused(fd, "{\"method\":\"io.ftcpd.SetLogLevel\",\"parameters\":{\"level\":null}}",
                       INVALID, "level");
        assert_refused(fd, "{\"method\":\"io.ftcpd.Flush\",\"parameters\":{\"timeoutUsec\":-1}}",
                       INVALID, "timeoutUsec");
        call(fd, "{\"method\":\"io.ftcpd.SetLogLevel\",\"parameters\":{\"level\":\"loud\"}}");
        assert_error(get(fd), INVALID, "parameter", "level");
}

static void a_client_that_is_not_there_is_an_error_with_its_number(void **state)
{
        static const long long ids[] = {4, 0, -1, INT64_MIN, INT64_MAX};
        int fd = client();

        (void)state;
        fake.n_clients = 3;
        for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
                char text[200];
                json_t *reply, *id;

                snprintf(text, sizeof(text),
                         "{\"method\":\"io.ftcpd.DropClient\",\"parameters\":{\"id\":%lld}}",
                         ids[i]);
                call(fd, text);
                reply = get(fd);
                assert_string_equal(json_string_value(json_object_get(reply, "error")),
                                    "io.ftcpd.NoSuchClient");
                id = json_object_get(json_object_get(reply, "parameters"), "id");
                assert_true(json_integer_value(id) == ids[i]);
                json_decref(reply);
        }
}

/* ---- Flush ---- */

#define FLUSH  "{\"method\":\"io.ftcpd.Flush\"}"
#define HEALTH "{\"method\":\"io.ftcpd.Health\"}"

static void deliver(uint64_t position)
{
        fake.delivered = position;
        control_flushed(server.control);
}

/* Whatever has to be done is done by then; one that answers is served after the others. */
static void settle(void)
{
        int fd = client();

        for (int i = 0; i < 3; i++) {
                call(fd, HEALTH);
                assert_result(get(fd));
        }
}

static void assert_silent(int fd)
{
        char byte;

        settle();
        assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), -1);
        assert_int_equal(errno, EAGAIN);
}

static void what_is_flushed_is_told_at_once(void **state)
{
        int fd = client();

        (void)state;
        fake.accepted = fake.delivered = 7;
        call(fd, FLUSH);
        assert_result(get(fd));
        call(fd, "{\"method\":\"io.ftcpd.Flush\",\"parameters\":{\"timeoutUsec\":0}}");
        assert_result(get(fd));
}

static void each_waits_for_what_was_accepted_before_it_asked(void **state)
{
        int first = client(), second = client();

        (void)state;
        fake.accepted = 5;
        call(first, FLUSH);
        settle();
        fake.accepted = 9;
        call(second, FLUSH);
        settle();
        deliver(4);
        assert_silent(first);
        deliver(5);
        assert_result(get(first));
        assert_silent(second);
        deliver(9);
        assert_result(get(second));
}

static void to_wait_asks_nothing(void **state)
{
        int fd = client();
        unsigned asked;

        (void)state;
        fake.accepted = 5;
        call(fd, FLUSH);
        settle();
        asked = fake.flushed_asked;
        for (int i = 0; i < 100; i++)
                settle();
        assert_int_equal(fake.flushed_asked, asked);
}

static void at_the_end_of_its_time_it_tells_what_is_queued(void **state)
{
        int fd = client();
        json_t *reply, *queued;

        (void)state;
        fake.accepted = 5;
        fake.delivered = 3;
        call(fd, "{\"method\":\"io.ftcpd.Flush\",\"parameters\":{\"timeoutUsec\":20000}}");
        reply = get(fd);
        assert_string_equal(json_string_value(json_object_get(reply, "error")),
                            "io.ftcpd.FlushTimedOut");
        queued = json_object_get(json_object_get(reply, "parameters"), "queued");
        assert_int_equal(json_integer_value(json_object_get(queued, "messages")), 2);
        assert_int_equal(json_integer_value(json_object_get(queued, "bytes")), 20);
        json_decref(reply);
        call(fd, HEALTH);
        assert_result(get(fd));
}

static void requests_behind_it_wait_and_keep_their_order(void **state)
{
        int fd = client();

        (void)state;
        fake.accepted = 5;
        put(fd, HEALTH "\0" FLUSH "\0" HEALTH "\0" FLUSH,
            sizeof(HEALTH "\0" FLUSH "\0" HEALTH "\0" FLUSH));
        assert_result(get(fd));
        shutdown(fd, SHUT_WR);
        assert_silent(fd);
        deliver(5);
        assert_result(get(fd));
        assert_result(get(fd));
        assert_result(get(fd));
        assert_ended(fd);
}

static void oneway_waits_for_nothing(void **state)
{
        int fd = client();

        (void)state;
        fake.accepted = 5;
        call(fd, "{\"method\":\"io.ftcpd.Flush\",\"oneway\":true}");
        call(fd, HEALTH);
        assert_result(get(fd));
        deliver(5);
        assert_silent(fd);
}

static void one_that_goes_while_it_waits_is_forgotten(void **state)
{
        int fd = client(), other = client();

        (void)state;
        fake.accepted = 5;
        call(fd, FLUSH);
        call(other, FLUSH);
        settle();
        close(fd);
        server.fds[0] = dup(other); /* whatever is closed at the end */
        settle();
        deliver(5);
        assert_result(get(other));
}

static void at_the_end_what_is_flushed_is_told_still(void **state)
{
        int fd = client();

        (void)state;
        fake.accepted = 5;
        call(fd, FLUSH);
        settle();
        fake.delivered = 5;
        control_free(server.control);
        server.control = NULL;
        assert_int_equal(get_byte(fd), '{');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(every_method_does_what_it_says_and_tells_who_asks),
                TEST(values_that_make_no_sense_are_named_and_nothing_is_done),
                TEST(a_client_that_is_not_there_is_an_error_with_its_number),
                TEST(what_is_flushed_is_told_at_once),
                TEST(each_waits_for_what_was_accepted_before_it_asked),
                TEST(to_wait_asks_nothing),
                TEST(at_the_end_of_its_time_it_tells_what_is_queued),
                TEST(requests_behind_it_wait_and_keep_their_order),
                TEST(oneway_waits_for_nothing),
                TEST(one_that_goes_while_it_waits_is_forgotten),
                TEST(at_the_end_what_is_flushed_is_told_still),
        };

        return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
