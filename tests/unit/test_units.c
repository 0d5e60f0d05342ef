/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/suggest.h"
#include "util/units.h"

#define SEC UINT64_C(1000000)

static void assert_span(const char *text, uint64_t usec)
{
        uint64_t value = 0;

        if (units_span_parse(text, &value) != 0 || value != usec)
                fail_msg("\"%s\" is read as %llu", text, (unsigned long long)value);
}

static void spans_are_read_as_in_systemd_time(void **state)
{
        (void)state;
        assert_span("0", 0);
        assert_span("3", 3 * SEC);
        assert_span("3s", 3 * SEC);
        assert_span("250ms", SEC / 4);
        assert_span("1min 30s", 90 * SEC);
        assert_span("1min 30", 90 * SEC);
        assert_span("1min30s", 90 * SEC);
        assert_span(" 2 h ", 7200 * SEC);
        assert_span("1.5h", 5400 * SEC);
        assert_span("0.25", SEC / 4);
        assert_span("55s500ms", 55 * SEC + SEC / 2);
        assert_span("300ms20s 5day", 432020 * SEC + 300000);
        assert_span("7us", 7);
        assert_span("7\u00b5s", 7);
        assert_span("1y 12month", 2 * 31557600 * SEC);
        assert_span("2M", 2 * 2629800 * SEC);
        assert_span("2m", 120 * SEC);
        assert_span("1w", 604800 * SEC);
        assert_span("infinity", UNITS_INFINITY);
        assert_span(" infinity ", UNITS_INFINITY);
}

static void what_is_no_span_is_refused(void **state)
{
        static const char *const texts[] = {"",    " ",   "s",   "3x",        "-3s", "3s,",
                                            "+3",  "1.s", ".5s", "infinity2", "1e3", "3 parsecs",
                                            "0x3", "3s-", "S",   "3S"};
        uint64_t value = 7;

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                if (units_span_parse(texts[i], &value) != -EINVAL)
                        fail_msg("\"%s\" is taken for a span", texts[i]);
        assert_int_equal(value, 7);
        assert_int_equal(units_span_parse("99999999999999999999", &value), -ERANGE);
        assert_int_equal(units_span_parse("18446744073709551615us", &value), -ERANGE);
        assert_int_equal(units_span_parse("999999999999y", &value), -ERANGE);
        assert_int_equal(units_span_parse("146000y 146000y", &value), -ERANGE);
}

static void a_span_that_is_written_is_read_as_the_same(void **state)
{
        char text[UNITS_TEXT_MAX];

        (void)state;
        units_span_format(90 * SEC + 1500, text);
        assert_string_equal(text, "1min 30s 1ms 500us");
        units_span_format(0, text);
        assert_string_equal(text, "0");
        units_span_format(UNITS_INFINITY, text);
        assert_string_equal(text, "infinity");
        units_span_format(UNITS_SPAN_MAX, text);
        assert_span(text, UNITS_SPAN_MAX);
        for (uint64_t usec = 1; usec < UNITS_SPAN_MAX / 7; usec = usec * 7 + 3) {
                units_span_format(usec, text);
                assert_span(text, usec);
        }
}

static void a_span_for_people_is_rounded_down_to_what_they_care_for(void **state)
{
        (void)state;
        assert_string_equal(units_span_words(0).text, "0");
        assert_string_equal(units_span_words(999999).text, "999ms");
        assert_string_equal(units_span_words(3 * SEC + 4321).text, "3s");
        assert_string_equal(units_span_words(1599999).text, "1s 500ms");
        assert_string_equal(units_span_words(303 * SEC + 999999).text, "5min 3s");
        assert_string_equal(units_span_words(7859 * SEC).text, "2h 10min");
}

static void sizes_have_suffixes_to_the_base_of_1024(void **state)
{
        static const struct {
                const char *text;
                uint64_t bytes;
        } sizes[] = {{"0", 0},          {"17", 17},
                     {"17B", 17},       {"4K", 4096},
                     {"16M", 16 << 20}, {" 16 M ", 16 << 20},
                     {"1G", 1 << 30},   {"2T", UINT64_C(2) << 40}};
        uint64_t bytes;

        (void)state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                assert_int_equal(units_size_parse(sizes[i].text, &bytes), 0);
                assert_int_equal(bytes, sizes[i].bytes);
        }
        assert_int_equal(units_size_parse("", &bytes), -EINVAL);
        assert_int_equal(units_size_parse("16m", &bytes), -EINVAL);
        assert_int_equal(units_size_parse("16MB", &bytes), -EINVAL);
        assert_int_equal(units_size_parse("-1", &bytes), -EINVAL);
        assert_int_equal(units_size_parse("infinity", &bytes), -EINVAL);
        assert_int_equal(units_size_parse("99999999999T", &bytes), -ERANGE);
        assert_int_equal(units_size_parse("18446744073709551616", &bytes), -ERANGE);
}

static void a_size_that_is_written_is_read_as_the_same(void **state)
{
        static const uint64_t sizes[] = {0,          1,
                                         1023,       1024,
                                         1025,       1536,
                                         16 << 20,   UINT64_C(5) << 40,
                                         UINT64_MAX, UINT64_C(1) << 63};
        char text[UNITS_TEXT_MAX];
        uint64_t bytes;

        (void)state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                units_size_format(sizes[i], text);
                assert_int_equal(units_size_parse(text, &bytes), 0);
                assert_true(bytes == sizes[i]);
        }
        units_size_format(16 << 20, text);
        assert_string_equal(text, "16M");
}

