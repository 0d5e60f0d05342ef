/* SPDX-License-Identifier: MIT */
/* The control server: what is asked, what is answered, and what it costs the others. */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"
#include "lib/control_room.h"
#include "wire/varlink.h"

enum { STRANGER = 65534, ADMIN_GROUP = 65533 };

#define STATUS   "{\"method\":\"io.ftcpd.Status\"}"
#define HEALTH   "{\"method\":\"io.ftcpd.Health\"}"
#define RELOAD   "{\"method\":\"io.ftcpd.Reload\"}"
#define SERVICE  "org.varlink.service."
#define DESCRIBE "{\"method\":\"" SERVICE "GetInterfaceDescription\",\"parameters\":"

static void a_request_that_comes_byte_by_byte_is_answered(void **state)
{
        int fd = client();

        (void)state;
        for (size_t i = 0; i < sizeof(STATUS); i++)
                put(fd, &STATUS[i], 1);
        assert_result(get(fd));
}

static void no_null_and_empty_parameters_are_the_same(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Health\",\"parameters\":null}");
        assert_result(get(fd));
        call(fd, "{\"method\":\"io.ftcpd.Health\",\"parameters\":{}}");
        assert_result(get(fd));
        call(fd, " \n{ \"method\" : \"io.ftcpd.Health\" , \"what\" : [1] }\n");
        assert_result(get(fd));
}

static void pipelined_requests_are_answered_in_their_order(void **state)
{
        enum { N = 1000 };
        char *all = NULL, name[40];
        size_t size = 0;
        FILE *f = open_memstream(&all, &size);
        int fd = client();

        (void)state;
        for (int i = 0; i < N; i++)
                fprintf(f, "{\"method\":\"io.ftcpd.M%d\"}%c", i, 0);
        fclose(f);
        put(fd, all, size);
        free(all);
        for (int i = 0; i < N; i++) {
                snprintf(name, sizeof(name), "io.ftcpd.M%d", i);
                assert_error(get(fd), SERVICE "MethodNotFound", "method", name);
        }
}

static void a_malformed_message_closes_without_a_reply(void **state)
{
        static const char *const bad[] = {
                "",
                "x",
                "GET / HTTP/1.1\r\n",
                "[]",
                "1",
                "null",
                "\"io.ftcpd.Status\"",
                "{}",
                "{\"method\":1}",
                "{\"method\":null}",
                "{\"method\":[\"io.ftcpd.Status\"]}",
                "{\"method\":\"io.ftcpd.Status\"",
                "{\"method\":\"io.ftcpd.Status\"} x",
                "{\"method\":\"io.ftcpd.Status\",\"method\":\"io.ftcpd.Status\"}",
                "{\"method\":\"io.ftcpd.Status\",\"parameters\":[]}",
                "{\"method\":\"io.ftcpd.Status\",\"parameters\":\"\"}",
                "{\"method\":\"io.ftcpd.Status\",\"parameters\":false}",
                "{\"method\":\"io.ftcpd.Status\\u0000\"}",
                "{\"method\":\"io.ftcpd.Status\",\"oneway\":true,\"parameters\":1}",
                "{\"method\":\"\xff\"}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                int fd = client();

                call(fd, bad[i]);
                if (get_byte(fd) != -1)
                        fail_msg("answered: %s", bad[i]);
        }
}

static void what_was_asked_before_a_malformed_message_is_still_answered(void **state)
{
        int fd = client();

        (void)state;
        put(fd, STATUS "\0" HEALTH "\0oops\0" STATUS, sizeof(STATUS "\0" HEALTH "\0oops\0" STATUS));
        assert_result(get(fd));
        assert_result(get(fd));
        assert_ended(fd);
}

static void deep_nesting_closes_and_legal_nesting_is_judged(void **state)
{
        enum { DEPTH = 100000 };
        char *text = malloc(2 * DEPTH + 100), *p = text;
        int fd = client();

        (void)state;
        p += sprintf(p, "{\"method\":\"io.ftcpd.Status\",\"parameters\":{\"a\":");
        memset(p, '[', DEPTH);
        memset(p + DEPTH, ']', DEPTH);
        strcpy(p + 2 * DEPTH, "}}");
        call(fd, text);
        assert_ended(fd);
        fd = client();
        memset(p, '[', 500);
        memset(p + 500, ']', 500);
        strcpy(p + 1000, "}}");
        call(fd, text);
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "a");
        free(text);
}

