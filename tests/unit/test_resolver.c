/* SPDX-License-Identifier: MIT */
/*
 * The resolver's questions and answers, above a getaddrinfo() of this test: each call waits until
 * the test answers it. A resolver that needs 20 s, as with a dead name server, was asked again
 * every 10 s, and each answer was thrown away: the link never came up.
 */
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "edge/resolver.h"
#include "util/clock.h"

enum { CALLS = 32, WAITS = -12345 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned n_calls, n_left;
static char hosts[CALLS][32];
static int results[CALLS]; /* WAITS: the call goes on */

static struct event_base *base;
static struct resolver *resolver;
static unsigned answers;
static const char *last_wrong;
static size_t last_n;

static struct addrinfo *new_address(unsigned number)
{
        struct addrinfo *found = calloc(1, sizeof(*found) + sizeof(struct sockaddr_in));
        struct sockaddr_in *address = (struct sockaddr_in *)(found + 1);

        *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = (in_port_t)number};
        found->ai_addr = (struct sockaddr *)address;
        found->ai_addrlen = sizeof(*address);
        return found;
}

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **found)
{
        unsigned call;
        int result;

        (void)port;
        (void)hints;
        pthread_mutex_lock(&mutex);
        call = n_calls++;
        assert(call < CALLS);
        strncpy(hosts[call], host, sizeof(hosts[call]) - 1);
        pthread_cond_broadcast(&changed);
        while (results[call] == WAITS)
                pthread_cond_wait(&changed, &mutex);
        result = results[call];
        n_left++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        if (result == 0)
                *found = new_address(call);
        return result;
}

void freeaddrinfo(struct addrinfo *found)
{
        free(found);
}

static void wait_for_calls(unsigned n)
{
        pthread_mutex_lock(&mutex);
        while (n_calls < n)
                pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
}

/* Asks, and waits for the call of getaddrinfo() with the question. */
static unsigned ask(const char *host)
{
        unsigned call = n_calls;

        assert_int_equal(resolver_ask(resolver, host, "1"), 0);
        assert_true(resolver_is_asked(resolver));
        wait_for_calls(call + 1);
        assert_string_equal(hosts[call], host);
        return call;
}

/* Ends a call of getaddrinfo(), and waits until the event loop has the answer. */
static void end_call(unsigned call, int result)
{
        pthread_mutex_lock(&mutex);
        results[call] = result;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
        event_base_loop(base, EVLOOP_ONCE);
}

static void on_answer(void *context, const char *wrong, struct address_list *addresses)
{
        (void)context;
        answers++;
        last_wrong = wrong;
        last_n = addresses->n;
}

static bool takes_late(const char *host, uint64_t since)
{
        struct address_list late = {0};
        bool taken = resolver_take_late(resolver, host, "1", since, &late);

        assert_int_equal(late.n, taken);
        address_list_done(&late);
        return taken;
}

static void a_late_answer_is_kept_for_the_next_attempt(void **state)
{
        unsigned call = ask("a");
        uint64_t before = clock_usec();

        (void)state;
        resolver_abandon(resolver);
        assert_false(resolver_is_asked(resolver));
        end_call(call, 0);
        assert_int_equal(answers, 0);
        assert_false(takes_late("b", 0)); /* a name that a reload brought */
        assert_true(takes_late("a", before));
        assert_false(takes_late("a", 0)); /* once */
}

static void an_old_answer_counts_only_where_the_caller_says_so(void **state)
{
        unsigned call = ask("a");

        (void)state;
        resolver_abandon(resolver);
        end_call(call, 0);
        assert_false(takes_late("a", clock_usec() + 1));
        assert_true(takes_late("a", 0));
}

static void a_late_failure_is_no_answer(void **state)
{
        unsigned call = ask("a");

        (void)state;
        resolver_abandon(resolver);
        end_call(call, EAI_AGAIN);
        assert_int_equal(answers, 0);
        assert_false(takes_late("a", 0));
}

