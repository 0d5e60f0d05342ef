/* SPDX-License-Identifier: MIT */
/* What the keys mean: values, defaults, ranges, rules across keys, and what a reload may change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "config/config.h"
#include "lib/config_room.h"

#define MSEC UINT64_C(1000)
#define SEC  (1000 * MSEC)

static void an_address_is_all_that_must_be_set(void **state)
{
        const struct config *config = room_take(*state, "");

        assert_int_equal(config->n_addresses, 1);
        assert_string_equal(config->addresses[0].host, "h");
        assert_string_equal(config->addresses[0].port, "1");
        assert_int_equal(config->connect_timeout_usec, 5 * SEC);
        assert_int_equal(config->reconnect_delay_usec, 200 * MSEC);
        assert_int_equal(config->reconnect_delay_max_usec, 30 * SEC);
        assert_int_equal(config->path_timeout_usec, 3 * SEC);
        assert_true(frame_spec_same(&config->frame, &frame_spec_default));
        assert_int_equal(config->frame.max_message_size, 16 << 20);
        assert_int_equal(config->heartbeat_interval_usec, SEC);
        assert_int_equal(config->heartbeat_message.n, 1);
        assert_int_equal(config->heartbeat_message.items[0].size, 0);
        assert_int_equal(config->heartbeat_received.n, 1);
        assert_int_equal(config->heartbeat_received.items[0].size, 0);
        assert_int_equal(config->heartbeat_answer.n, 0);
        assert_string_equal(config->local_socket, "/run/ftcpd.sock");
        assert_int_equal(config->local_socket_mode, 0660);
        assert_int_equal(config->local_socket_gid, (gid_t)-1);
        assert_string_equal(config->control_socket, "/run/ftcpd.varlink");
        assert_int_equal(config->control_socket_mode, 0666);
        assert_int_equal(config->log_level, LOG_INFO);
        assert_false(config->senders.set);
}

static void without_an_address_the_error_says_what_to_write_where(void **state)
{
        struct room *room = *state;
        char place[128];

        assert_null(room_load(room, false));
        snprintf(place, sizeof(place), "%s/etc/ftcpd.conf:1: [Upstream] Address: ", room->root);
        assert_int_equal(room->report.n_errors, 1);
        assert_memory_equal(room->report.errors[0], place, strlen(place));
        assert_non_null(strstr(room->report.errors[0], "Address=HOST:PORT below [Upstream]"));
        assert_non_null(strstr(room->report.errors[0], "does not exist"));

        assert_null(room_try(room, "# nothing\n[Frame]\n[Upstream]\n"));
        assert_non_null(strstr(room->report.errors[0], "ftcpd.conf:3: [Upstream] Address: "));
}

static void addresses_are_a_list_in_order(void **state)
{
        const struct config *config =
                room_take(*state, "Address=\nAddress=a.example:4000 10.0.0.1:http\n"
                                  "Address=[fe80::1%lo]:65535\n");

        assert_int_equal(config->n_addresses, 3);
        assert_string_equal(config->addresses[0].host, "a.example");
        assert_string_equal(config->addresses[1].text, "10.0.0.1:http");
        assert_string_equal(config->addresses[1].port, "http");
        assert_string_equal(config->addresses[2].host, "fe80::1%lo");
        assert_string_equal(config->addresses[2].text, "[fe80::1%lo]:65535");
}

static void wrong_addresses_are_explained(void **state)
{
        static const char *const wrong[][2] = {
                {"host", "port is missing"},
                {"host:", "port is neither"},
                {"host:0", "port is neither"},
                {"host:65536", "port is neither"},
                {":4000", "host is missing"},
                {"::1", "brackets"},
                {"2001:db8::1:4000", "brackets"},
                {"[::1]", "port is missing"},
                {"[::1]4000", "no port"},
                {"[::x]:1", "no IPv6 address"},
                {"a:b:1", "more than one colon"},
                {"ho/st:1", "\"ho/st:1\" is no address"},
                {"ho\"st:1", "'ho\"st:1' is no address"},
                {"\"host:1\"", "'\"host:1\"' is no address"},
                {"host:99999999999999999999", "port is neither"},
                {"010.0.0.1:1", "octal"},
                {"10.0.0.09:1", "octal"},
                {"127.01:1", "octal"},
                {"192.0.2.256:1", "neither an IPv4 address nor a name"},
                {"192.0.2.1.:1", "neither an IPv4 address nor a name"},
                {"010.0.0.1.:1", "octal"},
                {"1.2.3.4.5:1", "four numbers"},
                {"host:no-such-port", "no TCP port of the name \"no-such-port\""},
        };
        char text[128];

        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                snprintf(text, sizeof(text), "Address=%s\n", wrong[i][0]);
                room_refuse(*state, text, "3: [Upstream] Address: ", wrong[i][1]);
        }
}

/* What an operator wrote for years must not keep the link from its other addresses. */
static void a_bad_address_is_a_warning_at_run_time(void **state)
{
        struct room *room = *state;

        room_write(room, "/etc/ftcpd.conf",
                   "[Upstream]\nAddress=010.0.0.1:1 h:2\nAddress=h:no-such-port\n"
                   "Address=192.0.2.256:3\n");
        assert_non_null(room_load(room, false));
        assert_int_equal(room->config->n_addresses, 4);
        assert_int_equal(room->report.n_warnings, 3);
        assert_true(room_warns(room, "2: [Upstream] Address: \"010.0.0.1\" has a zero"));
        assert_true(room_warns(room, "3: [Upstream] Address: there is no TCP port of the name "
                                     "\"no-such-port\""));
        assert_true(room_warns(room, "4: [Upstream] Address: \"192.0.2.256\" is no IPv4 address"));
        assert_false(room_warns(room, "nobody"));
}

