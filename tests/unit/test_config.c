/* SPDX-License-Identifier: MIT */
/* What the keys mean: values, defaults, ranges, rules across keys, and what a reload may change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/people.h"
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
                {"ho/st:1", "no name"},
                {"host:99999999999999999999", "port is neither"},
        };
        char text[128];

        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                snprintf(text, sizeof(text), "Address=%s\n", wrong[i][0]);
                room_refuse(*state, text, "3: [Upstream] Address: ", wrong[i][1]);
        }
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
                {"Upstream", "ReconnectDelayMax"}, {"Upstream", "GreetingTimeout"},
                {"Frame", "LengthSize"},           {"Frame", "MaxMessageSize"},
                {"Delivery", "ClientQueueSize"},   {"Delivery", "UpstreamQueueSize"},
                {"Local", "MaxClients"},           {"Local", "PartialSize"},
                {"Local", "SocketMode"},           {"Control", "MaxClients"},
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
                {"Upstream", "ConnectTimeout", "-1", "such as 250ms"},
                {"Upstream", "SourceAddress", "localhost", "no IP address"},
                {"Upstream", "SourceAddress", "10.0.0.1:80", "without a port"},
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

static void received_follows_message_and_interval(void **state)
{
        const struct config *config = room_take(*state, "[Heartbeat]\nMessage=PING\n");

        assert_int_equal(config->heartbeat_received.n, 1);
        assert_memory_equal(config->heartbeat_received.items[0].data, "PING", 4);
        assert_false(config->heartbeat_received.set);

        config = room_take(*state, "[Heartbeat]\nInterval=0\n");
        assert_int_equal(config->heartbeat_message.n, 0);
        assert_int_equal(config->heartbeat_received.n, 0);

        config = room_take(*state, "[Heartbeat]\nInterval=0\nReceived=\"\"\nReceived=X\n");
        assert_int_equal(config->heartbeat_received.n, 2);
        assert_int_equal(config->heartbeat_received.items[0].size, 0);

        config = room_take(*state, "[Heartbeat]\nReceived=\n");
        assert_int_equal(config->heartbeat_message.n, 1);
        assert_true(config->heartbeat_received.set);
        assert_int_equal(config->heartbeat_received.n, 0);
}

static void with_an_offset_the_heartbeat_must_be_given(void **state)
{
        const struct config *config;

        room_refuse(*state, "[Frame]\nLengthOffset=4\nLengthSize=2\n",
                    "4: [Heartbeat] Message: ", "LengthOffset=4");
        room_refuse(*state, "[Frame]\nLengthOffset=4\nLengthSize=2\n[Heartbeat]\nMessage=\n",
                    "4: [Heartbeat] Message: ", "LengthOffset=4");
        room_take(*state, "[Frame]\nLengthOffset=4\n[Heartbeat]\nInterval=0\n");
        room_take(*state, "[Frame]\nType=delimiter\nLengthOffset=4\n");
        config = room_take(*state, "[Frame]\nLengthOffset=4\nLengthSize=2\n"
                                   "[Heartbeat]\nMessage=\\0\\1\\0\\0\\0\\2AB\n");
        assert_int_equal(config->heartbeat_message.items[0].size, 8);
}

static void heartbeats_and_greetings_must_be_messages_of_the_frame(void **state)
{
        room_refuse(*state, "[Frame]\nType=delimiter\n[Heartbeat]\nMessage=a\\nb\n",
                    "6: [Heartbeat] Message: ", "delimiter");
        room_refuse(*state, "[Frame]\nType=delimiter\n[Heartbeat]\nReceived=ok\nReceived=a\\nb\n",
                    "7: [Heartbeat] Received: ", "delimiter");
        room_refuse(*state, "[Frame]\nMaxMessageSize=4\n[Heartbeat]\nAnswer=abcde\n",
                    "6: [Heartbeat] Answer: ", "MaxMessageSize");
        room_refuse(*state, "Greeting=secret\n[Frame]\nMaxMessageSize=4\n",
                    "3: [Upstream] Greeting: ", "MaxMessageSize");
        assert_null(strstr(((struct room *)*state)->report.errors[0], "secret"));
        room_refuse(*state, "[Frame]\nLengthAdjust=1\n", "4: [Heartbeat] Message: ", "length");
        room_refuse(*state, "[Frame]\nLengthOffset=4\n[Heartbeat]\nMessage=ab\n",
                    "6: [Heartbeat] Message: ", "whole frame");
}

static void a_queue_to_the_upstream_holds_at_least_one_message(void **state)
{
        room_refuse(*state, "[Delivery]\nUpstreamQueueSize=1M\n",
                    "4: [Delivery] UpstreamQueueSize: ", "MaxMessageSize=16M");
        room_refuse(*state, "[Frame]\nMaxMessageSize=65M\n",
                    "4: [Delivery] UpstreamQueueSize: ", "MaxMessageSize=65M");
        room_take(*state, "[Delivery]\nUpstreamQueueSize=16M\n");
}

static void a_message_may_be_empty_or_hold_any_byte(void **state)
{
        const struct config *config =
                room_take(*state, "[Heartbeat]\nMessage=\"\"\nAnswer=  \\x20\\0\\377 é  \n"
                                  "Received=\"a\"\n");

        assert_int_equal(config->heartbeat_message.items[0].size, 0);
        assert_true(config->heartbeat_message.set);
        assert_int_equal(config->heartbeat_answer.items[0].size, 6);
        assert_memory_equal(config->heartbeat_answer.items[0].data, " \0\377 \xc3\xa9", 6);
        assert_memory_equal(config->heartbeat_received.items[0].data, "\"a\"", 3);
}

static void greetings_come_from_text_files_and_credentials(void **state)
{
        struct room *room = *state;
        const struct config *config;
        char text[512];

        room_write_bytes(room, "/login", "user\0pass\n", 10);
        room_write(room, "/creds/answer", "OK");
        setenv("CREDENTIALS_DIRECTORY", strcat(strcpy(text, room->root), "/creds"), 1);
        snprintf(text, sizeof(text),
                 "Greeting=HELLO\\n\nGreeting=@%s/login\nGreeting=@home\n"
                 "GreetingExpect=@credential:answer\n",
                 room->root);
        config = room_take(room, text);
        assert_int_equal(config->greeting.n, 3);
        assert_memory_equal(config->greeting.items[0].data, "HELLO\n", 6);
        assert_int_equal(config->greeting.items[1].size, 10);
        assert_memory_equal(config->greeting.items[1].data, "user\0pass\n", 10);
        assert_memory_equal(config->greeting.items[2].data, "@home", 5);
        assert_int_equal(config->greeting_expect.size, 2);
        assert_memory_equal(config->greeting_expect.data, "OK", 2);
        assert_string_equal(room_setting(room, "Upstream", "Greeting", 0)->value,
                            "(set, 3 messages)");
        assert_null(room_setting(room, "Upstream", "Greeting", 1));
        assert_string_equal(room_setting(room, "Upstream", "GreetingExpect", 0)->value,
                            "(set, 1 message)");
        unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_greeting_that_cannot_be_read_is_an_error(void **state)
{
        struct room *room = *state;
        char text[512];

        room_refuse(room, "Greeting=@/no/such/file\n", "3: [Upstream] Greeting: ", "No such file");
        room_refuse(room, "Greeting=@/dev/zero\n", "3: [Upstream] Greeting: ", "no regular file");
        room_refuse(room, "Greeting=@credential:../x\n", "3: [Upstream] Greeting: ", "no name");
        room_refuse(room, "GreetingExpect=@/\n",
                    "3: [Upstream] GreetingExpect: ", "no regular file");
        setenv("CREDENTIALS_DIRECTORY", room->root, 1);
        room_refuse(room, "Greeting=@credential:gone\n", "3: [Upstream] Greeting: ", "No such");
        unsetenv("CREDENTIALS_DIRECTORY");

        /* A person who checks has no credentials; the service without them must not start. */
        room_take(room, "Greeting=@credential:login\n[Frame]\nLengthOffset=2\n"
                        "[Heartbeat]\nInterval=0\n");
        assert_true(room_warns(room, "note: the credential \"login\" was not checked"));
        assert_null(room_load(room, false));
        assert_non_null(strstr(room->report.errors[0], "LoadCredential="));

        room_write(room, "/big", "");
        snprintf(text, sizeof(text), "%s/big", room->root);
        assert_int_equal(truncate(text, (1 << 20) + 1), 0);
        snprintf(text, sizeof(text), "Greeting=@%s/big\n", room->root);
        room_refuse(room, text, "3: [Upstream] Greeting: ", "larger");
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

