/* SPDX-License-Identifier: MIT */
/* Those who follow the events: what they are told, and what they cost when they do not read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/control_room.h"
#include "wire/varlink.h"

#define MONITOR "{\"method\":\"io.ftcpd.Monitor\",\"more\":true}"
#define HISTORY(n)                                                                                 \
        "{\"method\":\"io.ftcpd.Monitor\",\"more\":true,\"parameters\":{\"history\":" n "}}"
#define RECENT "{\"method\":\"io.ftcpd.RecentEvents\"}"
#define HEALTH "{\"method\":\"io.ftcpd.Health\"}"

enum { LONG = 200 }; /* bytes of a long text */

static void add(enum event_kind kind)
{
        struct image_facts facts = {.time_usec = 1, .kind = kind};
        char text[32];

        snprintf(text, sizeof(text), "event %llu",
                 (unsigned long long)events_last(&fake.events) + 1);
        events_add(&fake.events, &facts, text);
}

static void add_long(void)
{
        char text[LONG + 1];

        memset(text, 'x', LONG);
        text[LONG] = '\0';
        events_add(&fake.events, &(struct image_facts){.kind = EVENT_RELOAD}, text);
}

/* The event of a reply that says that more come; a new reference. */
static json_t *next_event(int fd)
{
        json_t *reply = get(fd), *event;

        assert_true(json_is_true(json_object_get(reply, "continues")));
        event = json_object_get(json_object_get(reply, "parameters"), "event");
        assert_true(json_is_object(event));
        json_incref(event);
        json_decref(reply);
        return event;
}

static uint64_t number(const json_t *event, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(event, key));
}

static void assert_seq(int fd, uint64_t seq)
{
        json_t *event = next_event(fd);

        assert_int_equal(number(event, "seq"), seq);
        json_decref(event);
}

static void assert_silent(int fd)
{
        char byte;

        for (int i = 0; i < 10; i++)
                turn();
        assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), -1);
        assert_int_equal(errno, EAGAIN);
}

static void it_needs_more_and_a_history_that_is_a_number(void **state)
{
        static const char service[] = "org.varlink.service.InvalidParameter";
        int fd = client();

        (void)state;
        call(fd, "{\"method\":\"io.ftcpd.Monitor\"}");
        assert_error(get(fd), "org.varlink.service.ExpectedMore", NULL, NULL);
        call(fd, HISTORY("-1"));
        assert_error(get(fd), service, "parameter", "history");
        call(fd, HISTORY("\"1\""));
        assert_error(get(fd), service, "parameter", "history");
        call(fd, "{\"method\":\"io.ftcpd.Monitor\",\"more\":true,\"parameters\":{\"x\":1}}");
        assert_error(get(fd), service, "parameter", "x");
}

static void without_a_history_the_last_event_of_the_link_comes_first(void **state)
{
        int fd = client(), other = client(), early = client();

        (void)state;
        call(early, MONITOR);
        assert_silent(early); /* there was none yet */
        add(EVENT_SERVICE);
        add(EVENT_LINK);
        add(EVENT_CLIENT);
        call(fd, MONITOR);
        assert_seq(fd, 2);
        assert_silent(fd);
        add(EVENT_DROP);
        assert_seq(fd, 4);
        for (int i = 0; i < 2 * IMAGE_EVENTS; i++) {
                add(EVENT_CLIENT);
                turn();
        }
        call(other, HISTORY("null"));
        assert_seq(other, 2);
        add(EVENT_DROP);
        assert_seq(other, 5 + 2 * IMAGE_EVENTS);
        for (uint64_t seq = 1; seq <= 5 + 2 * IMAGE_EVENTS; seq++)
                assert_seq(early, seq);
}

static void a_history_is_told_from_its_oldest_on_and_then_what_happens(void **state)
{
        int none = client(), two = client(), all = client(), huge = client();

        (void)state;
        for (int i = 0; i < 5; i++)
                add(EVENT_LINK);
        call(none, HISTORY("0"));
        call(two, HISTORY("2"));
        call(all, HISTORY("5"));
        call(huge, HISTORY("9223372036854775807"));
        assert_silent(none);
        add(EVENT_CLIENT);
        for (uint64_t seq = 1; seq <= 6; seq++) {
                assert_seq(all, seq);
                assert_seq(huge, seq);
                if (seq > 3)
                        assert_seq(two, seq);
        }
        assert_seq(none, 6);
        for (int i = 0; i < 300; i++)
                add(EVENT_CLIENT);
        huge = client();
        call(huge, HISTORY("1000"));
        for (uint64_t seq = 51; seq <= 306; seq++)
                assert_seq(huge, seq);
        assert_silent(huge);
}