static void a_short_address_is_shown_in_full(void **state)
{
        room_take(*state, "Address=127.1:5 0x7f000002:5\n");
        assert_true(room_warns(*state, "\"127.1\" is read as 127.0.0.1"));
        assert_true(room_warns(*state, "\"0x7f000002\" is read as 127.0.0.2"));
}

static void an_address_of_another_family_than_the_source_is_told(void **state)
{
        room_take(*state, "Address=[::1]:5 192.0.2.1:5\nSourceAddress=192.0.2.9\n");
        assert_true(room_warns(*state, "4: [Upstream] SourceAddress: \"192.0.2.9\" is IPv4, and "
                                       "Address=[::1]:5 is not"));
        assert_false(room_warns(*state, "Address=192.0.2.1:5 is not"));
        room_take(*state, "Address=192.0.2.1:5 127.1:5\nSourceAddress=::1\n");
        assert_true(room_warns(*state, "Address=192.0.2.1:5 is not"));
        assert_true(room_warns(*state, "Address=127.1:5 is not"));
}

static void a_source_that_leaves_no_address_is_an_error_in_a_check(void **state)
{
        struct room *room = *state;

        assert_null(room_try(room, "[Upstream]\nAddress=192.0.2.1:5 127.1:5\nSourceAddress=::1\n"));
        assert_string_equal(strchr(room->report.errors[0], ':'),
                            ":3: [Upstream] SourceAddress: \"::1\" is IPv6, and no Address= is, "
                            "expected one that is IPv6");
        assert_non_null(room_load(room, false));
        assert_true(room_warns(room, "Address=192.0.2.1:5 is not"));
}