static void people_are_known_by_user_or_group(void **state)
{
        const struct config *config = room_take(*state, "[Local]\nSenders=root @12\n");
        const gid_t gids[] = {5, 12};

        assert_true(config_people_have(&config->senders, 0, NULL, 0));
        assert_true(config_people_have(&config->senders, 1000, gids, 2));
        assert_false(config_people_have(&config->senders, 1000, gids, 1));
        assert_false(config_people_have(&config->admin, 0, gids, 2));
}

/* As at a start, where a warning is enough. */
static struct config *take_at_run_time(struct room *room, const char *text)
{
        char whole[1024];

        snprintf(whole, sizeof(whole), "[Upstream]\nAddress=h:1\n%s", text);
        room_write(room, "/etc/ftcpd.conf", whole);
        assert_non_null(room_load(room, false));
        return room->config;
}

static void a_name_that_is_unknown_at_run_time_is_a_warning_and_matches_nobody(void **state)
{
        const gid_t none[] = {CONFIG_NO_ID};
        struct room *room = *state;
        const struct config *config = take_at_run_time(
                room, "[Local]\nSenders=@no-such-group no-such-user root\n"
                      "SocketGroup=no-such-group\n[Control]\nAdmin=@no-such-group\n");

        assert_int_equal(room->report.n_warnings, 3);
        assert_true(room_warns(room, "4: [Local] Senders: there is no group \"no-such-group\"; "
                                     "there is no user \"no-such-user\": nobody matches, and it is "
                                     "looked up again every 30s"));
        assert_true(room_warns(room, "5: [Local] SocketGroup: there is no group"));
        assert_true(room_warns(room, "7: [Control] Admin: there is no group"));
        assert_true(config->senders.set && config->admin.set);
        assert_false(config_people_have(&config->senders, CONFIG_NO_ID, none, 1));
        assert_false(config_people_have(&config->admin, CONFIG_NO_ID, none, 1));
        assert_false(config_people_have(&config->senders, 7, NULL, 0));
        assert_true(config_people_have(&config->senders, 0, none, 1));
        assert_string_equal(room_setting(room, "Local", "Senders", 0)->value, "@no-such-group");
        assert_int_equal(config->local_socket_gid, CONFIG_NO_ID);
        assert_string_equal(config->local_socket_group, "no-such-group");
}