static void an_earlier_question_for_the_same_name_answers_the_next_one(void **state)
{
        unsigned first = ask("a"), second = ask("a");

        (void)state;
        end_call(first, 0);
        assert_int_equal(answers, 1);
        assert_null(last_wrong);
        assert_int_equal(last_n, 1);
        assert_false(resolver_is_asked(resolver));
        end_call(second, 0);
        assert_int_equal(answers, 1);
        assert_true(takes_late("a", 0));
}

static void an_earlier_failure_does_not_end_the_next_question(void **state)
{
        unsigned first = ask("a"), second = ask("a");

        (void)state;
        end_call(first, EAI_AGAIN);
        assert_int_equal(answers, 0);
        end_call(second, EAI_NONAME);
        assert_int_equal(answers, 1);
        assert_non_null(last_wrong);
}

static void an_interface_that_is_not_there_is_told_and_so_is_one_that_does_not_belong(void **state)
{
        static const char *const wrong[][2] = {
                {"fe80::1%nosuch", "no network interface of the name behind %"},
                {"2001:db8::1%lo", "only a link-local address has an interface"},
                {"feed%nosuch", "not known"}};

        (void)state;
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                end_call(ask(wrong[i][0]), EAI_NONAME);
                assert_non_null(strstr(last_wrong, wrong[i][1]));
        }
        end_call(ask(wrong[0][0]), EAI_MEMORY);
        assert_null(strstr(last_wrong, "interface"));
}

static void an_answer_for_another_name_is_none(void **state)
{
        unsigned old = ask("old"), new = ask("new");

        (void)state;
        end_call(old, 0);
        assert_int_equal(answers, 0);
        assert_true(resolver_is_asked(resolver));
        end_call(new, 0);
        assert_int_equal(answers, 1);
}

/* A resolver that hangs for good takes four threads, and the other names have theirs. */
static void questions_that_hang_are_bounded_and_leave_room_for_another_name(void **state)
{
        unsigned hang[4], other;

        (void)state;
        for (size_t i = 0; i < 4; i++)
                hang[i] = ask("a");
        assert_int_equal(resolver_ask(resolver, "a", "1"), 0); /* joins the last one */
        assert_int_equal(n_calls, 4);
        other = ask("b");
        end_call(other, 0);
        assert_int_equal(answers, 1);
        assert_int_equal(resolver_ask(resolver, "a", "1"), 0);
        end_call(hang[0], EAI_AGAIN);
        assert_int_equal(answers, 1);
        end_call(hang[3], EAI_AGAIN);
        assert_int_equal(answers, 2);
        for (size_t i = 1; i < 3; i++)
                end_call(hang[i], EAI_AGAIN);
}

static void a_freed_resolver_waits_for_nobody(void **state)
{
        unsigned call = ask("a");

        (void)state;
        resolver_free(resolver);
        resolver = NULL;
        pthread_mutex_lock(&mutex);
        results[call] = 0;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
}

static int setup(void **state)
{
        (void)state;
        n_calls = n_left = answers = 0;
        last_n = 0;
        last_wrong = NULL;
        for (size_t i = 0; i < CALLS; i++)
                results[i] = WAITS;
        resolver = resolver_new(base, on_answer, NULL);
        return !resolver;
}

/* Threads that still run use the results of their test. */
static int teardown(void **state)
{
        (void)state;
        resolver_free(resolver);
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; i < CALLS; i++)
                results[i] = results[i] == WAITS ? EAI_FAIL : results[i];
        pthread_cond_broadcast(&changed);
        while (n_left < n_calls)
                pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
        return 0;
}

#define resolving(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                resolving(a_late_answer_is_kept_for_the_next_attempt),
                resolving(an_old_answer_counts_only_where_the_caller_says_so),
                resolving(a_late_failure_is_no_answer),
                resolving(an_earlier_question_for_the_same_name_answers_the_next_one),
                resolving(an_earlier_failure_does_not_end_the_next_question),
                resolving(
                        an_interface_that_is_not_there_is_told_and_so_is_one_that_does_not_belong),
                resolving(an_answer_for_another_name_is_none),
                resolving(questions_that_hang_are_bounded_and_leave_room_for_another_name),
                resolving(a_freed_resolver_waits_for_nobody),
        };
        int result;

        base = event_base_new();
        result = cmocka_run_group_tests(tests, NULL, NULL);
        event_base_free(base);
        return result;
}
