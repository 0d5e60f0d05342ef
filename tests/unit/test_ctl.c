/* SPDX-License-Identifier: MIT */
/* The parts of ftcpctl that need neither a daemon nor a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/peer/encode.h"
#include "ctl/peer/script.h"
#include "ctl/show/event_text.h"
#include "ctl/show/rates.h"
#include "ctl/show/screen.h"
#include "ctl/show/show.h"
#include "ctl/top/top.h"

static void spans_are_told_in_at_most_two_units(void **state)
{
        static const struct {
                uint64_t usec;
                const char *text;
        } cases[] = {
                {0, "0us"},
                {999, "999us"},
                {1234, "1.2ms"},
                {12345, "12ms"},
                {999999, "999ms"},
                {1000000, "1.0s"},
                {59999999, "59s"},
                {60000000, "1min 0s"},
                {3599000000, "59min 59s"},
                {3600000000, "1h 0min"},
                {86400000000, "1d 0h"},
                {UINT64_MAX, "213503982d"},
        };
        char text[SHOW_SIZE];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
                assert_string_equal(show_span(cases[i].usec, text), cases[i].text);
}

static void sizes_and_numbers_keep_three_digits(void **state)
{
        char text[SHOW_SIZE];

        (void)state;
        assert_string_equal(show_bytes(1023, text), "1023");
        assert_string_equal(show_bytes(1024, text), "1.00K");
        assert_string_equal(show_bytes(16 << 20, text), "16.0M");
        assert_string_equal(show_bytes(UINT64_MAX, text), "16.0E");
        assert_string_equal(show_number(999999, text), "999999");
        assert_string_equal(show_number(1230000, text), "1.23M");
        assert_string_equal(show_number(UINT64_MAX, text), "18.4E");
}

static void assert_safe(const void *data, size_t size, size_t max, const char *expected)
{
        char *text = NULL;
        size_t n = 0;
        FILE *to = open_memstream(&text, &n);

        show_safe(to, data, size, max);
        fclose(to);
        assert_string_equal(text, expected);
        free(text);
}

static void bytes_of_others_are_shown_without_harm(void **state)
{
        (void)state;
        assert_safe("a\033[m\0\n\\", 7, 99, "a\\x1b[m\\x00\\n\\");
        assert_safe("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9f", 15, 99,
                    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9f");
        assert_safe("\xc2\x9b", 2, 99, "\\xc2\\x9b");          /* a C1 control */
        assert_safe("\xc0\x8a\xff", 3, 99, "\\xc0\\x8a\\xff"); /* overlong, and no UTF-8 */
        assert_safe("\xed\xa0\x80", 3, 99, "\\xed\\xa0\\x80"); /* a surrogate */
        assert_safe("\xe2\x80\xae", 3, 99, "\\xe2\\x80\\xae"); /* turns what follows around */
        assert_safe("x\xe2\x82", 3, 99, "x\\xe2\\x82");        /* cut off */
        assert_safe("0123456789", 10, 4, "0123... (10 bytes)");
}

static void wrapped_words_stay_within_the_width(void **state)
{
        char *text = NULL;
        size_t n = 0;
        FILE *to = open_memstream(&text, &n);

        (void)state;
        show_wrapped(to, "one two  three four", 4, 2, 10);
        show_wrapped(to, "", 4, 2, 10);
        fclose(to);
        assert_string_equal(text, "one\n  two\n  three\n  four\n\n");
        free(text);
}

static void a_screen_of_nothing_and_of_nonsense_is_drawn(void **state)
{
        static const char *const replies[] = {
                "{}",
                "{\"upstream\":[],\"toUpstream\":{\"dropped\":[1,{}]},\"reasons\":[1]}",
                "{\"upstream\":{\"state\":7,\"partial\":{},\"stateUsec\":-1,\"rttUsec\":-5}}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
                json_t *reply = json_loads(replies[i], 0, NULL);
                char *text = NULL;
                size_t n = 0;
                FILE *to = open_memstream(&text, &n);

                struct screen screen = {reply, reply, reply, reply, true};

                screen_status(to, &screen);
                fclose(to);
                assert_non_null(strstr(text, "to clients"));
                free(text);
                json_decref(reply);
        }
}

