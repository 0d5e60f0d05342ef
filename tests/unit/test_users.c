/* SPDX-License-Identifier: MIT */
/* Credits of slow clients, and the users behind the clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/users.h"

enum { GRACE = 1000 };

static void a_credit_is_used_up_and_grows_back_at_a_twentieth(void **state)
{
        struct credit credit = {.left = UINT64_MAX};

        (void)state;
        assert_int_equal(credit_left(&credit, GRACE, 5), GRACE);
        assert_int_equal(credit_end(&credit, GRACE), UINT64_MAX);
        credit_use(&credit, GRACE, 100);
        assert_int_equal(credit_end(&credit, GRACE), 100 + GRACE);
        assert_int_equal(credit_left(&credit, GRACE, 400), 700);
        credit_rest(&credit, GRACE, 400);
        assert_int_equal(credit_left(&credit, GRACE, 400 + 2000), 800);
        assert_int_equal(credit_left(&credit, GRACE, 400 + 1000000), GRACE);
        credit_charge(&credit, GRACE, 5000, 2400);
        assert_int_equal(credit_left(&credit, GRACE, 2400), 0);
}

static void who_use_a_credit_at_the_same_time_use_it_once(void **state)
{
        struct credit credit = {.left = UINT64_MAX};

        (void)state;
        credit_use(&credit, GRACE, 0);
        credit_use(&credit, GRACE, 300);
        credit_rest(&credit, GRACE, 500);
        assert_int_equal(credit_end(&credit, GRACE), GRACE);
        credit_rest(&credit, GRACE, 600);
        assert_int_equal(credit_left(&credit, GRACE, 600), 400);
}

/* Each client forgives the same stall. */
static void a_stall_is_forgiven_once(void **state)
{
        struct credit credit = {.left = UINT64_MAX};

        (void)state;
        credit_use(&credit, GRACE, 0);
        for (uint64_t k = 0; k < 3; k++)
                credit_forgive(&credit, 400, 500 + k);
        assert_in_range(credit_left(&credit, GRACE, 502), 1000 - 102, 1000 - 100);
        credit_forgive(&credit, 9000, 9600);
        assert_in_range(credit_left(&credit, GRACE, 9600), 1000 - 200, 1000 - 198);
}

static void without_an_end_no_credit_is_used_up(void **state)
{
        struct credit credit = {.left = UINT64_MAX};

        (void)state;
        credit_use(&credit, UINT64_MAX, 10);
        assert_int_equal(credit_end(&credit, UINT64_MAX), UINT64_MAX);
        assert_int_equal(credit_end(&credit, GRACE), 10 + GRACE); /* after a reload */
        credit_rest(&credit, UINT64_MAX, 500);
        assert_true(credit_left(&credit, UINT64_MAX, 500) > UINT64_MAX / 2);
        assert_int_equal(credit_left(&credit, GRACE, 500), GRACE);
}

static void a_program_owes_what_its_clients_had_used(void **state)
{
        struct users users = {.most = 10};
        struct user *user = users_join(&users, "1000");

        (void)state;
        assert_null(user_debt(user, "consumer", GRACE, 0));
        user_owe(user, "consumer", 600, GRACE, 0);
        assert_int_equal(credit_left(user_debt(user, "consumer", GRACE, 0), GRACE, 0), 400);
        assert_null(user_debt(user, "other", GRACE, 0));
        user_owe(user, "consumer", 600, GRACE, 0);
        users_leave(&users, user, GRACE, 0);
        assert_int_equal(users.idle, 1); /* remembered while it owes */
        user = users_join(&users, "1000");
        assert_int_equal(credit_left(user_debt(user, "consumer", GRACE, 100), GRACE, 100), 5);
        assert_null(user_debt(user, "consumer", GRACE, 20 * GRACE));
        users_leave(&users, user, GRACE, 20 * GRACE);
        assert_int_equal(users.idle + users.n, 0);
}