static void a_name_that_is_found_later_counts_wherever_it_stands(void **state)
{
        struct config *config =
                take_at_run_time(*state, "[Local]\nSenders=@late root late\nSocketGroup=late\n"
                                         "[Control]\nAdmin=@late\nAdmin=@other\n");
        struct config_names names = config_names_unknown(config);
        struct config_name found = {(char[]){"@late"}, 70001}, stranger = {(char[]){"@x"}, 70002};
        const gid_t gids[] = {70001};

        assert_int_equal(names.n, 5);
        config_names_done(&names);
        assert_false(config_name_learn(config, &stranger));
        assert_true(config_name_learn(config, &found));
        assert_false(config_name_learn(config, &found));
        assert_true(config_people_have(&config->senders, 9, gids, 1));
        assert_true(config_people_have(&config->admin, 9, gids, 1));
        assert_false(config_people_have(&config->senders, 70001, NULL, 0)); /* a group's number */
        assert_int_equal(config->local_socket_gid, 70001);
        names = config_names_unknown(config);
        assert_int_equal(names.n, 2);
        assert_string_equal(names.items[0].who, "late");
        assert_string_equal(names.items[1].who, "@other");
        config_names_done(&names);
}

/* A successor that reads what was kept looks the unknown ones up again, also those with blanks. */
static void an_unknown_name_is_kept_as_it_is_written(void **state)
{
        struct room *room = *state;
        struct config *config = take_at_run_time(
                room, "[Local]\nSenders=@\"no such group\" \"no such user\" @CORP\\nobodies\n"
                      "SocketGroup=no such group\n");
        struct config_source source = {.kept = config->kept, .kept_size = config->kept_size};
        struct config_report report = {0};
        struct config *same = config_load(&source, &report);
        struct config_names names;

        assert_non_null(same);
        names = config_names_unknown(same);
        assert_int_equal(names.n, 4);
        assert_string_equal(names.items[0].who, "@no such group"); /* of SocketGroup= */
        assert_string_equal(names.items[1].who, "@no such group");
        assert_string_equal(names.items[2].who, "no such user");
        assert_string_equal(names.items[3].who, "@CORP\\nobodies");
        config_names_done(&names);
        config_report_done(&report);
        config_free(same);
}

static void a_name_with_blanks_stands_in_double_quotes(void **state)
{
        static const char *const wrong[][2] = {
                {"@\"root", "a double quote too few"}, {"root\"", "a double quote too few"},
                {"\"\"", "\"\" is neither"},           {"root @", "\"\" is neither"},
                {"4294967295", "is neither"},          {"@\"domain users\"", "\"domain users\""},
        };
        const struct config *config = room_take(*state, "[Local]\nSenders=\"root\" @\"root\"\n"
                                                        "SocketGroup=\"root\"\n");
        char text[128];

        assert_true(config_people_have(&config->senders, 0, NULL, 0));
        assert_string_equal(room_setting(*state, "Local", "Senders", 1)->value, "@root");
        assert_string_equal(config->local_socket_group, "root");
        assert_int_equal(config->local_socket_gid, 0);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                snprintf(text, sizeof(text), "[Local]\nSenders=%s\n", wrong[i][0]);
                room_refuse(*state, text, "4: [Local] Senders: ", wrong[i][1]);
        }
        room_refuse(*state, "[Local]\nSocketGroup=\"root\n",
                    "4: [Local] SocketGroup: ", "a double quote too few");
        take_at_run_time(*state, "[Local]\nSenders=@\"no such group\"\n");
        assert_string_equal(room_setting(*state, "Local", "Senders", 0)->value,
                            "@\"no such group\"");
}