/* The lines of the screen's events; to be freed. */
static char *event_lines(const char *json)
{
        json_t *events = json_loads(json, 0, NULL);
        char *text = NULL;
        size_t n = 0;
        FILE *to = open_memstream(&text, &n);

        assert_non_null(events);
        event_screen(to, events, 8, 40);
        fclose(to);
        json_decref(events);
        return text;
}

#define REFUSED "{\"kind\":\"link\",\"state\":\"waiting\",\"cause\":\"refused\",\"text\":\"x\"}"
#define STEP    "{\"kind\":\"link\",\"state\":\"connecting\",\"cause\":\"none\",\"text\":\"y\"}"
#define UP      "{\"kind\":\"link\",\"state\":\"up\",\"cause\":\"none\",\"text\":\"old\"}"

static void the_last_events_are_shown_without_steps_and_repeats(void **state)
{
        char *text;

        (void)state;
        setenv("TZ", "UTC", 1);
        text = event_lines("[" UP "," REFUSED "," STEP "," REFUSED "]");
        assert_string_equal(text, "\nevents  Jan 01 00:00:00 link    up: old\n"
                                  "        Jan 01 00:00:00 link    2 times\n"
                                  "                                waiting\n"
                                  "                                (refused):\n"
                                  "                                x\n");
        free(text);
        text = event_lines("[" STEP "]");
        assert_string_equal(text, "");
        free(text);
        text = event_lines(
                "[1,{},{\"kind\":7,\"text\":[]},{\"timeUsec\":-1,\"text\":\"\\u001b\"}]");
        assert_null(strchr(text, '\033'));
        free(text);
        text = event_lines("{}");
        assert_string_equal(text, "");
        free(text);
}

#define AT(seq, state, time)                                                                       \
        "{\"seq\":" #seq ",\"kind\":\"link\",\"state\":\"" state "\",\"timeUsec\":" #time "000000" \
        "}"

static void assert_down(const char *json, const char *expected)
{
        json_t *events = json_loads(json, 0, NULL);
        char text[96];

        assert_int_equal(event_down_text(events, 100000000, text, sizeof(text)), *expected != '\0');
        assert_string_equal(text, expected);
        json_decref(events);
}

static void a_link_is_down_since_it_was_last_up_and_not_since_its_last_step(void **state)
{
        (void)state;
        setenv("TZ", "UTC", 1);
        assert_down("[" AT(7, "up", 5) "," AT(8, "waiting", 10) "," AT(9, "connecting", 70) "]",
                    "for 1min 30s, since 00:00:10");
        assert_down("[" AT(1, "resolving", 40) "," AT(2, "waiting", 50) "]",
                    "for 1min 0s, since 00:00:40");
        assert_down("[" AT(8, "waiting", 10) "," AT(9, "connecting", 70) "]",
                    "for more than 1min 30s");
        assert_down("[" AT(7, "held", 5) "," AT(8, "connecting", 98) "]",
                    "for 2.0s, since 00:01:38");
        assert_down("[" AT(7, "waiting", 5) "," AT(8, "up", 98) "]", "");
        assert_down("[" AT(1, "waiting", 200) "]", ""); /* the clock was set back */
        assert_down("[]", "");
        assert_down("[{\"kind\":\"link\"}, 7]", "");
}