static void the_last_events_are_listed_in_their_order(void **state)
{
        json_t *reply, *list;
        int fd = client();

        (void)state;
        call(fd, RECENT);
        reply = get(fd);
        list = json_object_get(json_object_get(reply, "parameters"), "events");
        assert_true(json_is_array(list));
        assert_int_equal(json_array_size(list), 0);
        json_decref(reply);
        for (int i = 0; i < 300; i++)
                add(EVENT_CLIENT);
        call(fd, RECENT);
        reply = get(fd);
        list = json_object_get(json_object_get(reply, "parameters"), "events");
        assert_int_equal(json_array_size(list), 256);
        for (size_t i = 0; i < 256; i++)
                assert_int_equal(number(json_array_get(list, i), "seq"), 45 + i);
        json_decref(reply);
}

/* Reads all there is; every number is told or missed. Returns how many were missed. */
static uint64_t follow(int fd, uint64_t from, uint64_t to, unsigned *gaps)
{
        uint64_t missed = 0;

        *gaps = 0;
        while (from <= to) {
                json_t *event = next_event(fd);
                const char *kind = json_string_value(json_object_get(event, "kind"));
                uint64_t n = 1;

                if (strcmp(kind, "gap") == 0) {
                        n = number(event, "missed");
                        missed += n;
                        ++*gaps;
                }
                assert_int_equal(number(event, "seq"), from + n - 1);
                from += n;
                json_decref(event);
        }
        return missed;
}

static void one_that_does_not_read_gets_a_gap_and_costs_no_more_than_a_mib(void **state)
{
        enum { N = 20000 };
        int fd = client(), good = client();
        uint64_t missed;
        unsigned gaps;

        (void)state;
        call(fd, HISTORY("0"));
        call(good, HISTORY("0"));
        for (int i = 0; i < 5; i++)
                turn();
        for (uint64_t i = 1; i <= N; i++) {
                add_long();
                assert_seq(good, i);
        }
        missed = follow(fd, 1, N, &gaps);
        assert_int_equal(gaps, 1);
        /* A MiB of replies, what is kept, and what the kernel holds, of more than LONG bytes each.
         */
        assert_in_range(missed, N - (VARLINK_MESSAGE_MAX + 512 * 1024) / LONG - IMAGE_EVENTS, N);
        add_long();
        assert_seq(fd, N + 1);
}

static void one_that_reads_a_little_at_a_time_gets_whole_events(void **state)
{
        int fd = client();
        unsigned gaps;

        (void)state;
        call(fd, HISTORY("0"));
        for (int i = 0; i < 5; i++)
                turn();
        for (uint64_t i = 1; i <= 4000; i++) {
                add_long();
                turn();
                if (i > 2000 && i % 4)
                        assert_seq(fd, i - 2000 - (i - 2000) / 4);
        }
        assert_int_equal(follow(fd, 1501, 4000, &gaps), 0);
}

static void what_stands_in_front_of_it_is_answered_and_what_stands_behind_it_is_not(void **state)
{
        static const char both[] = HEALTH "\0" HISTORY("0") "\0" HEALTH;
        size_t asked = 0, blocked = 0;
        int fd = client();

        (void)state;
        put(fd, both, sizeof(both));
        assert_result(get(fd));
        assert_silent(fd);
        while (blocked < 100) { /* it is not even read */
                ssize_t n = send(fd, HEALTH, sizeof(HEALTH), MSG_NOSIGNAL);

                asked += n > 0;
                blocked = n > 0 ? 0 : blocked + 1;
                assert_true(asked < 100000);
                turn();
        }
        add(EVENT_CLIENT);
        assert_seq(fd, 1);
        assert_silent(fd);
}

static void a_half_closed_one_is_still_told(void **state)
{
        int fd = client();

        (void)state;
        call(fd, HISTORY("0"));
        shutdown(fd, SHUT_WR);
        assert_silent(fd);
        add(EVENT_CLIENT);
        assert_seq(fd, 1);
}

static void one_that_is_gone_leaves_its_place_though_nothing_happens(void **state)
{
        time_t deadline = now() + DEADLINE_S;
        int fd, got = -1;

        (void)state;
        fake.config.control_max_clients = 1;
        fd = client();
        call(fd, HISTORY("0"));
        assert_silent(fd);
        shutdown(fd, SHUT_RDWR);
        while (got < 0) {
                fd = client();
                call(fd, HEALTH);
                got = get_byte(fd);
                turn_until(deadline);
                if (server.n_fds > 500)
                        fail_msg("its place is not free again");
        }
}

static void those_who_go_without_reading_harm_nobody(void **state)
{
        int fd[20], good = client();

        (void)state;
        call(good, HISTORY("0"));
        for (int i = 0; i < 20; i++) {
                fd[i] = client();
                call(fd[i], HISTORY("100"));
        }
        for (uint64_t i = 1; i <= 2000; i++) {
                add_long();
                assert_seq(good, i);
                if (i % 100 == 50)
                        shutdown(fd[i / 100], SHUT_RDWR);
        }
}

static void oneway_is_told_nothing_and_may_go_on(void **state)
{
        int fd = client();

        (void)state;
        add(EVENT_LINK);
        call(fd, "{\"method\":\"io.ftcpd.Monitor\",\"more\":true,\"oneway\":true}");
        add(EVENT_LINK);
        assert_silent(fd);
        call(fd, HEALTH);
        assert_result(get(fd));
}