static void values_are_read_into_their_places(void **state)
{
        const struct config *config = room_take(
                *state, "SourceAddress=192.0.2.1\nPathTimeout=2s\nStallTimeout=1min 30s\n"
                        "[Frame]\nType=delimiter\nDelimiter=\\r\\n\nMaxMessageSize=64K\n"
                        "[Heartbeat]\nOnSilence=report\nRelay=yes\nMessage=PING\nReceived=PONG\n"
                        "Received=PING\nAnswer=PONG\n"
                        "[Delivery]\nSlowClient=wait\nClientQueueSize=1\n"
                        "[Local]\nSocket=/tmp/a.sock\nSocketMode=0600\nSocketGroup=root\n"
                        "Senders=root @0\nSenders=12\nMaxClients=7\n"
                        "[Health]\nFlaps=9\n[Service]\nLogLevel=debug\n");

        assert_string_equal(config->source_address, "192.0.2.1");
        assert_int_equal(config->path_timeout_usec, 2 * SEC);
        assert_int_equal(config->stall_timeout_usec, 90 * SEC);
        assert_int_equal(config->stall_speaking_usec, 90 * SEC);
        assert_int_equal(config->frame.type, FRAME_DELIMITER);
        assert_int_equal(config->frame.delimiter_size, 2);
        assert_memory_equal(config->frame.delimiter, "\r\n\0", 4);
        assert_int_equal(config->on_silence, SILENCE_REPORT);
        assert_true(config->heartbeat_relay);
        assert_int_equal(config->heartbeat_received.n, 2);
        assert_memory_equal(config->heartbeat_received.items[1].data, "PING", 4);
        assert_memory_equal(config->heartbeat_answer.items[0].data, "PONG", 4);
        assert_int_equal(config->slow_client, SLOW_WAIT);
        assert_int_equal(config->local_socket_mode, 0600);
        assert_int_equal(config->local_socket_gid, 0);
        assert_int_equal(config->max_clients, 7);
        assert_int_equal(config->senders.n_uids, 2);
        assert_int_equal(config->senders.uids[1], 12);
        assert_int_equal(config->senders.n_gids, 1);
        assert_int_equal(config->log_level, LOG_DEBUG);
        assert_int_equal(config->flaps, 9);
}

static void every_other_frame_can_be_described(void **state)
{
        const struct config *config =
                room_take(*state, "[Frame]\nLengthSize=2\nLengthOffset=4\nLengthFormat=little\n"
                                  "LengthAdjust=-4\n[Heartbeat]\nInterval=0\n");

        assert_int_equal(config->frame.length_size, 2);
        assert_int_equal(config->frame.length_offset, 4);
        assert_int_equal(config->frame.format, FRAME_LITTLE);
        assert_int_equal(config->frame.length_adjust, -4);
        config = room_take(
                *state,
                "[Frame]\nLengthFormat=decimal\nLengthAdjust=+3\n[Heartbeat]\nInterval=0\n");
        assert_int_equal(config->frame.format, FRAME_DECIMAL);
        assert_int_equal(config->frame.length_adjust, 3);
}

static void a_stall_timeout_that_is_not_set_is_two_and_shown_as_none(void **state)
{
        static const char *const texts[] = {"", "StallTimeout=1s\nStallTimeout=\n"};
        struct room *room = *state;
        const struct config *config;

        for (size_t i = 0; i < 2; i++) {
                config = room_take(room, texts[i]);
                assert_int_equal(config->stall_timeout_usec, 30 * SEC);
                assert_int_equal(config->stall_speaking_usec, 300 * SEC);
                assert_string_equal(room_setting(room, "Upstream", "StallTimeout", 0)->value, "");
        }
        config = room_take(room, "StallTimeout=30s\n");
        assert_int_equal(config->stall_speaking_usec, 30 * SEC);
        assert_string_equal(room_setting(room, "Upstream", "StallTimeout", 0)->value, "30s");
}