static void what_an_event_says_already_is_not_said_twice(void **state)
{
        static const char *const cases[][2] = {
                {"{\"state\":\"held\",\"cause\":\"held\",\"text\":\"held by root: cable\"}",
                 "held by root: cable"},
                {"{\"state\":\"waiting\",\"cause\":\"reset\",\"text\":\"x\"}",
                 "waiting (reset): x"},
                {"{\"state\":\"up\",\"cause\":\"none\",\"text\":\"upper\"}", "up: upper"},
        };
        char text[64];

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                json_t *event = json_loads(cases[i][0], 0, NULL);

                event_words(event, text, sizeof(text));
                assert_string_equal(text, cases[i][1]);
                json_decref(event);
        }
        event_loss("held", "held by root", text, sizeof(text));
        assert_string_equal(text, "held by root");
        event_loss("reset", "by the peer", text, sizeof(text));
        assert_string_equal(text, "reset: by the peer");
}

static struct frame_spec spec_of(enum frame_format format, uint32_t size, uint32_t offset,
                                 int64_t adjust)
{
        struct frame_spec spec = frame_spec_default;

        spec.format = format;
        spec.length_size = size;
        spec.length_offset = offset;
        spec.length_adjust = adjust;
        return spec;
}

static void a_numbered_frame_is_whole_in_every_kind(void **state)
{
        struct frame_spec delimiter = {.type = FRAME_DELIMITER,
                                       .delimiter = "\r\n",
                                       .delimiter_size = 2,
                                       .max_message_size = 1000};
        const struct frame_spec specs[] = {
                frame_spec_default,
                spec_of(FRAME_LITTLE, 2, 0, 0),
                spec_of(FRAME_BIG, 2, 4, 0),
                spec_of(FRAME_BIG, 4, 0, -4),
                spec_of(FRAME_DECIMAL, 4, 0, 0),
                spec_of(FRAME_HEX, 3, 2, -5),
                delimiter,
        };

        (void)state;
        for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
                for (size_t size = 0; size < 300; size += 7) {
                        size_t whole = encode_numbered_size(&specs[i], size);
                        unsigned char *frame = malloc(whole + 1);
                        uint64_t total;

                        encode_numbered(&specs[i], 12345, size, frame);
                        assert_int_equal(frame_next(&specs[i], frame, whole, &total), FRAME_WHOLE);
                        assert_int_equal(total, whole);
                        free(frame);
                }
        }
}

static void a_length_is_written_as_it_is_told(void **state)
{
        struct frame_spec decimal = spec_of(FRAME_DECIMAL, 4, 2, -6);
        unsigned char head[FRAME_HEADER_MAX];

        (void)state;
        assert_int_equal(encode_length(&frame_spec_default, UINT32_MAX, head), 4);
        assert_memory_equal(head, "\xff\xff\xff\xff", 4);
        assert_int_equal(encode_length(&frame_spec_default, (uint64_t)UINT32_MAX + 1, head), 0);
        assert_int_equal(encode_length(&decimal, 9999, head), 6);
        assert_memory_equal(head,
                            "\0\0"
                            "9999",
                            6);
        assert_int_equal(encode_length(&decimal, 10000, head), 0);
}

static void a_bar_shows_a_little_and_is_full_only_when_it_is(void **state)
{
        char text[SHOW_SIZE];

        (void)state;
        assert_string_equal(show_bar(0, 100, 4, text), "....");
        assert_string_equal(show_bar(1, 1000000, 4, text), "#...");
        assert_string_equal(show_bar(50, 100, 4, text), "##..");
        assert_string_equal(show_bar(99, 100, 4, text), "###.");
        assert_string_equal(show_bar(100, 100, 4, text), "####");
        assert_string_equal(show_bar(UINT64_MAX, 1, 4, text), "####");
        assert_string_equal(show_bar(0, 0, 4, text), "....");
        assert_int_equal(show_percent(1, 3), 33);
        assert_int_equal(show_percent(UINT64_MAX, 1), 999);
        assert_int_equal(show_percent(7, 0), 0);
}