/* Whoever makes up names of programs gets rid of the debt that is least. */
static void of_many_programs_the_most_indebted_are_remembered(void **state)
{
        struct users users = {.most = 10};
        struct user *user = users_join(&users, "1000");
        char name[USERS_PROGRAM];

        (void)state;
        for (unsigned k = 0; k < 100; k++) {
                snprintf(name, sizeof(name), "program %u", k);
                user_owe(user, name, 100 + k, GRACE, 0);
        }
        assert_non_null(user_debt(user, "program 99", GRACE, 0));
        assert_null(user_debt(user, "program 0", GRACE, 0));
        for (int i = 0; i < USERS_DEBTS; i++) /* none is forgotten that is in use */
                credit_use(&user->debt[i].credit, GRACE, 0);
        user_owe(user, "new", GRACE, GRACE, 0);
        assert_null(user_debt(user, "new", GRACE, 0));
        for (int i = 0; i < USERS_DEBTS; i++)
                credit_rest(&user->debt[i].credit, GRACE, 0);
        users_leave(&users, user, GRACE, 0);
        users_done(&users);
}

static void who_comes_from_ever_new_addresses_is_forgotten_at_last(void **state)
{
        struct users users = {.most = 10};
        char name[USERS_NAME];

        (void)state;
        for (unsigned k = 0; k < 5000; k++) {
                struct user *user;

                snprintf(name, sizeof(name), "192.0.%u.%u", k / 256, k % 256);
                user = users_join(&users, name);
                user_owe(user, "", GRACE, GRACE, 0);
                users_leave(&users, user, GRACE, 0);
        }
        assert_in_range(users.idle, 1, 1024);
        users_done(&users);
        assert_int_equal(users.idle, 0);
}

static void the_user_with_more_than_most_is_the_major_one(void **state)
{
        struct users users = {.most = 2};
        struct user *crowd[3], *one = users_join(&users, "one");

        (void)state;
        for (int i = 0; i < 3; i++) {
                assert_null(users.major);
                crowd[i] = users_join(&users, "crowd");
        }
        assert_ptr_equal(users.major, crowd[0]);
        users_set_most(&users, 3);
        assert_null(users.major);
        users_set_most(&users, 2);
        assert_ptr_equal(users.major, crowd[0]);
        users_leave(&users, crowd[0], GRACE, 0);
        assert_null(users.major);
        users_leave(&users, crowd[1], GRACE, 0);
        users_leave(&users, crowd[2], GRACE, 0);
        users_leave(&users, one, GRACE, 0);
        assert_int_equal(users.n + users.idle, 0);
}

static void the_largest_holder_is_a_user_not_a_client(void **state)
{
        struct users users = {.most = 10};
        struct user *a = users_join(&users, "a"), *b = users_join(&users, "b");

        (void)state;
        assert_null(users_largest_partial(&users));
        a->partial_bytes = 10;
        b->partial_bytes = 11;
        assert_ptr_equal(users_largest_partial(&users), b);
        users_leave(&users, a, GRACE, 0);
        users_leave(&users, b, GRACE, 0);
}

static void a_round_of_the_queue_counts_each_user(void **state)
{
        struct users users = {.most = 10};
        struct user *a = users_join(&users, "a"), *b = users_join(&users, "b");

        (void)state;
        assert_int_equal(user_queued(&users, a, 7), 7);
        assert_int_equal(user_queued(&users, a, 8), 15);
        assert_int_equal(user_queued(&users, b, 0), 0);
        users_round_end(&users);
        assert_int_equal(user_queued(&users, a, 0), 0);
        assert_int_equal(user_queued(&users, a, 2), 2);
        users_leave(&users, a, GRACE, 0);
        users_leave(&users, b, GRACE, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_credit_is_used_up_and_grows_back_at_a_twentieth),
                cmocka_unit_test(who_use_a_credit_at_the_same_time_use_it_once),
                cmocka_unit_test(a_stall_is_forgiven_once),
                cmocka_unit_test(without_an_end_no_credit_is_used_up),
                cmocka_unit_test(a_program_owes_what_its_clients_had_used),
                cmocka_unit_test(of_many_programs_the_most_indebted_are_remembered),
                cmocka_unit_test(who_comes_from_ever_new_addresses_is_forgotten_at_last),
                cmocka_unit_test(the_user_with_more_than_most_is_the_major_one),
                cmocka_unit_test(the_largest_holder_is_a_user_not_a_client),
                cmocka_unit_test(a_round_of_the_queue_counts_each_user),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
