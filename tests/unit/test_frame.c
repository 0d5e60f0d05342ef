/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/stream.h"
#include "wire/frame.h"

/* Which kind of frame it was that a loop over all of them failed with. */
#define on_kind(kind, condition)                                                                   \
        do {                                                                                       \
                if (!(condition))                                                                  \
                        fail_msg("%s: not so: %s", (kind)->name, #condition);                      \
        } while (0)

static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 9, 100, 255, 256, 4095, 9999, 65530, 65535};

static void a_frame_is_whole_with_its_last_byte_and_not_before(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                        struct stream s = {0};
                        size_t header = frame_header_size(&k->spec), n;
                        uint64_t total;

                        if (sizes[i] > k->largest || sizes[i] < k->smallest)
                                continue;
                        n = stream_random(&s, &k->spec, sizes[i]);
                        stream_add(&s, "more", 4);
                        for (size_t cut = 0; cut<n; cut += n> 600 && cut > 80 ? 61 : 1) {
                                on_kind(k,
                                        frame_next(&k->spec, s.bytes, cut, &total) == FRAME_MORE);
                                on_kind(k, total == (header && cut >= header ? n : 0));
                        }
                        on_kind(k, frame_next(&k->spec, s.bytes, n - 1, &total) == FRAME_MORE);
                        on_kind(k, frame_next(&k->spec, s.bytes, n, &total) == FRAME_WHOLE);
                        on_kind(k, total == n);
                        on_kind(k, frame_next(&k->spec, s.bytes, n + 4, &total) == FRAME_WHOLE);
                        on_kind(k, total == n);
                        stream_done(&s);
                }
        }
}

static void a_wrapped_message_is_what_another_encoder_writes(void **unused)
{
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];

        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
                        struct stream s = {0}, wrapped = {0};
                        const unsigned char *message;
                        size_t n, size, head_size, tail_size;

                        if (sizes[i] > k->largest || sizes[i] < k->smallest)
                                continue;
                        n = stream_random(&s, &k->spec, sizes[i]);
                        frame_message(&k->spec, s.bytes, n, &message, &size);
                        on_kind(k, size == (k->spec.length_offset ? n : sizes[i]));
                        on_kind(k, frame_wrap(&k->spec, message, size, head, &head_size, tail,
                                              &tail_size) == NULL);
                        stream_add(&wrapped, head, head_size);
                        stream_add(&wrapped, message, size);
                        stream_add(&wrapped, tail, tail_size);
                        on_kind(k, wrapped.size == n && memcmp(wrapped.bytes, s.bytes, n) == 0);
                        stream_done(&s);
                        stream_done(&wrapped);
                }
        }
}

static void a_walk_takes_what_is_whole_at_every_cut(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};

                if (k->spec.type != FRAME_LENGTH)
                        continue;
                for (int i = 0; i < 12; i++) {
                        uint64_t body = k->smallest + random_below(k->largest < 40 ? 10 : 40);

                        /* Several of one size are walked in another way. */
                        for (uint64_t n = i % 3 ? 1 : random_below(25); n > 0; n--)
                                stream_random(&s, &k->spec, body);
                }
                for (size_t cut = 0; cut <= s.size; cut++) {
                        uint64_t frames = 7, expected = 7;
                        size_t used = frame_walk(&k->spec, s.bytes, cut, FRAME_NO_RANGE, &frames);

                        on_kind(k, used == frames_at(&k->spec, s.bytes, cut, &expected));
                        on_kind(k, frames == expected);
                }
                stream_done(&s);
        }
}

static void a_walk_stops_in_front_of_bodies_that_are_looked_for(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct stream s = {0};
                uint64_t frames = 0;
                size_t before = 0;

                if (k->spec.type != FRAME_LENGTH)
                        continue;
                for (uint64_t body = k->smallest; body < 9; body++) {
                        before += stream_random(&s, &k->spec, body) * (body < 5);
                        frames = 0;
                        on_kind(k, frame_walk(&k->spec, s.bytes, s.size, (struct frame_range){5, 7},
                                              &frames) == before);
                        on_kind(k, frames == (body < 5 ? body + 1 : 5) - k->smallest);
                }
                frames = 0;
                on_kind(k,
                        frame_walk(&k->spec, s.bytes, s.size,
                                   (struct frame_range){k->smallest, k->smallest}, &frames) == 0);
                on_kind(k, frames == 0);
                stream_done(&s);
        }
}

