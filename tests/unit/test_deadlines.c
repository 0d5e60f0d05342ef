/* SPDX-License-Identifier: MIT */
/* Many deadlines on one timer: each is told once, none before its time, the earliest first. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "edge/deadlines.h"
#include "util/clock.h"

enum { SUBJECTS = 300, SPAN_USEC = 30000 };

static struct subject {
        struct due due;
        uint64_t expected; /* 0: it is not to be told */
        bool in;
} subject[SUBJECTS];

static struct {
        struct event_base *base;
        struct deadlines *deadlines;
        uint64_t last;  /* when the one was due that was told last */
        unsigned again; /* so many are to be due once more */
        unsigned told;
        uint64_t busy_usec; /* what telling takes */
} room;

static struct subject *subject_of(struct due *due)
{
        return (struct subject *)((char *)due - offsetof(struct subject, due));
}

static void set(struct subject *s, uint64_t at)
{
        s->expected = at;
        deadlines_set(room.deadlines, &s->due, at);
        assert_int_equal(s->due.at, at);
}

static void leave(struct subject *s)
{
        deadlines_remove(room.deadlines, &s->due);
        s->in = false;
        s->expected = 0;
}

static void tell(struct due *due, uint64_t at)
{
        struct subject *s = subject_of(due);

        assert_true(s->in);
        assert_int_equal(at, s->expected);
        assert_true(at <= clock_usec());
        assert_true(at >= room.last);
        assert_int_equal(due->at, 0);
        room.last = at;
        room.told++;
        for (uint64_t begin = clock_usec(); clock_usec() - begin < room.busy_usec;)
                ;
        s->expected = 0;
        if (room.again) {
                room.again--;
                set(s, clock_usec() + 1);
        }
}

static int begin(void **state)
{
        (void)state;
        room.base = event_base_new();
        room.deadlines = deadlines_new(room.base, tell);
        room.last = room.told = room.again = 0;
        room.busy_usec = 0;
        for (size_t i = 0; i < SUBJECTS; i++) {
                subject[i] = (struct subject){.in = true};
                assert_true(deadlines_add(room.deadlines, &subject[i].due));
        }
        return room.base && room.deadlines ? 0 : -1;
}

static int end(void **state)
{
        (void)state;
        deadlines_free(room.deadlines);
        event_base_free(room.base);
        return 0;
}

static bool is_any_expected(void)
{
        for (size_t i = 0; i < SUBJECTS; i++)
                if (subject[i].expected)
                        return true;
        return false;
}

/* Whatever is left out hangs here until the harness ends it. */
static void until_all_are_told(void)
{
        while (is_any_expected())
                assert_return_code(event_base_loop(room.base, EVLOOP_ONCE), 0);
}

static void seed(void)
{
        const char *given = getenv("FTCPD_TEST_SEED");
        unsigned n = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

        printf("# seed %u\n", n);
        srandom(n);
}

static void each_is_told_once_in_order_and_not_before_its_time(void **state)
{
        unsigned expected = 0;

        (void)state;
        seed();
        for (size_t i = 0; i < 3 * SUBJECTS; i++) {
                struct subject *s = &subject[(size_t)random() % SUBJECTS];

                if (s->in && random() % 8 == 0)
                        leave(s);
                else if (s->in)
                        set(s, clock_usec() + (uint64_t)random() % SPAN_USEC);
        }
        for (size_t i = 0; i < SUBJECTS; i++)
                expected += subject[i].expected != 0;
        until_all_are_told();
        assert_int_equal(room.told, expected);
}

static void a_crowd_that_is_due_at_once_is_told_over_several_passes(void **state)
{
        uint64_t now = clock_usec();

        (void)state;
        room.busy_usec = 3000;
        for (size_t i = 0; i < 5; i++)
                set(&subject[i], now - 10 + i);
        for (unsigned pass = 1; pass <= 5; pass++) {
                assert_return_code(event_base_loop(room.base, EVLOOP_ONCE), 0);
                assert_int_equal(room.told, pass);
        }
}

static void what_is_past_is_due_at_once(void **state)
{
        (void)state;
        set(&subject[0], clock_usec() + 3600 * (uint64_t)USEC_PER_SEC);
        set(&subject[1], 1);
        while (subject[1].expected)
                event_base_loop(room.base, EVLOOP_ONCE);
        assert_int_equal(room.told, 1);
        set(&subject[0], clock_usec());
        until_all_are_told();
}

static void who_is_told_may_be_due_again(void **state)
{
        (void)state;
        room.again = 5;
        set(&subject[0], clock_usec());
        set(&subject[1], clock_usec() + 1000);
        until_all_are_told();
        assert_int_equal(room.told, 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(each_is_told_once_in_order_and_not_before_its_time,
                                                begin, end),
                cmocka_unit_test_setup_teardown(
                        a_crowd_that_is_due_at_once_is_told_over_several_passes, begin, end),
                cmocka_unit_test_setup_teardown(what_is_past_is_due_at_once, begin, end),
                cmocka_unit_test_setup_teardown(who_is_told_may_be_due_again, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