static void numbers_are_digits_only(void **state)
{
        uint64_t number;

        (void)state;
        assert_int_equal(units_number_parse(" 42 ", &number), 0);
        assert_int_equal(number, 42);
        assert_int_equal(units_number_parse("42K", &number), -EINVAL);
        assert_int_equal(units_number_parse("-42", &number), -EINVAL);
        assert_int_equal(units_number_parse("4 2", &number), -EINVAL);
        assert_int_equal(units_number_parse("", &number), -EINVAL);
}

static void booleans_are_those_of_systemd(void **state)
{
        static const char *const yes[] = {"1", "yes", "y", "true", "t", "on", "YES", " On "};
        static const char *const no[] = {"0", "no", "n", "false", "f", "off", "False"};
        bool value;

        (void)state;
        for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++) {
                value = false;
                assert_int_equal(units_bool_parse(yes[i], &value), 0);
                assert_true(value);
        }
        for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
                value = true;
                assert_int_equal(units_bool_parse(no[i], &value), 0);
                assert_false(value);
        }
        assert_int_equal(units_bool_parse("", &value), -EINVAL);
        assert_int_equal(units_bool_parse("2", &value), -EINVAL);
        assert_int_equal(units_bool_parse("yes no", &value), -EINVAL);
}

static void escapes_become_bytes(void **state)
{
        static const char bytes[] = "a\r\n\t\\\"\0\x7f\xff é\033 8";
        const char *text = "a\\r\\n\\t\\\\\\\"\\0\\x7f\\xFF é\\e\\s\\070";
        unsigned char data[64];

        (void)state;
        assert_int_equal(units_unescape(text, data), sizeof(bytes) - 1);
        assert_memory_equal(data, bytes, sizeof(bytes) - 1);
        assert_int_equal(units_unescape("", data), 0);
}

static void broken_escapes_are_refused(void **state)
{
        static const char *const texts[] = {"\\",    "a\\",   "\\q",   "\\x", "\\x1",
                                            "\\xg0", "\\x0g", "\\400", "\\9"};
        unsigned char data[64];

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                if (units_unescape(texts[i], data) != -EINVAL)
                        fail_msg("\"%s\" is taken", texts[i]);
}

static void every_byte_survives_an_escape_and_back(void **state)
{
        unsigned char bytes[256], back[UNITS_ESCAPE_ROOM(256)];
        char text[UNITS_ESCAPE_ROOM(256)];

        (void)state;
        for (int i = 0; i < 256; i++)
                bytes[i] = (unsigned char)i;
        units_escape(bytes, sizeof(bytes), text);
        assert_int_equal(units_unescape(text, back), sizeof(bytes));
        assert_memory_equal(back, bytes, sizeof(bytes));
        units_escape(" a b ", 5, text);
        assert_string_equal(text, "\\x20a b\\x20");
        units_escape("\r\n", 2, text);
        assert_string_equal(text, "\\r\\n");
}

static const char *nearest(const char *word)
{
        struct suggest near = suggest_begin(word);

        suggest_offer(&near, "Interval");
        suggest_offer(&near, "Timeout");
        suggest_offer(&near, "OnSilence");
        suggest_offer(&near, "Address");
        suggest_offer(&near, "ReconnectDelay");
        suggest_offer(&near, "ReconnectDelayMax");
        return suggest_best(&near);
}

static void a_slip_finds_the_name_that_was_meant(void **state)
{
        char word[5000];

        (void)state;
        assert_string_equal(nearest("Intervall"), "Interval");
        assert_string_equal(nearest("itnerval"), "Interval");
        assert_string_equal(nearest("TimeOut"), "Timeout");
        assert_string_equal(nearest("Adress"), "Address");
        assert_string_equal(nearest("ReconectDelay"), "ReconnectDelay");
        assert_string_equal(nearest("ConnectDelayMax"), "ReconnectDelayMax");
        assert_string_equal(nearest("Silence"), "OnSilence");
        assert_null(nearest("Greeting"));
        assert_null(nearest("x"));
        assert_null(nearest(""));
        memset(word, 'A', sizeof(word) - 1);
        word[sizeof(word) - 1] = '\0';
        assert_null(nearest(word));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(spans_are_read_as_in_systemd_time),
                cmocka_unit_test(what_is_no_span_is_refused),
                cmocka_unit_test(a_span_that_is_written_is_read_as_the_same),
                cmocka_unit_test(a_span_for_people_is_rounded_down_to_what_they_care_for),
                cmocka_unit_test(sizes_have_suffixes_to_the_base_of_1024),
                cmocka_unit_test(a_size_that_is_written_is_read_as_the_same),
                cmocka_unit_test(numbers_are_digits_only),
                cmocka_unit_test(booleans_are_those_of_systemd),
                cmocka_unit_test(escapes_become_bytes),
                cmocka_unit_test(broken_escapes_are_refused),
                cmocka_unit_test(every_byte_survives_an_escape_and_back),
                cmocka_unit_test(a_slip_finds_the_name_that_was_meant),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