static void a_check_tells_what_follows_from_the_values(void **state)
{
        struct room *room = *state;

        room_take(room, "[Local]\nSocketMode=0600\nPartialSize=1M\n[Heartbeat]\nInterval=5s\n");
        assert_true(room_warns(room, "note: a peer whose host or network is gone is noticed "
                                     "within 3s"));
        assert_true(room_warns(room, "note: a peer whose program hangs is noticed within 3s"));
        assert_true(room_warns(room, "at most 97M of memory"));
        assert_true(room_warns(room, "[Local] SocketMode= has no effect where a socket unit"));
        assert_true(room_warns(room, "PartialSize= is below MaxMessageSize="));
        assert_true(room_warns(room, "Timeout= is not above Interval="));

        room_take(room, "[Delivery]\nWhenDown=refuse\nOnLinkLoss=keep\nSlowClient=wait\n"
                        "SlowClientGrace=1s\n");
        assert_true(room_warns(room, "OnLinkLoss= has no effect"));
        assert_true(room_warns(room, "SlowClientGrace= has no effect"));

        room_take(room, "[Delivery]\nResend=unsent\n");
        assert_true(room_warns(room, "SendAfter=byte holds it back"));
        room_take(room, "[Upstream]\nSendAfter=byte\n[Delivery]\nResend=unsent\n");
        assert_false(room_warns(room, "SendAfter=byte holds it back"));
        room_take(room, "[Heartbeat]\nOnSilence=report\n[Delivery]\nResend=none\n");
        assert_false(room_warns(room, "SendAfter=byte holds it back"));

        room_take(room, "PathTimeout=0\n[Heartbeat]\nTimeout=0\n");
        assert_true(room_warns(room, "may never be noticed"));
        assert_true(room_warns(room, "only while something is to be sent, after 30s, and 5min "
                                     "while it sends bytes"));
        room_take(room, "PathTimeout=0\nStallTimeout=30s\n[Heartbeat]\nTimeout=0\n");
        assert_true(room_warns(room, "something is to be sent, after 30s"));
        assert_false(room_warns(room, "while it sends bytes"));

        room_take(room, "[Delivery]\nMessageTTL=10s\n");
        assert_true(room_warns(room, "MessageTTL=10s is below ReconnectDelayMax=30s"));
        room_take(room, "ReconnectDelayMax=10s\n[Delivery]\nMessageTTL=10s\n");
        assert_false(room_warns(room, "MessageTTL="));

        room_load(room, false);
        assert_int_equal(room->report.n_warnings, 0);
}

#define in_room(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_room(an_address_is_all_that_must_be_set),
                in_room(without_an_address_the_error_says_what_to_write_where),
                in_room(addresses_are_a_list_in_order),
                in_room(wrong_addresses_are_explained),
                in_room(values_are_read_into_their_places),
                in_room(every_other_frame_can_be_described),
                in_room(a_stall_timeout_that_is_not_set_is_two_and_shown_as_none),
                in_room(zero_and_infinity_switch_off_what_can_be_off),
                in_room(elsewhere_zero_is_an_error),
                in_room(values_out_of_range_say_the_range),
                in_room(a_socket_path_that_the_kernel_cannot_hold_is_an_error),
                in_room(an_empty_assignment_takes_back_what_stood_before),
                in_room(received_follows_message_and_interval),
                in_room(with_an_offset_the_heartbeat_must_be_given),
                in_room(heartbeats_and_greetings_must_be_messages_of_the_frame),
                in_room(a_queue_to_the_upstream_holds_at_least_one_message),
                in_room(a_message_may_be_empty_or_hold_any_byte),
                in_room(greetings_come_from_text_files_and_credentials),
                in_room(a_greeting_that_cannot_be_read_is_an_error),
                in_room(settings_tell_every_value_and_where_it_stands),
                in_room(a_reload_refuses_what_only_a_restart_can_change),
                in_room(the_link_is_touched_only_by_what_it_was_made_from),
                in_room(people_are_known_by_user_or_group),
                in_room(a_name_that_is_unknown_at_run_time_is_a_warning_and_matches_nobody),
                in_room(a_name_that_is_found_later_counts_wherever_it_stands),
                in_room(an_unknown_name_is_kept_as_it_is_written),
                in_room(a_name_with_blanks_stands_in_double_quotes),
                in_room(a_check_tells_what_follows_from_the_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