static void the_largest_message_is_taken_and_one_byte_more_is_refused(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                struct stream good = {0}, bad = {0};
                size_t n, header = frame_header_size(&spec);
                uint64_t total, declared, frames = 0;

                spec.max_message_size = k->largest < 200 ? k->largest - 1 : 200;
                n = stream_random(&good, &spec, spec.max_message_size);
                on_kind(k, frame_next(&spec, good.bytes, n, &total) == FRAME_WHOLE);
                stream_random(&bad, &spec, spec.max_message_size + 1);
                for (size_t cut = header; spec.type == FRAME_LENGTH && cut <= bad.size; cut++)
                        on_kind(k, frame_next(&spec, bad.bytes, cut, &total) == FRAME_TOO_LARGE);
                on_kind(k, frame_next(&spec, bad.bytes, bad.size, &total) == FRAME_TOO_LARGE);
                on_kind(k, total == 0);
                if (spec.type == FRAME_LENGTH) {
                        on_kind(k, frame_measure(&spec, bad.bytes, &total, &declared) ==
                                           FRAME_TOO_LARGE);
                        on_kind(k, declared == kind_length(&spec, spec.max_message_size + 1));
                        on_kind(k, frame_walk(&spec, bad.bytes, bad.size, FRAME_NO_RANGE,
                                              &frames) == 0);
                }
                stream_done(&good);
                stream_done(&bad);
        }
}

static void an_endless_line_is_refused_before_its_end(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                unsigned char bytes[64];
                uint64_t total;

                if (spec.type != FRAME_DELIMITER)
                        continue;
                spec.max_message_size = 20;
                memset(bytes, 'x', sizeof(bytes));
                memcpy(bytes + 20, spec.delimiter, spec.delimiter_size);
                for (size_t n = 0; n < 20 + spec.delimiter_size; n++)
                        on_kind(k, frame_next(&spec, bytes, n, &total) == FRAME_MORE);
                on_kind(k,
                        frame_next(&spec, bytes, 20 + spec.delimiter_size, &total) == FRAME_WHOLE);
                bytes[20] = 'x';
                on_kind(k, frame_next(&spec, bytes, 20 + spec.delimiter_size, &total) ==
                                   FRAME_TOO_LARGE);
        }
}

static void a_length_that_is_no_number_is_broken(void **unused)
{
        static const char *const decimal[] = {"12a4", " 124", "+124",  "-124", "12.4",
                                              "0x12", "124 ", "1\n24", "/000", "000:"};
        static const char *const hex[] = {"00FF", "00fg", "0x12", " 0ff", "-0ff", "00f`", "00f@"};
        struct frame_spec spec = {.length_size = 4, .max_message_size = 1 << 20};
        uint64_t total, declared;

        (void)unused;
        spec.format = FRAME_DECIMAL;
        for (size_t i = 0; i < sizeof(decimal) / sizeof(*decimal); i++) {
                const unsigned char *bytes = (const unsigned char *)decimal[i];

                assert_int_equal(frame_next(&spec, bytes, 3, &total), FRAME_MORE);
                assert_int_equal(frame_next(&spec, bytes, 4, &total), FRAME_BROKEN);
                assert_int_equal(frame_measure(&spec, bytes, &total, &declared), FRAME_BROKEN);
                assert_int_equal(declared, 0);
        }
        spec.format = FRAME_HEX;
        for (size_t i = 0; i < sizeof(hex) / sizeof(*hex); i++) {
                const unsigned char *bytes = (const unsigned char *)hex[i];

                assert_int_equal(frame_next(&spec, bytes, 4, &total), FRAME_BROKEN);
                assert_int_equal(frame_measure(&spec, bytes, &total, &declared), FRAME_BROKEN);
        }
        assert_int_equal(frame_measure(&spec, (const unsigned char *)"00ff", &total, &declared),
                         FRAME_WHOLE);
        assert_int_equal(total, 4 + 255);
}