static void zero_and_infinity_switch_off_what_can_be_off(void **state)
{
        const struct config *config;

        for (int i = 0; i < 2; i++) {
                char text[512];
                const char *off = i ? "infinity" : "0";

                snprintf(text, sizeof(text),
                         "PathTimeout=%s\nStallTimeout=%s\n[Frame]\nTimeout=%s\n"
                         "[Heartbeat]\nInterval=%s\nTimeout=%s\n"
                         "[Delivery]\nClientStallTimeout=%s\n[Health]\nMaxAge=%s\nFlaps=0\n",
                         off, off, off, off, off, off, off);
                config = room_take(*state, text);
                assert_int_equal(config->path_timeout_usec, 0);
                assert_int_equal(config->stall_timeout_usec, 0);
                assert_int_equal(config->stall_speaking_usec, 0);
                assert_int_equal(config->frame_timeout_usec, 0);
                assert_int_equal(config->heartbeat_interval_usec, 0);
                assert_int_equal(config->heartbeat_timeout_usec, 0);
                assert_int_equal(config->client_stall_timeout_usec, 0);
                assert_int_equal(config->max_age_usec, 0);
                assert_int_equal(config->flaps, 0);
        }
        config = room_take(*state, "StableTime=0\n[Delivery]\nSlowClientGrace=0\n"
                                   "[Health]\nCriticalAfter=infinity\n[Service]\nStopTimeout=0\n");
        assert_int_equal(config->stable_time_usec, 0);
        assert_int_equal(config->slow_client_grace_usec, 0);
        assert_true(config->critical_after_usec == CONFIG_INFINITY);
}

static void elsewhere_zero_is_an_error(void **state)
{
        static const char *const keys[][2] = {
                {"Upstream", "ConnectTimeout"},    {"Upstream", "ReconnectDelay"},
                {"Upstream", "ResolveTimeout"},    {"Upstream", "ReconnectDelayMax"},
                {"Upstream", "GreetingTimeout"},   {"Frame", "LengthSize"},
                {"Frame", "MaxMessageSize"},       {"Delivery", "ClientQueueSize"},
                {"Delivery", "UpstreamQueueSize"}, {"Local", "MaxClients"},
                {"Local", "PartialSize"},          {"Local", "SocketMode"},
                {"Control", "MaxClients"},
        };
        char text[128], place[128];

        for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
                snprintf(text, sizeof(text), "[%s]\n%s=0\n", keys[i][0], keys[i][1]);
                snprintf(place, sizeof(place), "4: [%s] %s: ", keys[i][0], keys[i][1]);
                room_refuse(*state, text, place, "\"0\"");
        }
}

static void values_out_of_range_say_the_range(void **state)
{
        static const char *const wrong[][4] = {
                {"Upstream", "PathTimeout", "1999ms", "0 (off) or at least 2s"},
                {"Upstream", "ReconnectDelayMax", "infinity", "more than 0"},
                {"Upstream", "ConnectTimeout", "soon", "such as 250ms"},
                {"Upstream", "ResolveTimeout", "2min 1ms", "2min"},
                {"Upstream", "ResolveTimeout", "infinity", "2min"},
                {"Upstream", "ConnectTimeout", "-1", "such as 250ms"},
                {"Upstream", "SourceAddress", "localhost", "no IP address"},
                {"Upstream", "SourceAddress", "10.0.0.1:80", "without a port"},
                {"Upstream", "SourceAddress", "010.0.0.1", "means octal to some programs"},
                {"Upstream", "ResolveTimeout", "0", "1ms to 2min"},
                {"Frame", "LengthSize", "5", "1 to 4"},
                {"Frame", "LengthOffset", "61", "0 to 60"},
                {"Frame", "LengthAdjust", "-4K", "-1073741824 to 1073741824"},
                {"Frame", "Type", "lenght", "length or delimiter"},
                {"Frame", "LengthFormat", "Big", "big, little, decimal or hex"},
                {"Frame", "Delimiter", "abcde", "1 to 4"},
                {"Frame", "Delimiter", "\"\"", "1 to 4"},
                {"Frame", "Delimiter", "\\q", "escapes"},
                {"Frame", "MaxMessageSize", "4097M", "1 to 4G"},
                {"Frame", "MaxMessageSize", "16 bytes", "such as 64K"},
                {"Heartbeat", "Relay", "maybe", "neither yes nor no"},
                {"Heartbeat", "Message", "\\q", "escapes"},
                {"Delivery", "SlowClient", "kill", "disconnect, drop or wait"},
                {"Local", "Socket", "ftcpd.sock", "absolute"},
                {"Local", "MaxClients", "65537", "1 to 65536"},
                {"Local", "Socket", "/run/ftcpd/", "absolute"},
                {"Local", "SocketMode", "0668", "octal"},
                {"Local", "SocketMode", "1777", "octal"},
                {"Local", "SocketGroup", "no-such-group", "no group \"no-such-group\""},
                {"Local", "Senders", "root no-such-user", "no user \"no-such-user\""},
                {"Local", "Senders", "@no-such-group", "no group"},
                {"Health", "Flaps", "often", "0 to"},
                {"Service", "LogLevel", "loud", "notice, info or debug"},
        };
        char text[128], place[128];

        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                snprintf(text, sizeof(text), "[%s]\n%s=%s\n", wrong[i][0], wrong[i][1],
                         wrong[i][2]);
                snprintf(place, sizeof(place), "4: [%s] %s: ", wrong[i][0], wrong[i][1]);
                room_refuse(*state, text, place, wrong[i][3]);
        }
}

