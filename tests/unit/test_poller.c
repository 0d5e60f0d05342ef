/* SPDX-License-Identifier: MIT */
/* Who is ready is told what it wants, and once that its other end is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/poller.h"
#include "util/clock.h"

enum { PAIRS = 2 };

static struct subject {
        struct polled polled;
        int far; /* the other end */
        unsigned readable, writable, gone;
} subject[PAIRS];

static struct {
        struct event_base *base;
        struct poller *poller;
        bool remove_other;  /* who is told first removes the other one */
        uint64_t busy_usec; /* what telling a subject takes */
} room;

static struct subject *subject_of(struct polled *polled)
{
        return (struct subject *)((char *)polled - offsetof(struct subject, polled));
}

static void on_readable(struct polled *polled)
{
        struct subject *s = subject_of(polled);

        s->readable++;
        for (uint64_t begin = clock_usec(); clock_usec() - begin < room.busy_usec;)
                ;
        if (room.remove_other)
                poller_remove(room.poller, &subject[s == subject].polled);
}

static void on_writable(struct polled *polled)
{
        subject_of(polled)->writable++;
}

static void on_gone(struct polled *polled)
{
        subject_of(polled)->gone++;
}

static const struct poller_ops ops = {on_readable, on_writable, on_gone};

static int begin(void **state)
{
        (void)state;
        room.base = event_base_new();
        room.poller = poller_new(room.base, &ops);
        room.remove_other = false;
        room.busy_usec = 0;
        for (size_t i = 0; i < PAIRS; i++) {
                int pair[2];

                if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                        return -1;
                subject[i] = (struct subject){.far = pair[1]};
                if (poller_add(room.poller, &subject[i].polled, pair[0], POLLER_READ) < 0)
                        return -1;
        }
        return 0;
}

static int end(void **state)
{
        (void)state;
        for (size_t i = 0; i < PAIRS; i++) {
                close(subject[i].far);
                poller_remove(room.poller, &subject[i].polled);
        }
        poller_free(room.poller);
        event_base_free(room.base);
        return 0;
}

static void turn(void)
{
        assert_return_code(event_base_loop(room.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
        (void)fd, (void)what;
        *(bool *)arg = true;
}

/* The loop sleeps until its time is over: nothing else wakes it. */
static bool sleeps(void)
{
        bool over = false;
        struct event *timer = evtimer_new(room.base, on_time, &over);

        evtimer_add(timer, &(struct timeval){.tv_usec = 20000});
        event_base_loop(room.base, EVLOOP_ONCE);
        event_free(timer);
        return over;
}

static void tells_what_is_wanted_and_nothing_else(void **state)
{
        struct subject *s = &subject[0];

        (void)state;
        assert_true(sleeps());
        assert_int_equal(write(s->far, "x", 1), 1);
        turn();
        assert_int_equal(s->readable, 1);
        assert_int_equal(s->writable, 0);
        poller_want(room.poller, &s->polled, POLLER_WRITE);
        turn();
        assert_int_equal(s->readable, 1);
        assert_int_equal(s->writable, 1);
        poller_want(room.poller, &s->polled, POLLER_READ | POLLER_WRITE);
        turn();
        assert_int_equal(s->readable, 2);
        assert_int_equal(s->writable, 2);
        poller_want(room.poller, &s->polled, 0);
        assert_true(sleeps());
        assert_int_equal(s->readable + s->writable, 4);
        assert_int_equal(s->gone + subject[1].readable, 0);
}

/* Each stays readable, and epoll tells the first one first each time. */
static void whoever_takes_long_leaves_the_others_to_the_next_pass(void **state)
{
        (void)state;
        room.busy_usec = 3000;
        for (size_t i = 0; i < PAIRS; i++)
                assert_int_equal(write(subject[i].far, "x", 1), 1);
        for (unsigned round = 1; round <= 3; round++) {
                turn();
                assert_int_equal(subject[0].readable + subject[1].readable, 2 * round - 1);
                turn();
                assert_int_equal(subject[0].readable, round);
                assert_int_equal(subject[1].readable, round);
        }
}

static void who_is_removed_before_the_next_pass_is_not_told(void **state)
{
        (void)state;
        room.busy_usec = 3000;
        for (size_t i = 0; i < PAIRS; i++)
                assert_int_equal(write(subject[i].far, "x", 1), 1);
        turn();
        for (size_t i = 0; i < PAIRS; i++)
                poller_remove(room.poller, &subject[i].polled);
        turn();
        assert_int_equal(subject[0].readable + subject[1].readable, 1);
}

static void a_half_closed_end_is_not_gone(void **state)
{
        struct subject *s = &subject[0];

        (void)state;
        shutdown(s->far, SHUT_WR);
        turn();
        assert_int_equal(s->readable, 1);
        poller_want(room.poller, &s->polled, 0);
        assert_true(sleeps());
        assert_int_equal(s->gone, 0);
        shutdown(s->far, SHUT_RD);
        turn();
        assert_int_equal(s->gone, 1);
        assert_int_equal(s->readable, 1);
}

static void who_is_gone_is_told_once_and_never_keeps_the_loop_awake(void **state)
{
        struct subject *s = &subject[0];

        (void)state;
        poller_want(room.poller, &s->polled, 0);
        shutdown(s->far, SHUT_RDWR);
        for (int i = 0; i < 3; i++)
                turn();
        assert_true(sleeps());
        assert_int_equal(s->gone, 1);
}

static void what_came_before_the_end_can_be_read_whenever_it_is_wanted(void **state)
{
        struct subject *s = &subject[0];

        (void)state;
        assert_int_equal(write(s->far, "x", 1), 1);
        shutdown(s->far, SHUT_RDWR);
        turn();
        turn();
        assert_int_equal(s->gone, 1);
        assert_int_equal(s->readable, 2);
        poller_want(room.poller, &s->polled, 0); /* there is no room for it now */
        turn();
        assert_true(sleeps());
        assert_int_equal(s->readable, 2);
        poller_want(room.poller, &s->polled, POLLER_READ);
        turn();
        assert_int_equal(s->readable, 3);
        assert_int_equal(s->gone, 1);
}

static void who_was_removed_a_moment_ago_is_told_nothing(void **state)
{
        (void)state;
        room.remove_other = true;
        for (size_t i = 0; i < PAIRS; i++)
                assert_int_equal(write(subject[i].far, "x", 1), 1);
        turn();
        turn();
        assert_true(!subject[0].readable || !subject[1].readable);
        assert_int_equal(subject[0].readable + subject[1].readable, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(tells_what_is_wanted_and_nothing_else, begin, end),
                cmocka_unit_test_setup_teardown(
                        whoever_takes_long_leaves_the_others_to_the_next_pass, begin, end),
                cmocka_unit_test_setup_teardown(who_is_removed_before_the_next_pass_is_not_told,
                                                begin, end),
                cmocka_unit_test_setup_teardown(a_half_closed_end_is_not_gone, begin, end),
                cmocka_unit_test_setup_teardown(
                        who_is_gone_is_told_once_and_never_keeps_the_loop_awake, begin, end),
                cmocka_unit_test_setup_teardown(
                        what_came_before_the_end_can_be_read_whenever_it_is_wanted, begin, end),
                cmocka_unit_test_setup_teardown(who_was_removed_a_moment_ago_is_told_nothing, begin,
                                                end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