static void a_length_that_counts_itself_cannot_be_less_than_itself(void **unused)
{
        struct frame_spec spec = {
                .length_size = 4, .length_adjust = -4, .max_message_size = 1 << 20};
        uint64_t total, declared;

        (void)unused;
        for (unsigned char length = 0; length < 4; length++) {
                unsigned char bytes[] = {0, 0, 0, length};
                uint64_t frames = 0;

                assert_int_equal(frame_measure(&spec, bytes, &total, &declared), FRAME_BROKEN);
                assert_int_equal(declared, length);
                assert_int_equal(frame_walk(&spec, bytes, 4, FRAME_NO_RANGE, &frames), 0);
        }
        assert_int_equal(frame_next(&spec, (unsigned char[]){0, 0, 0, 4}, 4, &total), FRAME_WHOLE);
        assert_int_equal(total, 4);
}

static void the_greatest_length_that_a_field_can_say_does_no_harm(void **unused)
{
        static const unsigned char bytes[FRAME_HEADER_MAX] = {[0 ... FRAME_HEADER_MAX - 1] = 0xff};
        uint64_t total, declared, frames = 0;

        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                enum frame_result result;

                if (spec.type != FRAME_LENGTH)
                        continue;
                spec.max_message_size = 100;
                result = frame_measure(&spec, bytes, &total, &declared);
                on_kind(k,
                        result == (spec.format < FRAME_DECIMAL ? FRAME_TOO_LARGE : FRAME_BROKEN));
                spec.max_message_size = UINT64_MAX;
                on_kind(k, frame_walk(&spec, bytes, sizeof(bytes), FRAME_NO_RANGE, &frames) == 0);
        }
}

static const char *wrap(const struct frame_spec *spec, const void *message, size_t size)
{
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];
        size_t head_size, tail_size;

        return frame_wrap(spec, message, size, head, &head_size, tail, &tail_size);
}

static void what_cannot_be_a_message_is_refused_with_the_reason(void **unused)
{
        struct frame_spec one = {.length_size = 1, .max_message_size = 1000};
        struct frame_spec digits = {
                .length_size = 2, .format = FRAME_DECIMAL, .max_message_size = 1000};
        struct frame_spec more = {.length_size = 2, .length_adjust = 3, .max_message_size = 1000};
        char bytes[1001];

        (void)unused;
        memset(bytes, 'x', sizeof(bytes));
        assert_null(wrap(&one, bytes, 255));
        assert_non_null(strstr(wrap(&one, bytes, 256), "length field"));
        assert_non_null(strstr(wrap(&one, bytes, 1001), "MaxMessageSize"));
        assert_null(wrap(&digits, bytes, 99));
        assert_non_null(strstr(wrap(&digits, bytes, 100), "length field"));
        assert_non_null(strstr(wrap(&more, bytes, 2), "length field"));
        assert_null(wrap(&more, bytes, 3));
}

static void a_message_with_an_offset_is_one_whole_frame(void **unused)
{
        const struct frame_spec modbus = {
                .length_size = 2, .length_offset = 4, .max_message_size = 20};

        (void)unused;
        assert_null(wrap(&modbus, "\0\1\0\0\0\2ab", 8));
        assert_null(wrap(&modbus, "\0\1\0\0\0\0", 6));
        assert_non_null(strstr(wrap(&modbus, "\0\1\0\0\0\2abc", 9), "LengthOffset"));
        assert_non_null(strstr(wrap(&modbus, "\0\1\0\0\0\2a", 7), "LengthOffset"));
        assert_non_null(strstr(wrap(&modbus, "\0\1\0\0\0", 5), "LengthOffset"));
        assert_non_null(strstr(wrap(&modbus, "", 0), "LengthOffset"));
        assert_non_null(
                strstr(wrap(&modbus, "\0\1\0\0\0\25abcdefghijklmnopqrstu", 27), "MaxMessageSize"));
}