static void oneway_gets_no_reply_not_even_an_error(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Status\",\"oneway\":true}");
        call(fd, "{\"method\":\"io.ftcpd.Nothing\",\"oneway\":true}");
        call(fd, "{\"method\":\"io.ftcpd.Reload\",\"oneway\":true}");
        call(fd, "{\"method\":\"io.ftcpd.Other\",\"oneway\":false}");
        assert_error(get(fd), SERVICE "MethodNotFound", "method", "io.ftcpd.Other");
        assert_int_equal(fake.reloads, 1);
}

static void a_half_closed_client_still_gets_all_replies(void **state)
{
        enum { N = 100 };
        int fd = client();

        (void)state;
        for (int i = 0; i < N; i++)
                assert_int_equal(send(fd, STATUS, sizeof(STATUS), 0), sizeof(STATUS));
        shutdown(fd, SHUT_WR);
        for (int i = 0; i < N; i++)
                assert_result(get(fd));
        assert_ended(fd);
}

static void half_a_request_and_the_end_is_the_end(void **state)
{
        int fd = client();

        (void)state;
        put(fd, STATUS, sizeof(STATUS) - 1);
        shutdown(fd, SHUT_WR);
        assert_ended(fd);
}

static void two_mib_without_a_nul_close_the_connection(void **state)
{
        enum { SIZE = 2 * 1024 * 1024 };
        time_t deadline = now() + DEADLINE_S;
        char *waste = malloc(SIZE);
        size_t sent = 0;
        int fd = client();
        ssize_t n;

        (void)state;
        memset(waste, ' ', SIZE);
        while ((n = send(fd, waste + sent, SIZE - sent, MSG_NOSIGNAL)) > 0 ||
               (n < 0 && errno == EAGAIN)) {
                sent += n > 0 ? (size_t)n : 0;
                assert_true(sent < SIZE);
                turn_until(deadline);
        }
        assert_int_equal(errno, EPIPE);
        assert_ended(fd);
        free(waste);
}

static void a_request_of_almost_one_mib_is_answered(void **state)
{
        char *text = malloc(VARLINK_MESSAGE_MAX + 1);
        int n = sprintf(text, "%s", "{\"method\":\"io.ftcpd.Status\",\"parameters\":{\"a\":\"");
        int fd = client();

        (void)state;
        memset(text + n, 'a', (size_t)(VARLINK_MESSAGE_MAX - n));
        strcpy(text + VARLINK_MESSAGE_MAX - 3, "\"}}");
        call(fd, text);
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "a");
        free(text);
}

static void a_client_that_never_reads_is_not_read_and_costs_nobody_else(void **state)
{
        size_t asked = 0, blocked = 0;
        int fd = client(), other;

        (void)state;
        /* Asks until nothing goes, however often the server gets its turn. */
        while (blocked < 1000) {
                ssize_t n = send(fd, STATUS, sizeof(STATUS), MSG_NOSIGNAL);

                assert_true(n < 0 || n == sizeof(STATUS));
                asked += n > 0;
                blocked = n > 0 ? 0 : blocked + 1;
                assert_true(asked < 200000);
                turn();
        }
        other = client();
        call(other, HEALTH);
        assert_result(get(other));
        for (size_t i = 0; i < asked; i++)
                assert_result(get(fd));
        call(fd, HEALTH);
        assert_result(get(fd));
}

static void a_client_that_dies_with_unread_replies_is_forgotten(void **state)
{
        int fd = client();

        (void)state;
        fake.n_clients = 10000;
        call(fd, "{\"method\":\"io.ftcpd.ListClients\"}");
        turn();
        server.n_fds--;
        close(fd);
        fake.config.control_max_clients = 1;
        for (int i = 0; i < 10; i++)
                turn();
        fd = client();
        call(fd, HEALTH);
        assert_result(get(fd));
}

static void ten_thousand_clients_are_listed_in_one_reply(void **state)
{
        int fd = client();
        json_t *reply, *list;

        (void)state;
        fake.n_clients = 10000;
        call(fd, "{\"method\":\"io.ftcpd.ListClients\"}");
        call(fd, HEALTH);
        reply = get(fd);
        list = json_object_get(json_object_get(reply, "parameters"), "clients");
        assert_int_equal(json_array_size(list), 10000);
        json_decref(reply);
        assert_result(get(fd));
}

static void no_clients_are_an_empty_list(void **state)
{
        int fd = client();
        json_t *reply, *list;

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.ListClients\"}");
        reply = get(fd);
        list = json_object_get(json_object_get(reply, "parameters"), "clients");
        assert_true(json_is_array(list) && json_array_size(list) == 0);
        json_decref(reply);
}