static void a_socket_path_that_the_kernel_cannot_hold_is_an_error(void **state)
{
        char text[512], instance[128] = "";

        snprintf(text, sizeof(text), "[Local]\nSocket=/%0107d\n", 0);
        room_refuse(*state, text, "4: [Local] Socket: ", "108 bytes");
        snprintf(text, sizeof(text), "[Local]\nSocket=/%0106d\n", 0);
        room_take(*state, text);

        memset(instance, 'i', 100);
        assert_null(room_load_instance(*state, instance, true));
        room_refuse(*state, "[Control]\nSocket=/run/ftcpd.sock\n",
                    "4: [Control] Socket: ", "[Local] Socket too");
}

static void an_empty_assignment_takes_back_what_stood_before(void **state)
{
        struct room *room = *state;
        const struct config *config = room_take(
                room, "Address=\nAddress=other:2\nConnectTimeout=nonsense\n"
                      "ConnectTimeout=\nGreeting=@/no/such/file\nGreeting=\n"
                      "[Local]\nSenders=root\nSenders=\nSocketGroup=root\nSocketGroup=\n");

        assert_int_equal(config->n_addresses, 1);
        assert_string_equal(config->addresses[0].host, "other");
        assert_int_equal(config->connect_timeout_usec, 5 * SEC);
        assert_int_equal(config->greeting.n, 0);
        assert_false(config->senders.set);
        assert_int_equal(config->local_socket_gid, (gid_t)-1);
        assert_null(room_setting(room, "Upstream", "ConnectTimeout", 0)->file);
}

static void a_queue_to_the_upstream_holds_at_least_one_message(void **state)
{
        room_refuse(*state, "[Delivery]\nUpstreamQueueSize=1M\n",
                    "4: [Delivery] UpstreamQueueSize: ", "MaxMessageSize=16M");
        room_refuse(*state, "[Frame]\nMaxMessageSize=65M\n",
                    "4: [Delivery] UpstreamQueueSize: ", "MaxMessageSize=65M");
        room_take(*state, "[Delivery]\nUpstreamQueueSize=16M\n");
}

static void settings_tell_every_value_and_where_it_stands(void **state)
{
        struct room *room = *state;
        const struct config_setting *setting;

        room_take(room, "Address=i:2 j:3\nConnectTimeout=90\n[Heartbeat]\nMessage=\\x01 \n"
                        "[Local]\nSocketMode=600\n");
        setting = room_setting(room, "Upstream", "Address", 2);
        assert_string_equal(setting->value, "j:3");
        assert_int_equal(setting->line, 3);
        setting = room_setting(room, "Upstream", "ConnectTimeout", 0);
        assert_string_equal(setting->value, "1min 30s");
        assert_int_equal(setting->line, 4);
        assert_non_null(strstr(setting->file, "/etc/ftcpd.conf"));
        assert_string_equal(room_setting(room, "Heartbeat", "Message", 0)->value, "\\x01");
        setting = room_setting(room, "Heartbeat", "Received", 0);
        assert_string_equal(setting->value, "\\x01");
        assert_null(setting->file);
        assert_string_equal(room_setting(room, "Local", "SocketMode", 0)->value, "0600");
        assert_string_equal(room_setting(room, "Frame", "Delimiter", 0)->value, "\\n");
        assert_string_equal(room_setting(room, "Frame", "MaxMessageSize", 0)->value, "16M");
        assert_string_equal(room_setting(room, "Upstream", "Greeting", 0)->value, "");
        assert_string_equal(room_setting(room, "Heartbeat", "Answer", 0)->value, "");
        assert_string_equal(room_setting(room, "Service", "LogLevel", 0)->value, "info");
}