static json_t *counts(json_int_t uptime, json_int_t in, json_int_t out)
{
        return json_pack("{s:I, s:{s:{s:I, s:I}, s:{s:I, s:I}}}", "uptimeUsec", uptime, "upstream",
                         "received", "messages", in, "bytes", in * 10, "sent", "messages", out,
                         "bytes", out * 100);
}

static void rates_are_told_between_two_replies_of_one_daemon_only(void **state)
{
        json_t *before = counts(1000000, 100, 7), *after = counts(1500000, 150, 8);
        struct rates rates = rates_between(before, after);

        (void)state;
        assert_true(rates.known);
        assert_int_equal(rates.in.messages, 100);
        assert_int_equal(rates.in.bytes, 1000);
        assert_int_equal(rates.out.messages, 2);
        assert_int_equal(rates.out.bytes, 200);
        assert_false(rates_between(after, before).known);
        assert_false(rates_between(before, before).known);
        assert_false(rates_between(NULL, after).known);
        json_decref(after);
        after = counts(2000000, 99, 8);
        assert_false(rates_between(before, after).known);
        json_decref(before);
        json_decref(after);
}

static char *drawn(struct top *top, int rows, int columns)
{
        char *text = NULL;
        size_t size = 0;
        FILE *to = open_memstream(&text, &size);

        top_draw(to, top, rows, columns, false, false);
        fclose(to);
        return text;
}

static void histograms_are_drawn_where_the_daemon_has_them(void **state)
{
        struct top top = {.interval_usec = 1000000};
        json_t *latency =
                json_pack("{s:[{s:s, s:i, s:i, s:i, s:i, s:i}, {s:s, s:i}]}", "histograms", "name",
                          "heartbeat", "count", 3, "minUsec", 20, "medianUsec", 30, "p99Usec", 4000,
                          "maxUsec", 5000000, "name", "never", "count", 0);
        char *text;

        (void)state;
        top_take(&top, counts(1000000, 0, 0), NULL, latency);
        text = drawn(&top, 24, 80);
        assert_non_null(strstr(text, "heartbeat      min 20us, median 30us, p99 4.0ms, max 5.0s"));
        assert_null(strstr(text, "never"));
        free(text);
        top_take(&top, counts(2000000, 50, 0), NULL, NULL);
        text = drawn(&top, 24, 80);
        assert_null(strstr(text, "median"));
        assert_non_null(strstr(text, "received          50/s       500/s"));
        free(text);
        top_done(&top);
}

static void a_screen_of_any_size_and_of_nonsense_is_drawn(void **state)
{
        static const char *const replies[] = {"{}", "{\"upstream\": 7, \"reasons\": {}}",
                                              "{\"toUpstream\": {\"limitBytes\": -1}}"};
        json_t *odd = json_pack("[i, {}, {s:i, s:s, s:{s:I}}]", 3, "id", -7, "program", "\033[31m",
                                "queued", "bytes", (json_int_t)-1);

        (void)state;
        for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++) {
                struct top top = {0};

                for (int n = 0; n < TOP_HISTORY + 9; n++)
                        top_take(&top, json_loads(replies[i], 0, NULL), json_incref(odd),
                                 json_incref(odd));
                top_lost(&top, "why");
                for (int rows = 1; rows < 40; rows += 3)
                        for (int columns = 1; columns < 600; columns += 97) {
                                char *text = drawn(&top, rows, columns);
                                int lines = 1;

                                for (const char *p = text; *p; p++)
                                        lines += *p == '\n';
                                assert_int_equal(lines, rows);
                                assert_null(strstr(text, "\033[31m"));
                                free(text);
                        }
                top_done(&top);
        }
        json_decref(odd);
}

/* A top of `n` clients. */
static struct top crowd(int n)
{
        struct top top = {.interval_usec = 1000000};
        json_t *clients = json_array();

        for (int i = 1; i <= n; i++)
                json_array_append_new(clients, json_pack("{s:i, s:s}", "id", i, "program", "prog"));
        top_take(&top, counts(1000000, 0, 0), clients, NULL);
        return top;
}

