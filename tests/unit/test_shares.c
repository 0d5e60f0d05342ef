/* SPDX-License-Identifier: MIT */
/* Who goes next of several who want the same, on made-up amounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/shares.h"

enum { N = 3 };

struct room {
        struct shares shares;
        struct share share[N];
};

static int begin(void **state)
{
        static struct room room;

        room = (struct room){0};
        shares_init(&room.shares);
        *state = &room;
        return 0;
}

/* Serves the next one, who takes this much. Returns its number. */
static ptrdiff_t serve(struct room *room, uint64_t amount)
{
        struct share *share = shares_next(&room->shares);

        assert_non_null(share);
        shares_withdraw(&room->shares, share);
        shares_spend(&room->shares, share, amount);
        return share - room->share;
}

static void want(struct room *room, int i, int times)
{
        for (int n = 0; n < times; n++)
                shares_wait(&room->shares, &room->share[i]);
}

static void nobody_goes_where_nobody_waits(void **state)
{
        struct room *room = *state;

        assert_null(shares_next(&room->shares));
        want(room, 0, 1);
        assert_int_equal(serve(room, 1), 0);
        assert_null(shares_next(&room->shares));
}

static void one_with_a_hundred_requests_is_one_user(void **state)
{
        struct room *room = *state;

        want(room, 0, 100);
        assert_int_equal(serve(room, 5), 0);
        want(room, 1, 3);
        want(room, 2, 3);
        /* They are as if they had been there when the first one began. */
        assert_int_equal(serve(room, 5), 1);
        assert_int_equal(serve(room, 5), 2);
        for (int i = 0; i < 2 * N; i++)
                assert_int_equal(serve(room, 5), i % N);
        assert_int_equal(room->share[0].n_waiting, 97);
        assert_int_equal(serve(room, 5), 0);
        assert_int_equal(serve(room, 5), 0);
}

static void who_takes_long_goes_as_much_more_rarely(void **state)
{
        struct room *room = *state;
        unsigned slots[N] = {0};

        want(room, 0, 1000);
        want(room, 1, 1000);
        for (int i = 0; i < 110; i++) {
                ptrdiff_t who = shares_next(&room->shares) - room->share;

                slots[who]++;
                serve(room, who == 0 ? 100 : 10);
        }
        assert_in_range(slots[0], 9, 11);
        assert_in_range(slots[1], 99, 101);
}

static void a_rest_is_no_credit(void **state)
{
        struct room *room = *state;

        want(room, 0, 1000);
        want(room, 1, 1);
        assert_int_equal(serve(room, 10), 0);
        assert_int_equal(serve(room, 10), 1);
        for (int i = 0; i < 100; i++)
                assert_int_equal(serve(room, 10), 0);
        /* It goes at once, and then they alternate. */
        want(room, 1, 100);
        for (int i = 0; i < 20; i++)
                assert_int_equal(serve(room, 10), i % 2 == 0);
}

static void nor_is_it_a_debt_for_ever(void **state)
{
        struct room *room = *state;

        want(room, 0, 1);
        assert_int_equal(serve(room, 1000), 0);
        want(room, 1, 1);
        want(room, 0, 1);
        assert_int_equal(serve(room, 10), 1);
        /* It alone waits. */
        assert_int_equal(serve(room, 10), 0);
        /* Who comes then begins where it was. */
        want(room, 2, 100);
        want(room, 0, 100);
        assert_int_equal(serve(room, 10), 2);
        assert_int_equal(serve(room, 10), 0);
        assert_int_equal(serve(room, 10), 2);
}

static void who_goes_away_is_passed_over(void **state)
{
        struct room *room = *state;

        want(room, 0, 2);
        want(room, 1, 1);
        shares_withdraw(&room->shares, &room->share[0]);
        assert_int_equal(serve(room, 10), 0);
        want(room, 0, 1);
        shares_withdraw(&room->shares, &room->share[1]);
        assert_int_equal(serve(room, 10), 0);
        assert_null(shares_next(&room->shares));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup(f, begin)
                TEST(nobody_goes_where_nobody_waits),
                TEST(one_with_a_hundred_requests_is_one_user),
                TEST(who_takes_long_goes_as_much_more_rarely),
                TEST(a_rest_is_no_credit),
                TEST(nor_is_it_a_debt_for_ever),
                TEST(who_goes_away_is_passed_over),
        };

        return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}
