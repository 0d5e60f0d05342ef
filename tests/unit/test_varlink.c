/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/varlink.h"

static void feed(struct varlink_reader *reader, const void *data, size_t size)
{
        void *room = varlink_reader_room(reader, size);

        assert_non_null(room);
        memcpy(room, data, size);
        varlink_reader_fed(reader, size);
}

static enum varlink_result take_method(struct varlink_reader *reader, const char *method)
{
        json_t *object = NULL;
        enum varlink_result result = varlink_take(reader, &object);

        if (result == VARLINK_OBJECT)
                assert_string_equal(json_string_value(json_object_get(object, "method")), method);
        json_decref(object);
        return result;
}

static void an_object_that_comes_byte_by_byte_is_whole_at_its_nul(void **state)
{
        static const char text[] = "{\"method\":\"a.B\"}";
        struct varlink_reader reader;

        (void)state;
        varlink_reader_init(&reader);
        for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < sizeof(text); i++) {
                        assert_int_equal(take_method(&reader, "a.B"), VARLINK_MORE);
                        feed(&reader, text + i, 1);
                }
                assert_int_equal(take_method(&reader, "a.B"), VARLINK_OBJECT);
        }
        assert_int_equal(take_method(&reader, "a.B"), VARLINK_MORE);
        varlink_reader_done(&reader);
}

static void pipelined_objects_come_out_one_by_one_in_order(void **state)
{
        static const char text[] = "{\"method\":\"one\"}\0{\"method\":\"two\"}\0{\"method\":\"th";
        static const char rest[] = "ree\"}";
        struct varlink_reader reader;

        (void)state;
        varlink_reader_init(&reader);
        feed(&reader, text, sizeof(text) - 1);
        assert_int_equal(take_method(&reader, "one"), VARLINK_OBJECT);
        assert_int_equal(take_method(&reader, "two"), VARLINK_OBJECT);
        assert_int_equal(take_method(&reader, ""), VARLINK_MORE);
        feed(&reader, rest, sizeof(rest));
        assert_int_equal(take_method(&reader, "three"), VARLINK_OBJECT);
        assert_int_equal(take_method(&reader, ""), VARLINK_MORE);
        varlink_reader_done(&reader);
}

static void thousands_of_objects_pass_through_a_bounded_buffer(void **state)
{
        static const char two[] = "{\"method\":\"x\"}\0{\"method\":\"x\"}";
        struct varlink_reader reader;

        (void)state;
        varlink_reader_init(&reader);
        feed(&reader, two, sizeof(two));
        for (int i = 0; i < 20000; i++) {
                assert_int_equal(take_method(&reader, "x"), VARLINK_OBJECT);
                feed(&reader, two, sizeof(two) / 2);
        }
        assert_true(reader.room <= (size_t)16 * 1024);
        varlink_reader_done(&reader);
}

/* An object of exactly `size` bytes without its NUL. */
static char *object_of(size_t size)
{
        static const char head[] = "{\"method\":\"x\",\"parameters\":{\"a\":\"";
        static const char tail[] = "\"}}";
        char *text = malloc(size + 1);

        assert_non_null(text);
        memset(text, 'y', size);
        memcpy(text, head, sizeof(head) - 1);
        memcpy(text + size - (sizeof(tail) - 1), tail, sizeof(tail));
        return text;
}

static void an_object_of_the_limit_passes_and_one_byte_more_does_not(void **state)
{
        struct varlink_reader reader;

        (void)state;
        for (size_t more = 0; more < 2; more++) {
                char *text = object_of(VARLINK_MESSAGE_MAX + more);

                varlink_reader_init(&reader);
                feed(&reader, text, VARLINK_MESSAGE_MAX + more + 1);
                assert_int_equal(take_method(&reader, "x"),
                                 more ? VARLINK_TOO_LARGE : VARLINK_OBJECT);
                varlink_reader_done(&reader);
                free(text);
        }
}

static void bytes_without_a_nul_are_too_large_above_the_limit(void **state)
{
        struct varlink_reader reader;
        char block[4096];
        size_t fed = 0;

        (void)state;
        memset(block, '{', sizeof(block));
        varlink_reader_init(&reader);
        while (take_method(&reader, "") == VARLINK_MORE) {
                assert_true(fed <= (size_t)VARLINK_MESSAGE_MAX);
                feed(&reader, block, sizeof(block));
                fed += sizeof(block);
        }
        assert_int_equal(take_method(&reader, ""), VARLINK_TOO_LARGE);
        assert_int_equal(fed, VARLINK_MESSAGE_MAX + sizeof(block));
        varlink_reader_done(&reader);
}

static void a_raised_limit_lets_a_large_reply_pass(void **state)
{
        size_t size = 3 * (size_t)VARLINK_MESSAGE_MAX;
        char *text = object_of(size);
        struct varlink_reader reader;

        (void)state;
        varlink_reader_init(&reader);
        reader.max = 2 * size;
        for (size_t at = 0; at < size + 1; at += 100000) {
                assert_int_equal(take_method(&reader, "x"), VARLINK_MORE);
                feed(&reader, text + at, size + 1 - at < 100000 ? size + 1 - at : 100000);
        }
        assert_int_equal(take_method(&reader, "x"), VARLINK_OBJECT);
        assert_null(reader.data);
        varlink_reader_done(&reader);
        free(text);
}