static void the_last_words_are_told_before_the_end(void **state)
{
        int fd = client();

        (void)state;
        call(fd, HISTORY("0"));
        assert_silent(fd);
        add(EVENT_SERVICE);
        control_free(server.control);
        server.control = NULL;
        assert_seq(fd, 1);
        assert_ended(fd);
}

/* One that follows at its own pace. */
struct follower {
        int fd;
        uint64_t next; /* number of the event that it is to be told of next */
        uint64_t told, missed;
        char text[65536]; /* replies that are not whole yet */
        size_t size;
};

static void hear(struct follower *follower, const char *text)
{
        json_t *reply = json_loads(text, 0, NULL);
        json_t *event = json_object_get(json_object_get(reply, "parameters"), "event");
        bool gap = strcmp(json_string_value(json_object_get(event, "kind")), "gap") == 0;
        uint64_t n = gap ? number(event, "missed") : 1;

        assert_true(n > 0);
        assert_int_equal(number(event, "seq"), follower->next + n - 1);
        follower->next += n;
        *(gap ? &follower->missed : &follower->told) += n;
        json_decref(reply);
}

/* Reads up to so many bytes. */
static void read_some(struct follower *follower, size_t want)
{
        size_t room = sizeof(follower->text) - follower->size;
        ssize_t n =
                recv(follower->fd, follower->text + follower->size, want < room ? want : room, 0);
        char *end;

        follower->size += n > 0 ? (size_t)n : 0;
        while ((end = memchr(follower->text, 0, follower->size)) != NULL) {
                size_t whole = (size_t)(end - follower->text) + 1;

                hear(follower, follower->text);
                follower->size -= whole;
                memmove(follower->text, follower->text + whole, follower->size);
        }
}

static void begin_to_follow(struct follower *follower, unsigned history)
{
        char text[100];
        uint64_t kept = events_last(&fake.events) + 1 - events_first(&fake.events);

        *follower = (struct follower){.fd = client()};
        snprintf(text, sizeof(text),
                 "{\"method\":\"io.ftcpd.Monitor\",\"more\":true,"
                 "\"parameters\":{\"history\":%u}}",
                 history);
        call(follower->fd, text);
        for (int i = 0; i < 5; i++)
                turn();
        follower->next = events_last(&fake.events) + 1 - (history < kept ? history : kept);
}

static void whatever_pace_it_reads_at_each_event_is_told_or_counted_as_missed(void **state)
{
        enum { N = 12, ROUNDS = 400 }; /* the first follows before there is any event */
        static struct follower followers[N];
        const char *given = getenv("FTCPD_TEST_SEED");
        unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
        uint64_t missed = 0, first[N];

        (void)state;
        printf("# seed %u\n", seed);
        srandom(seed);
        for (int round = 0; round < ROUNDS; round++) {
                if (round % 20 == 0 && round / 20 < N) {
                        begin_to_follow(&followers[round / 20], (unsigned)random() % 400);
                        first[round / 20] = followers[round / 20].next;
                }
                for (long i = random() % (random() % 8 ? 20 : 600); i > 0; i--)
                        add_long();
                if (random() % 3)
                        turn();
                /* The first never reads, the last all the time. */
                for (int i = 1; i < N; i++)
                        if (followers[i].fd && random() % (N - i) == 0)
                                read_some(&followers[i], (size_t)random() % 20000);
        }
        for (int i = 0; i < N; i++) {
                time_t deadline = now() + DEADLINE_S;

                while (followers[i].next <= events_last(&fake.events)) {
                        read_some(&followers[i], sizeof(followers[i].text));
                        turn_until(deadline);
                }
                assert_int_equal(followers[i].told + followers[i].missed,
                                 events_last(&fake.events) + 1 - first[i]);
                missed += followers[i].missed;
                assert_silent(followers[i].fd);
        }
        assert_true(missed > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(it_needs_more_and_a_history_that_is_a_number),
                TEST(without_a_history_the_last_event_of_the_link_comes_first),
                TEST(a_history_is_told_from_its_oldest_on_and_then_what_happens),
                TEST(the_last_events_are_listed_in_their_order),
                TEST(one_that_does_not_read_gets_a_gap_and_costs_no_more_than_a_mib),
                TEST(one_that_reads_a_little_at_a_time_gets_whole_events),
                TEST(what_stands_in_front_of_it_is_answered_and_what_stands_behind_it_is_not),
                TEST(a_half_closed_one_is_still_told),
                TEST(one_that_is_gone_leaves_its_place_though_nothing_happens),
                TEST(whatever_pace_it_reads_at_each_event_is_told_or_counted_as_missed),
                TEST(those_who_go_without_reading_harm_nobody),
                TEST(oneway_is_told_nothing_and_may_go_on),
                TEST(the_last_words_are_told_before_the_end),
        };

        return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