static void lists_that_nobody_reads_are_not_made(void **state)
{
        enum { N = 60 };
        int fds[N], fd;

        (void)state;
        fake.n_clients = 10000;
        for (int i = 0; i < N; i++) {
                fds[i] = client();
                call(fds[i], "{\"method\":\"io.ftcpd.ListClients\"}");
        }
        for (int i = 0; i < 200; i++)
                turn();
        /* More than 2 MiB each, and 64 MiB of all connections: each would cost somebody his. */
        for (int i = 0; i < N; i++)
                assert_int_equal(send(fds[i], "", 0, MSG_NOSIGNAL), 0);
        fd = client();
        call(fd, HEALTH);
        assert_result(get(fd));
        for (int i = 0; i < N; i += N - 1)
                json_decref(get(fds[i]));
}

static void requests_behind_a_list_wait_for_its_end(void **state)
{
        int fd = client();

        (void)state;
        fake.n_clients = 500;
        for (int i = 0; i < 3; i++) {
                call(fd, "{\"method\":\"io.ftcpd.ListClients\"}");
                call(fd, HEALTH);
        }
        for (int i = 0; i < 3; i++) {
                json_t *reply = get(fd);
                json_t *list = json_object_get(json_object_get(reply, "parameters"), "clients");

                assert_int_equal(json_array_size(list), 500);
                json_decref(reply);
                assert_result(get(fd));
        }
}

static void unknown_names_get_the_standard_errors(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Nothing\"}");
        assert_error(get(fd), SERVICE "MethodNotFound", "method", "io.ftcpd.Nothing");
        call(fd, "{\"method\":\"io.ftcpd.status\"}");
        assert_error(get(fd), SERVICE "MethodNotFound", "method", "io.ftcpd.status");
        call(fd, "{\"method\":\"io.ftcpd.\"}");
        assert_error(get(fd), SERVICE "MethodNotFound", "method", "io.ftcpd.");
        call(fd, "{\"method\":\"io.other.Status\"}");
        assert_error(get(fd), SERVICE "InterfaceNotFound", "interface", "io.other");
        call(fd, "{\"method\":\"Status\"}");
        assert_error(get(fd), SERVICE "InterfaceNotFound", "interface", "Status");
        call(fd, "{\"method\":\"\"}");
        assert_error(get(fd), SERVICE "InterfaceNotFound", "interface", "");
        call(fd, "{\"method\":\"" SERVICE "Nothing\"}");
        assert_error(get(fd), SERVICE "MethodNotFound", "method", SERVICE "Nothing");
        call(fd, "{\"method\":\"io.ftcpd.Status\",\"upgrade\":true}");
        assert_error(get(fd), SERVICE "MethodNotImplemented", "method", "io.ftcpd.Status");
}

static void wrong_parameters_are_named(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Status\",\"parameters\":{\"x\":null}}");
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "x");
        call(fd, DESCRIBE "{}}");
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "interface");
        call(fd, DESCRIBE "{\"interface\":1}}");
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "interface");
        call(fd, DESCRIBE "{\"interface\":null}}");
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "interface");
        call(fd, DESCRIBE "{\"interface\":\"io.ftcpd\",\"y\":1}}");
        assert_error(get(fd), SERVICE "InvalidParameter", "parameter", "y");
}

static void one_reply_is_enough_for_more(void **state)
{
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Health\",\"more\":true}");
        assert_result(get(fd));
}

static void assert_describes(int fd, const char *interface, const char *beginning)
{
        char text[200];
        const char *description;
        json_t *reply;

        snprintf(text, sizeof(text), DESCRIBE "{\"interface\":\"%s\"}}", interface);
        call(fd, text);
        reply = get(fd);
        description = json_string_value(
                json_object_get(json_object_get(reply, "parameters"), "description"));
        assert_non_null(description);
        assert_non_null(strstr(description, beginning));
        json_decref(reply);
}

static void the_service_describes_itself(void **state)
{
        int fd = client();
        json_t *reply, *info, *names;

        (void)state;
        call(fd, "{\"method\":\"" SERVICE "GetInfo\"}");
        reply = get(fd);
        info = json_object_get(reply, "parameters");
        assert_string_equal(json_string_value(json_object_get(info, "product")), "ftcpd");
        assert_string_equal(json_string_value(json_object_get(info, "version")), PACKAGE_VERSION);
        assert_true(json_is_string(json_object_get(info, "vendor")));
        assert_true(json_is_string(json_object_get(info, "url")));
        names = json_object_get(info, "interfaces");
        assert_int_equal(json_array_size(names), 2);
        for (size_t i = 0; i < 2; i++) {
                const char *name = json_string_value(json_array_get(names, i));
                char line[100];

                snprintf(line, sizeof(line), "\ninterface %s\n", name);
                assert_describes(fd, name, line);
        }
        json_decref(reply);
        call(fd, DESCRIBE "{\"interface\":\"io.other\"}}");
        assert_error(get(fd), SERVICE "InterfaceNotFound", "interface", "io.other");
}