static void what_is_no_object_is_bad_and_stays_bad(void **state)
{
        static const char *const bad[] = {
                "",           "{",        "[]",
                "1",          "null",     "\"x\"",
                "{} {}",      "{a:1}",    "GET / HTTP/1.1\r\n",
                "{\"a\":1,}", "\xff\xfe", "{\"a\":\"\xff\"}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                struct varlink_reader reader;

                varlink_reader_init(&reader);
                feed(&reader, bad[i], strlen(bad[i]) + 1);
                assert_int_equal(take_method(&reader, ""), VARLINK_BAD);
                feed(&reader, "{}", 3);
                assert_int_equal(take_method(&reader, ""), VARLINK_BAD);
                varlink_reader_done(&reader);
        }
}

static void a_member_that_stands_twice_is_bad(void **state)
{
        static const char text[] = "{\"method\":\"a\",\"method\":\"b\"}";
        struct varlink_reader reader;

        (void)state;
        varlink_reader_init(&reader);
        feed(&reader, text, sizeof(text));
        assert_int_equal(take_method(&reader, ""), VARLINK_BAD);
        varlink_reader_done(&reader);
}

static void a_nesting_of_a_hundred_thousand_is_bad_and_not_a_crash(void **state)
{
        struct varlink_reader reader;
        char block[1000];

        (void)state;
        varlink_reader_init(&reader);
        reader.max_values = SIZE_MAX;
        memset(block, '[', sizeof(block));
        feed(&reader, "{\"a\":", 5);
        for (int i = 0; i < 100; i++)
                feed(&reader, block, sizeof(block));
        feed(&reader, "", 1);
        assert_int_equal(take_method(&reader, ""), VARLINK_BAD);
        varlink_reader_done(&reader);
}

/* A message of so many values that each takes two bytes; the last may be a text. */
static void feed_values(struct varlink_reader *reader, size_t values, const char *last)
{
        feed(reader, "{\"method\":[", 11);
        for (size_t i = 3; i < values; i++)
                feed(reader, "1,", 2);
        feed(reader, last, strlen(last));
        feed(reader, "]}", 3);
}

static void more_values_than_the_limit_are_too_large_and_text_is_no_value(void **state)
{
        static const char text[] = "\"[[[{{{,,,\\\",,,\\\\\"";
        struct varlink_reader reader;
        json_t *object = NULL;

        (void)state;
        varlink_reader_init(&reader);
        feed_values(&reader, VARLINK_VALUES_MAX, text);
        assert_int_equal(varlink_take(&reader, &object), VARLINK_OBJECT);
        assert_int_equal(json_array_size(json_object_get(object, "method")),
                         VARLINK_VALUES_MAX - 2);
        json_decref(object);
        feed_values(&reader, VARLINK_VALUES_MAX + 1, text);
        assert_int_equal(varlink_take(&reader, &object), VARLINK_TOO_LARGE);
        varlink_reader_done(&reader);
}

static void an_encoded_object_is_read_back(void **state)
{
        json_t *object = json_pack("{s:s, s:{s:I}}", "method", "a.B", "parameters", "n",
                                   (json_int_t)1 << 60);
        struct varlink_reader reader;
        json_t *back = NULL;
        size_t size = 0;
        char *text;

        (void)state;
        text = varlink_encode(object, &size);
        assert_non_null(text);
        assert_int_equal(text[size - 1], '\0');
        varlink_reader_init(&reader);
        feed(&reader, text, size);
        assert_int_equal(varlink_take(&reader, &back), VARLINK_OBJECT);
        assert_true(json_equal(object, back));
        varlink_reader_done(&reader);
        json_decref(back);
        json_decref(object);
        free(text);
}

static void an_impossible_room_is_refused(void **state)
{
        struct varlink_reader reader;

        (void)state;
        varlink_reader_init(&reader);
        assert_null(varlink_reader_room(&reader, SIZE_MAX - 1));
        feed(&reader, "{}", 3);
        assert_null(varlink_reader_room(&reader, SIZE_MAX - 1));
        varlink_reader_done(&reader);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_object_that_comes_byte_by_byte_is_whole_at_its_nul),
                cmocka_unit_test(pipelined_objects_come_out_one_by_one_in_order),
                cmocka_unit_test(thousands_of_objects_pass_through_a_bounded_buffer),
                cmocka_unit_test(an_object_of_the_limit_passes_and_one_byte_more_does_not),
                cmocka_unit_test(bytes_without_a_nul_are_too_large_above_the_limit),
                cmocka_unit_test(a_raised_limit_lets_a_large_reply_pass),
                cmocka_unit_test(what_is_no_object_is_bad_and_stays_bad),
                cmocka_unit_test(a_member_that_stands_twice_is_bad),
                cmocka_unit_test(a_nesting_of_a_hundred_thousand_is_bad_and_not_a_crash),
                cmocka_unit_test(more_values_than_the_limit_are_too_large_and_text_is_no_value),
                cmocka_unit_test(an_encoded_object_is_read_back),
                cmocka_unit_test(an_impossible_room_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