static struct config *load_other(struct room *room, const char *text)
{
        struct config *config = room_take(room, text);

        room->config = NULL;
        return config;
}

static void a_reload_refuses_what_only_a_restart_can_change(void **state)
{
        struct config *old = load_other(*state, ""), *new;
        char text[256];

        new = load_other(*state, "[Frame]\nLengthSize=2\nTimeout=1s\nMaxMessageSize=1K\n"
                                 "[Local]\nSocketMode=0600\n[Control]\nSocket=/tmp/x\n");
        assert_true(config_refuses_reload(old, new, text, sizeof(text)));
        assert_string_equal(text, "[Frame] LengthSize, [Local] SocketMode, [Control] Socket");
        assert_true(config_refuses_reload(old, new, text, 10));
        assert_int_equal(strlen(text), 9);
        config_free(new);
        new = load_other(*state, "[Frame]\nLengthSize=4\nTimeout=1s\nMaxMessageSize=1K\n"
                                 "[Local]\nMaxClients=3\n");
        assert_false(config_refuses_reload(old, new, text, sizeof(text)));
        assert_string_equal(text, "");
        config_free(new);
        config_free(old);
}

static void the_link_is_touched_only_by_what_it_was_made_from(void **state)
{
        static const char *const texts[] = {
                "Address=h:2\n", "Address=\nAddress=g:1\n", "SourceAddress=10.0.0.1\n",
                "Greeting=x\n",  "GreetingExpect=y\n",
        };
        struct config *old = load_other(*state, ""), *new;

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
                new = load_other(*state, texts[i]);
                assert_true(config_changes_link(old, new));
                config_free(new);
        }
        new = load_other(*state, "Address=\nAddress=h:1\nConnectTimeout=1s\nReconnectDelay=1s\n"
                                 "GreetingTimeout=1s\n[Heartbeat]\nTimeout=9s\n");
        assert_false(config_changes_link(old, new));
        config_free(new);
        config_free(old);
}

#define in_room(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_room(an_address_is_all_that_must_be_set),
                in_room(without_an_address_the_error_says_what_to_write_where),
                in_room(addresses_are_a_list_in_order),
                in_room(wrong_addresses_are_explained),
                in_room(a_bad_address_is_a_warning_at_run_time),
                in_room(a_short_address_is_shown_in_full),
                in_room(an_address_of_another_family_than_the_source_is_told),
                in_room(a_source_that_leaves_no_address_is_an_error_in_a_check),
                in_room(values_are_read_into_their_places),
                in_room(every_other_frame_can_be_described),
                in_room(a_stall_timeout_that_is_not_set_is_two_and_shown_as_none),
                in_room(zero_and_infinity_switch_off_what_can_be_off),
                in_room(elsewhere_zero_is_an_error),
                in_room(values_out_of_range_say_the_range),
                in_room(a_socket_path_that_the_kernel_cannot_hold_is_an_error),
                in_room(an_empty_assignment_takes_back_what_stood_before),
                in_room(a_queue_to_the_upstream_holds_at_least_one_message),
                in_room(settings_tell_every_value_and_where_it_stands),
                in_room(a_reload_refuses_what_only_a_restart_can_change),
                in_room(the_link_is_touched_only_by_what_it_was_made_from),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