static void assert_drawn(struct top *top, int rows, int columns, const char *there,
                         const char *absent)
{
        char *text = drawn(top, rows, columns);

        if (!strstr(text, there) || (absent && strstr(text, absent)))
                fail_msg("expected %s and not %s in:\n%s", there, absent ? absent : "", text);
        free(text);
}

static void the_clients_that_have_no_room_are_scrolled_to(void **state)
{
        struct top top = crowd(100);
        json_t *few;

        (void)state;
        assert_drawn(&top, 24, 80, "     1 ", "   100 ");
        assert_drawn(&top, 24, 80, "more: arrow keys", " above");
        assert_true(top_keys(&top, "\033[B", 3));
        assert_drawn(&top, 24, 80, "... 1 above and ", "     1 ");
        assert_true(top_keys(&top, "\033[6~\033[5~", 8));
        assert_drawn(&top, 24, 80, "... 1 above and ", "     1 ");
        assert_true(top_keys(&top, "\033OF", 3));
        assert_drawn(&top, 24, 80, "   100 ", "     1 ");
        assert_true(top_keys(&top, "\033OA", 3));
        assert_drawn(&top, 24, 80, "and 1 below", "   100 ");
        assert_true(top_keys(&top, "\033[24~q", 6)); /* another function key is no command */
        assert_true(top_keys(&top, "\033[1~", 4));
        assert_drawn(&top, 24, 80, "     1 ", " above");
        assert_false(top_keys(&top, "\033[Bq", 4));
        top_keys(&top, "\033[F", 3);
        few = json_pack("[{s:i}]", "id", 7);
        top_take(&top, counts(2000000, 0, 0), few, NULL);
        assert_drawn(&top, 24, 80, "     7 ", " above");
        top_done(&top);
}

static void a_narrow_screen_drops_columns_and_wraps_reasons(void **state)
{
        struct top top = crowd(3);
        json_t *reasons = json_pack("[{s:s}]", "text",
                                    "the link has not been up for an hour, and this is the why");

        (void)state;
        json_object_set_new(top.status, "reasons", reasons);
        assert_drawn(&top, 24, 80, "PID", NULL);
        assert_drawn(&top, 24, 79, "DROPPED", "PID");
        assert_drawn(&top, 24, 40, "PROGRAM", "DROPPED");
        assert_drawn(&top, 24, 40, "QUEUED", "OUT/s");
        assert_drawn(&top, 24, 40, "the why", "up for an hour, and this is the why");
        top_keys(&top, "d", 1);
        assert_drawn(&top, 24, 40, "*DROPPED", "QUEUED");
        /* On a short one the clients are seen too. */
        assert_drawn(&top, 12, 80, "     2 ", NULL);
        top_done(&top);
}

static void what_an_absent_daemon_said_last_is_told_to_be_old(void **state)
{
        struct top top = crowd(3);
        char *text = NULL;
        size_t size = 0;
        FILE *to = open_memstream(&text, &size);

        (void)state;
        top_lost(&top, "not there");
        top_draw(to, &top, 24, 80, true, false);
        fclose(to);
        assert_non_null(strstr(text, "NO FTCPD   waiting for it: not there"));
        assert_non_null(strstr(text, "below is what it said last, "));
        assert_non_null(strstr(text, "\033[2m     2 "));
        assert_non_null(strstr(text, "\033[1mq quit"));
        free(text);
        top_done(&top);
}

static const char *parse(struct script *script, const char *text)
{
        static char words[256];
        FILE *from = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
        const char *error = script_parse(script, from, &frame_spec_default, words, sizeof(words));

        fclose(from);
        return error;
}

