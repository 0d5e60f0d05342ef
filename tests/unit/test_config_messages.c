/* SPDX-License-Identifier: MIT */
/* Heartbeats and greetings in the configuration: how messages are written, and where from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "lib/config_room.h"

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

static const struct config_bytes *for_clients(void **state, const char *text)
{
        return config_client_heartbeat(room_take(*state, text));
}

static void clients_get_the_first_heartbeat_of_the_peer_and_there_must_be_one(void **state)
{
        const struct config_bytes *message;
        char text[4096] = "[Local]\nHeartbeatInterval=1s\n[Heartbeat]\nMessage=";

        assert_null(for_clients(state, "[Heartbeat]\nMessage=PING\n"));
        assert_null(for_clients(state, "[Local]\nHeartbeatInterval=infinity\n"));
        message = for_clients(state, "[Local]\nHeartbeatInterval=100ms\n");
        assert_int_equal(message->size, 0);
        assert_true(room_warns(*state, "HeartbeatInterval=100ms: a client that only sends"));
        message = for_clients(state, "[Local]\nHeartbeatInterval=1s\n[Heartbeat]\nMessage=PING\n"
                                     "Received=FIRST\nReceived=SECOND\n");
        assert_memory_equal(message->data, "FIRST", 5);
        message = for_clients(state, "[Local]\nHeartbeatInterval=1s\n[Heartbeat]\nMessage=PING\n"
                                     "Received=\n");
        assert_memory_equal(message->data, "PING", 4);
        message = for_clients(state, "[Local]\nHeartbeatInterval=1s\n[Heartbeat]\nInterval=0\n"
                                     "Received=PONG\n");
        assert_memory_equal(message->data, "PONG", 4);

        room_refuse(*state, "[Local]\nHeartbeatInterval=1s\n[Heartbeat]\nInterval=0\n",
                    "4: [Local] HeartbeatInterval: there is no heartbeat", "Received= or Message=");
        room_refuse(*state, "[Local]\nHeartbeatInterval=99ms\n",
                    "4: [Local] HeartbeatInterval: ", "0 (off) or at least 100ms");
        memset(text + strlen(text), 'x', 1980);
        room_take(*state, text);
        text[strlen(text)] = 'x';
        room_refuse(*state, text, "4: [Local] HeartbeatInterval: ", "at most 1980");
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

#define in_room(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_room(received_follows_message_and_interval),
                in_room(with_an_offset_the_heartbeat_must_be_given),
                in_room(heartbeats_and_greetings_must_be_messages_of_the_frame),
                in_room(clients_get_the_first_heartbeat_of_the_peer_and_there_must_be_one),
                in_room(a_message_may_be_empty_or_hold_any_byte),
                in_room(greetings_come_from_text_files_and_credentials),
                in_room(a_greeting_that_cannot_be_read_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
