/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/hold.h"
#include "flow/recover.h"

#define SEC UINT64_C(1000000)

static struct store store;

static int start(void **state)
{
        (void)state;
        return store_init(&store);
}

static int stop(void **state)
{
        (void)state;
        store_done(&store);
        return 0;
}

static struct hold_view look(uint64_t now)
{
        return hold_look(store.image, now);
}

static void a_new_store_is_not_held(void **state)
{
        (void)state;
        assert_false(hold_is_on(store.image));
        assert_null(hold_check(store.image));
}

static void a_hold_has_who_why_and_how_long(void **state)
{
        char text[HOLD_TEXT];

        (void)state;
        hold_set(&store, "root", "works", 10 * SEC, 40 * SEC);
        assert_true(hold_is_on(store.image));
        assert_string_equal(look(20 * SEC).by, "root");
        assert_string_equal(look(20 * SEC).reason, "works");
        assert_int_equal(look(20 * SEC).since, 10 * SEC);
        assert_int_equal(look(20 * SEC).left_usec, 20 * SEC);
        hold_text(store.image, 10 * SEC, text);
        assert_string_equal(text, "held by root for 30s: works");
        assert_null(hold_check(store.image));
        hold_clear(&store);
        assert_false(hold_is_on(store.image));
}

static void without_an_end_and_without_a_reason_neither_is_told(void **state)
{
        char text[HOLD_TEXT];

        (void)state;
        hold_set(&store, "uid 1000", NULL, SEC, UINT64_MAX);
        assert_null(look(2 * SEC).reason);
        assert_true(look(UINT64_MAX / 2).left_usec == UINT64_MAX);
        hold_text(store.image, SEC, text);
        assert_string_equal(text, "held by uid 1000");
}

static void when_its_time_is_over_nothing_is_left(void **state)
{
        (void)state;
        hold_set(&store, "root", NULL, SEC, 2 * SEC);
        assert_int_equal(look(2 * SEC - 1).left_usec, 1);
        assert_int_equal(look(2 * SEC).left_usec, 0);
        assert_int_equal(look(UINT64_MAX / 2).left_usec, 0);
}

static void another_hold_replaces_all_but_when_it_began(void **state)
{
        (void)state;
        hold_set(&store, "somebody", "a long reason", SEC, 9 * SEC);
        hold_set(&store, "root", "short", 5 * SEC, UINT64_MAX);
        assert_string_equal(look(6 * SEC).by, "root");
        assert_string_equal(look(6 * SEC).reason, "short");
        assert_int_equal(look(6 * SEC).since, SEC);
        assert_true(look(6 * SEC).left_usec == UINT64_MAX);
        hold_clear(&store);
        hold_set(&store, "root", NULL, 7 * SEC, UINT64_MAX);
        assert_int_equal(look(8 * SEC).since, 7 * SEC);
        assert_null(look(8 * SEC).reason);
}

static void a_long_reason_is_cut_between_two_characters(void **state)
{
        char reason[1000], text[HOLD_TEXT];

        (void)state;
        for (size_t i = 0; i + 3 < sizeof(reason); i += 3)
                memcpy(reason + i, "\xe2\x82\xac", 4);
        hold_set(&store, reason, reason, SEC, UINT64_MAX);
        assert_int_equal(strlen(look(SEC).reason), HOLD_REASON_MAX / 3 * 3);
        assert_int_equal(strlen(look(SEC).by), HOLD_BY_MAX / 3 * 3);
        hold_text(store.image, SEC, text);
        assert_true(strlen(text) > HOLD_REASON_MAX);
        assert_memory_equal(text + strlen(text) - 3, "\xe2\x82\xac", 3);
        memset(reason, 'x', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        hold_set(&store, "root", reason, SEC, UINT64_MAX);
        assert_int_equal(strlen(look(SEC).reason), HOLD_REASON_MAX);
        assert_null(hold_check(store.image));
}

static void what_could_steer_a_terminal_is_escaped(void **state)
{
        (void)state;
        hold_set(&store, "root", "a\x1b[31m\nb", SEC, UINT64_MAX);
        assert_string_equal(look(SEC).reason, "a\\x1b[31m\\nb");
}

static void a_hold_that_is_damaged_is_found_out(void **state)
{
        struct image_hold *hold = &store.image->hold;

        (void)state;
        memset(hold->by, 'x', sizeof(hold->by));
        assert_non_null(hold_check(store.image));
        memset(hold, 0, sizeof(*hold));
        memset(hold->reason, 'x', sizeof(hold->reason));
        assert_non_null(hold_check(store.image));
        memset(hold, 0, sizeof(*hold));
        hold->since = UINT64_MAX;
        assert_non_null(hold_check(store.image));
}

/* ---- a process that dies at any store ---- */

static unsigned stores_left;

static void die_in_time(void)
{
        if (stores_left-- == 0)
                _exit(0);
}

/* Another process replaces the hold and dies before so many stores have passed; true: it did not
 * get to die. */
static bool replace_and_die(unsigned stores)
{
        pid_t child = fork();
        int status;

        assert_true(child >= 0);
        if (child == 0) {
                stores_left = stores;
                store_hook = die_in_time;
                hold_set(&store, "the second", "second reason", 2 * SEC, 9 * SEC);
                _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status) == 1;
}

static void a_process_that_dies_at_any_store_leaves_one_whole_hold_or_the_other(void **state)
{
        static const struct frame_spec spec = {
                .type = FRAME_LENGTH, .length_size = 4, .max_message_size = 1000};
        bool whole = false;
        unsigned n;

        (void)state;
        for (n = 0; !whole; n++) {
                struct store found = {0};
                struct hold_view hold;
                bool second;

                hold_set(&store, "the first", "first", SEC, UINT64_MAX);
                whole = replace_and_die(n);
                assert_int_equal(store_open(&found, dup(store.fd)), 0);
                assert_null(recover_image(&found, &spec));
                hold = hold_look(found.image, 3 * SEC);
                second = strcmp(hold.by, "the second") == 0;
                assert_true(second || !whole);
                assert_string_equal(hold.by, second ? "the second" : "the first");
                assert_string_equal(hold.reason, second ? "second reason" : "first");
                assert_true(hold.left_usec == (second ? 6 * SEC : UINT64_MAX));
                store_done(&found);
        }
        assert_true(n > 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_new_store_is_not_held),
                TEST(a_hold_has_who_why_and_how_long),
                TEST(without_an_end_and_without_a_reason_neither_is_told),
                TEST(when_its_time_is_over_nothing_is_left),
                TEST(another_hold_replaces_all_but_when_it_began),
                TEST(a_long_reason_is_cut_between_two_characters),
                TEST(what_could_steer_a_terminal_is_escaped),
                TEST(a_hold_that_is_damaged_is_found_out),
                TEST(a_process_that_dies_at_any_store_leaves_one_whole_hold_or_the_other),
        };

        return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
