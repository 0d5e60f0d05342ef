/* SPDX-License-Identifier: MIT */
/* Notes of --check-config: what follows from values that are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/config_room.h"

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
                in_room(a_check_tells_what_follows_from_the_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