/* Says for every text of up to six letters whether what is wrapped reads back as itself. */
static void a_text_is_refused_exactly_where_it_would_not_read_back(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                unsigned char letters[FRAME_DELIMITER_MAX + 1], text[16];
                uint32_t d = k->spec.delimiter_size, n = d + 1, all = 1;

                if (k->spec.type != FRAME_DELIMITER)
                        continue;
                memcpy(letters, k->spec.delimiter, d);
                letters[d] = 'x';
                for (size_t size = 0; size <= 6; size++, all *= n) {
                        for (uint32_t pick = 0; pick < all; pick++) {
                                uint32_t rest = pick;

                                for (size_t i = 0; i < size; i++, rest /= n)
                                        text[i] = letters[rest % n];
                                memcpy(text + size, k->spec.delimiter, d);
                                on_kind(k, (wrap(&k->spec, text, size) == NULL) ==
                                                   (frame_at(&k->spec, text, size + d, 0) ==
                                                    size + d));
                        }
                }
        }
}

static void a_stream_of_something_else_is_told_by_its_name(void **unused)
{
        static const struct {
                const char *bytes, *said;
                size_t size;
        } guesses[] = {
#define GUESS(text, said) {text, said, sizeof(text) - 1}
                GUESS("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
                GUESS("POST /v1/x HTTP/1.1\r\n", "HTTP"),
                GUESS("HTTP/1.1 400 Bad Request\r\n", "HTTP"),
                GUESS("CONNECT example.org:443 HTTP/1.1\r\n", "HTTP"),
                GUESS("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
                GUESS("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS hello"),
                GUESS("\x16\x03\x01", "TLS hello"),
                GUESS("\x15\x03\x03\x00\x02\x02\x28", "TLS alert"),
                GUESS("$GPGGA,123519,4807.038,N\r\n", "lines of text"),
                GUESS("{\"hello\": 1}\n", "lines of text"),
                GUESS("SSH-2.0-OpenSSH_9.2p1\r\n", "lines of text"),
                GUESS("\x05\0\0\0hello", "little-endian"),
                GUESS("\x05\0\0\0hello\x02\0\0\0ab\x01\0\0\0x\x09\0\0\0par", "little-endian"),
#undef GUESS
        };
        const unsigned char *none = (const unsigned char *)"\xff\xfe\xfd\xfc\0\0\0\0\1";

        (void)unused;
        for (size_t i = 0; i < sizeof(guesses) / sizeof(*guesses); i++) {
                const char *said =
                        frame_guess(&frame_spec_default, (const unsigned char *)guesses[i].bytes,
                                    guesses[i].size);

                if (!said || !strstr(said, guesses[i].said))
                        fail_msg("%s was told as %s", guesses[i].bytes, said ? said : "nothing");
        }
        for (size_t n = 0; n < 9; n++)
                assert_null(frame_guess(&frame_spec_default, none, n));
}

static void a_two_byte_length_taken_for_four_is_told(void **unused)
{
        static const struct frame_spec two = {.length_size = 2, .max_message_size = 65535};
        static const struct frame_spec four_little = {
                .length_size = 4, .format = FRAME_LITTLE, .max_message_size = 16 << 20};
        struct stream s = {0};
        unsigned char *body = calloc(1, 400);
        uint64_t total;
        const char *said;

        (void)unused;
        memset(body, 0xee, 400);
        stream_frame(&s, &two, body, 400);
        assert_int_equal(frame_next(&frame_spec_default, s.bytes, s.size, &total), FRAME_TOO_LARGE);
        said = frame_guess(&frame_spec_default, s.bytes, s.size);
        assert_non_null(said);
        assert_non_null(strstr(said, "2-byte"));
        said = frame_guess(&four_little, s.bytes, s.size);
        assert_non_null(said);
        assert_non_null(strstr(said, "2-byte"));
        /* Some, and the beginning of one more. */
        for (size_t i = 1; i < 4; i++)
                stream_frame(&s, &two, body, 100 * i);
        said = frame_guess(&frame_spec_default, s.bytes, s.size - 7);
        assert_non_null(said);
        assert_non_null(strstr(said, "2-byte"));
        stream_done(&s);
        /* And the other way round. */
        stream_frame(&s, &frame_spec_default, body, 300);
        said = frame_guess(&four_little, s.bytes, s.size);
        assert_non_null(said);
        assert_non_null(strstr(said, "big-endian"));
        stream_done(&s);
        free(body);
}

static void a_guess_reads_nothing_beyond_its_bytes(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                for (int round = 0; round < 200; round++) {
                        size_t size = random_below(100);
                        unsigned char *bytes = malloc(size + !size);

                        for (size_t i = 0; i < size; i++)
                                bytes[i] = (unsigned char)(random_one_in(2) ? random_below(4)
                                                                            : random_number());
                        frame_guess(&k->spec, bytes, size);
                        free(bytes);
                }
        }
}

static void a_spec_is_told_in_words(void **unused)
{
        static const struct {
                const char *name, *text;
        } told[] = {
                {"u32", "length 4 big"},
                {"Modbus TCP", "length 2 big at 4"},
                {"4 hex digits", "length 4 hex"},
                {"u16 little that counts all", "length 2 little at 3 adjust -5"},
                {"u16 before a trailer of 3", "length 2 big adjust +3"},
                {"CR LF", "delimiter \\r\\n"},
                {"aab", "delimiter aab"},
                {"a zero and a one", "delimiter \\x00\\x01"},
        };
        char text[64], small[9];

        (void)unused;
        for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++) {
                const struct kind *k = kinds;

                while (strcmp(k->name, told[i].name) != 0)
                        k++;
                frame_spec_text(&k->spec, text, sizeof(text));
                assert_string_equal(text, told[i].text);
                frame_spec_text(&k->spec, small, sizeof(small));
                assert_memory_equal(small, text, sizeof(small) - 1);
                assert_int_equal(small[8], 0);
        }
}