static void the_configuration_shows_the_path_really_listened_on(void **state)
{
        int fd = client();
        json_t *reply, *setting;

        (void)state;
        for (int i = 0; i < 3; i++) {
                /* Not known, as configured, and passed by systemd. */
                fake.data_socket = i == 0   ? NULL
                                   : i == 1 ? fake.settings[0].value
                                            : "/run/other.sock";
                call(fd, "{\"method\":\"io.ftcpd.GetConfig\"}");
                reply = get(fd);
                setting = json_array_get(
                        json_object_get(json_object_get(reply, "parameters"), "settings"), 0);
                assert_string_equal(json_string_value(json_object_get(setting, "value")),
                                    i == 2 ? "/run/other.sock" : fake.settings[0].value);
                assert_int_equal(json_object_get(setting, "file") == NULL, i == 2);
                json_decref(reply);
        }
}

static void a_reload_that_fails_says_why(void **state)
{
        int fd = client();
        json_t *reply, *errors, *sockets;

        (void)state;
        call(fd, RELOAD);
        assert_result(get(fd));
        fake.reload_error = "/etc/ftcpd.conf:3: [Local] MaxClients: \xff";
        call(fd, RELOAD);
        reply = get(fd);
        assert_string_equal(json_string_value(json_object_get(reply, "error")),
                            "io.ftcpd.ConfigInvalid");
        errors = json_object_get(json_object_get(reply, "parameters"), "errors");
        assert_int_equal(json_array_size(errors), 1);
        assert_string_equal(json_string_value(json_array_get(errors, 0)),
                            "/etc/ftcpd.conf:3: [Local] MaxClients: \\xff");
        sockets = json_object_get(json_object_get(reply, "parameters"), "sockets");
        assert_string_equal(json_string_value(json_array_get(sockets, 0)),
                            "[Local] Socket: /run/\\xff is bound anew");
        json_decref(reply);
        fake.reload_error = "";
        call(fd, RELOAD);
        reply = get(fd);
        errors = json_object_get(json_object_get(reply, "parameters"), "errors");
        assert_int_equal(json_array_size(errors), 1);
        assert_null(json_object_get(json_object_get(reply, "parameters"), "sockets"));
        json_decref(reply);
        assert_int_equal(fake.reloads, 3);
}

/* As somebody else: asks for Health, which anybody may, and for a reload. Exits with 0 when it was
 * carried out, 1 when it was denied. */
static void ask_as_stranger(bool in_group)
{
        gid_t groups[] = {1, ADMIN_GROUP};
        char reply[65536];
        size_t n = 0;
        ssize_t got;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        if (setgroups(in_group ? 2 : 1, groups) < 0 ||
            setresgid(STRANGER, STRANGER, STRANGER) < 0 ||
            setresuid(STRANGER, STRANGER, STRANGER) < 0 ||
            connect(fd, (struct sockaddr *)&server.address, server.address_size) < 0 ||
            send(fd, HEALTH "\0" RELOAD, sizeof(HEALTH "\0" RELOAD), 0) < 0)
                _exit(2);
        shutdown(fd, SHUT_WR);
        while ((got = recv(fd, reply + n, sizeof(reply) - n, 0)) > 0)
                n += (size_t)got;
        if (n < 2 || strstr(reply, "PermissionDenied") || strlen(reply) + 1 >= n)
                _exit(2);
        _exit(strstr(reply + strlen(reply) + 1, "org.varlink.service.PermissionDenied") ? 1 : 0);
}