static void a_script_becomes_parts_and_steps(void **state)
{
        struct script script;

        (void)state;
        assert_null(parse(&script, "# story\n"
                                   "accept\r\n"
                                   "\texpect \"a b\"\n"
                                   "split 1 2\n"
                                   "repeat 3 send x\\ty\n"
                                   "accept\n"
                                   "expect\n"
                                   "length 99 z\n"
                                   "stall 1min 2s\n"
                                   "close"));
        assert_int_equal(script.n_parts, 2);
        assert_int_equal(script.parts[0].n, 2);
        assert_int_equal(script.parts[1].first, 2);
        assert_int_equal(script.parts[1].n, 4);
        assert_int_equal(script.steps[0].op, SCRIPT_EXPECT);
        assert_memory_equal(script.steps[0].data, "a b", 3);
        assert_int_equal(script.steps[0].line, 3);
        assert_int_equal(script.steps[1].op, SCRIPT_SEND);
        assert_int_equal(script.steps[1].repeat, 3);
        assert_int_equal(script.steps[1].n_pieces, 2);
        assert_int_equal(script.steps[1].size, 7);
        assert_memory_equal(script.steps[1].data, "\0\0\0\3x\ty", 7);
        assert_int_equal(script.steps[2].op, SCRIPT_EXPECT_ANY);
        assert_int_equal(script.steps[3].op, SCRIPT_SEND_BROKEN);
        assert_memory_equal(script.steps[3].data, "\0\0\0\143z", 5);
        assert_int_equal(script.steps[4].number, 62000000);
        script_done(&script);
}

static void a_part_may_be_empty_and_comes_behind_what_has_no_accept(void **state)
{
        struct script script;

        (void)state;
        assert_null(parse(&script, "send a\naccept\naccept\nsend b\n"));
        assert_int_equal(script.n_parts, 3);
        assert_int_equal(script.parts[0].n, 1);
        assert_int_equal(script.parts[1].n, 0);
        assert_int_equal(script.parts[2].first, 1);
        script_done(&script);
}

static void an_error_in_a_script_is_told_with_its_line(void **state)
{
        static const char *const bad[] = {"send\nnonsense", "send\nsend \\q", "send\nsplit",
                                          "send\nrepeat", "send\nsend-hex"};
        struct script script;

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                const char *error = parse(&script, bad[i]);

                assert_non_null(error);
                assert_int_equal(strncmp(error, "line 2: ", 8), 0);
                script_done(&script);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(spans_are_told_in_at_most_two_units),
                cmocka_unit_test(sizes_and_numbers_keep_three_digits),
                cmocka_unit_test(bytes_of_others_are_shown_without_harm),
                cmocka_unit_test(wrapped_words_stay_within_the_width),
                cmocka_unit_test(a_screen_of_nothing_and_of_nonsense_is_drawn),
                cmocka_unit_test(the_last_events_are_shown_without_steps_and_repeats),
                cmocka_unit_test(a_link_is_down_since_it_was_last_up_and_not_since_its_last_step),
                cmocka_unit_test(what_an_event_says_already_is_not_said_twice),
                cmocka_unit_test(the_clients_that_have_no_room_are_scrolled_to),
                cmocka_unit_test(a_narrow_screen_drops_columns_and_wraps_reasons),
                cmocka_unit_test(what_an_absent_daemon_said_last_is_told_to_be_old),
                cmocka_unit_test(a_numbered_frame_is_whole_in_every_kind),
                cmocka_unit_test(a_length_is_written_as_it_is_told),
                cmocka_unit_test(a_bar_shows_a_little_and_is_full_only_when_it_is),
                cmocka_unit_test(rates_are_told_between_two_replies_of_one_daemon_only),
                cmocka_unit_test(histograms_are_drawn_where_the_daemon_has_them),
                cmocka_unit_test(a_screen_of_any_size_and_of_nonsense_is_drawn),
                cmocka_unit_test(a_script_becomes_parts_and_steps),
                cmocka_unit_test(a_part_may_be_empty_and_comes_behind_what_has_no_accept),
                cmocka_unit_test(an_error_in_a_script_is_told_with_its_line),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