static void two_specs_are_the_same_wire_only_if_they_are(void **unused)
{
        struct frame_spec larger = frame_spec_default;

        (void)unused;
        for (size_t i = 0; i < n_kinds; i++)
                for (size_t j = 0; j < n_kinds; j++)
                        assert_int_equal(frame_spec_same(&kinds[i].spec, &kinds[j].spec), i == j);
        larger.max_message_size *= 2;
        larger.delimiter_size = 1; /* says nothing where lengths are */
        assert_true(frame_spec_same(&larger, &frame_spec_default));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_frame_is_whole_with_its_last_byte_and_not_before),
                cmocka_unit_test(a_wrapped_message_is_what_another_encoder_writes),
                cmocka_unit_test(a_walk_takes_what_is_whole_at_every_cut),
                cmocka_unit_test(a_walk_stops_in_front_of_bodies_that_are_looked_for),
                cmocka_unit_test(the_largest_message_is_taken_and_one_byte_more_is_refused),
                cmocka_unit_test(an_endless_line_is_refused_before_its_end),
                cmocka_unit_test(a_length_that_is_no_number_is_broken),
                cmocka_unit_test(a_length_that_counts_itself_cannot_be_less_than_itself),
                cmocka_unit_test(the_greatest_length_that_a_field_can_say_does_no_harm),
                cmocka_unit_test(what_cannot_be_a_message_is_refused_with_the_reason),
                cmocka_unit_test(a_message_with_an_offset_is_one_whole_frame),
                cmocka_unit_test(a_text_is_refused_exactly_where_it_would_not_read_back),
                cmocka_unit_test(a_stream_of_something_else_is_told_by_its_name),
                cmocka_unit_test(a_two_byte_length_taken_for_four_is_told),
                cmocka_unit_test(a_guess_reads_nothing_beyond_its_bytes),
                cmocka_unit_test(a_spec_is_told_in_words),
                cmocka_unit_test(two_specs_are_the_same_wire_only_if_they_are),
        };

        random_start("frame");
        return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