static int stranger(bool in_group)
{
        time_t deadline = now() + DEADLINE_S;
        pid_t pid = fork();
        int status;

        if (pid == 0)
                ask_as_stranger(in_group);
        while (waitpid(pid, &status, WNOHANG) == 0)
                turn_until(deadline);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void only_root_the_own_user_and_admins_may_change_anything(void **state)
{
        uid_t uid = STRANGER;
        gid_t gid = ADMIN_GROUP, primary = STRANGER;

        (void)state;
        if (geteuid() != 0)
                skip(); /* another user is needed to ask */
        assert_int_equal(stranger(true), 1);
        assert_int_equal(fake.reloads, 0);
        fake.config.admin.uids = &uid;
        fake.config.admin.n_uids = 1;
        assert_int_equal(stranger(false), 0);
        fake.config.admin.n_uids = 0;
        fake.config.admin.gids = &gid;
        fake.config.admin.n_gids = 1;
        assert_int_equal(stranger(true), 0);
        assert_int_equal(stranger(false), 1);
        fake.config.admin.gids = &primary;
        assert_int_equal(stranger(false), 0);
        assert_int_equal(fake.reloads, 3);
}

static void one_client_more_than_the_limit_costs_a_place_and_one_can_be_had_again(void **state)
{
        int first, second, third;

        (void)state;
        fake.config.control_max_clients = 2;
        first = client();
        second = client();
        third = client();
        /* Who may steer takes the place of its own that did nothing for longest. */
        if (geteuid() == 0) {
                assert_ended(first);
                first = second;
                second = third;
        } else {
                assert_ended(third);
        }
        call(first, HEALTH);
        assert_result(get(first));
        shutdown(second, SHUT_RDWR);
        for (int i = 0; i < 5; i++)
                turn();
        third = client();
        call(third, HEALTH);
        assert_result(get(third));
        /* A lower limit throws nobody out. */
        fake.config.control_max_clients = 1;
        call(first, HEALTH);
        assert_result(get(first));
}

static void without_descriptors_the_listener_rests_and_goes_on_later(void **state)
{
        struct rlimit old, low;
        unsigned turns = 0;
        int fd = client();

        (void)state;
        getrlimit(RLIMIT_NOFILE, &old);
        low = old;
        low.rlim_cur = (rlim_t)fd + 1;
        setrlimit(RLIMIT_NOFILE, &low);
        turn();
        /* The connection waits, but nothing wakes the loop for it before the rest is over. */
        event_base_loopexit(server.base, &(struct timeval){.tv_usec = 300000});
        while (!event_base_got_exit(server.base) && turns < 100) {
                event_base_loop(server.base, EVLOOP_ONCE);
                turns++;
        }
        setrlimit(RLIMIT_NOFILE, &old);
        assert_in_range(turns, 1, 15);
        call(fd, HEALTH);
        assert_result(get(fd));
}

static void hundreds_of_connections_are_served(void **state)
{
        enum { N = 450 };
        int fds[N];

        (void)state;
        for (int i = 0; i < N; i++) {
                fds[i] = client();
                put(fds[i], STATUS, 10);
        }
        for (int i = 0; i < N; i++)
                put(fds[i], &STATUS[10], sizeof(STATUS) - 10);
        for (int i = N - 1; i >= 0; i--)
                assert_result(get(fds[i]));
}

static void everything_is_freed_in_the_middle_of_everything(void **state)
{
        (void)state;
        fake.n_clients = 10000;
        call(client(), "{\"method\":\"io.ftcpd.ListClients\"}");
        put(client(), STATUS, 5);
        call(client(), "bad");
        (void)client();
        /* stop() frees it all, under the eyes of the leak checkers. */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_request_that_comes_byte_by_byte_is_answered),
                TEST(no_null_and_empty_parameters_are_the_same),
                TEST(pipelined_requests_are_answered_in_their_order),
                TEST(a_malformed_message_closes_without_a_reply),
                TEST(what_was_asked_before_a_malformed_message_is_still_answered),
                TEST(deep_nesting_closes_and_legal_nesting_is_judged),
                TEST(oneway_gets_no_reply_not_even_an_error),
                TEST(a_half_closed_client_still_gets_all_replies),
                TEST(half_a_request_and_the_end_is_the_end),
                TEST(two_mib_without_a_nul_close_the_connection),
                TEST(a_request_of_almost_one_mib_is_answered),
                TEST(a_client_that_never_reads_is_not_read_and_costs_nobody_else),
                TEST(a_client_that_dies_with_unread_replies_is_forgotten),
                TEST(ten_thousand_clients_are_listed_in_one_reply),
                TEST(no_clients_are_an_empty_list),
                TEST(lists_that_nobody_reads_are_not_made),
                TEST(requests_behind_a_list_wait_for_its_end),
                TEST(unknown_names_get_the_standard_errors),
                TEST(wrong_parameters_are_named),
                TEST(one_reply_is_enough_for_more),
                TEST(the_service_describes_itself),
                TEST(the_configuration_shows_the_path_really_listened_on),
                TEST(a_reload_that_fails_says_why),
                TEST(only_root_the_own_user_and_admins_may_change_anything),
                TEST(one_client_more_than_the_limit_costs_a_place_and_one_can_be_had_again),
                TEST(without_descriptors_the_listener_rests_and_goes_on_later),
                TEST(hundreds_of_connections_are_served),
                TEST(everything_is_freed_in_the_middle_of_everything),
        };

        return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
