/* SPDX-License-Identifier: MIT */
/* Names of users and groups are looked up again until they are found, off the event loop. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "daemon/lookups.h"
#include "edge/resolver.h"
#include "lib/told.h"

static struct event_base *base;
static unsigned rounds;
static unsigned failures; /* of the next threads */
static uint32_t id_of_root;

/* In place of the resolver's. */
int resolver_thread(void *(*run)(void *arg), void *arg)
{
        pthread_t thread;

        if (failures) {
                failures--;
                return -EAGAIN;
        }
        assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
        pthread_detach(thread);
        return 0;
}

static struct config_names names_of(const char *const *who, size_t n)
{
        struct config_names names = {calloc(n, sizeof(struct config_name)), n};

        for (size_t i = 0; i < n; i++)
                names.items[i] = (struct config_name){strdup(who[i]), CONFIG_NO_ID};
        return names;
}

static void on_found(void *context, const struct config_names *names)
{
        (void)context;
        assert_int_equal(names->n, 2);
        assert_string_equal(names->items[0].who, "@no-such-group");
        assert_int_equal(names->items[0].id, CONFIG_NO_ID);
        id_of_root = names->items[1].id;
        if (++rounds == 3)
                event_base_loopbreak(base);
}

static void what_is_unknown_is_asked_for_again_and_again(void **state)
{
        static const char *const who[] = {"@no-such-group", "root"};
        struct lookups *lookups = lookups_new(base, on_found, NULL);
        struct config_names names = names_of(who, 2);

        (void)state;
        rounds = 0;
        id_of_root = CONFIG_NO_ID;
        lookups_set(lookups, &names, 1000);
        assert_int_equal(names.n, 0);
        event_base_dispatch(base);
        assert_int_equal(rounds, 3);
        assert_int_equal(id_of_root, 0);
        lookups_free(lookups); /* a thread may be under way */
}

static void without_threads_it_is_told_once_and_asked_again(void **state)
{
        static const char *const who[] = {"@no-such-group", "root"};
        struct lookups *lookups = lookups_new(base, on_found, NULL);
        struct config_names names = names_of(who, 2);
        const char *said;

        (void)state;
        rounds = 0;
        failures = 3;
        told_begin(LOG_INFO);
        lookups_set(lookups, &names, 1000);
        event_base_dispatch(base);
        said = told_end();
        assert_int_equal(failures, 0);
        assert_int_equal(rounds, 3);
        assert_non_null(strstr(said,
                               "users and groups that are unknown can't be looked up for now: "
                               "no thread can be made: "));
        assert_non_null(strstr(said, "TasksMax="));
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
        lookups_free(lookups);
}

static void without_names_nothing_is_asked(void **state)
{
        static const char *const who[] = {"@no-such-group", "root"};
        const struct timeval soon = {0, 50000};
        struct lookups *lookups = lookups_new(base, on_found, NULL);
        struct config_names names = names_of(who, 2);

        (void)state;
        rounds = 0;
        lookups_set(lookups, &names, 1000);
        lookups_set(lookups, &names, 1000); /* names is empty now */
        event_base_loopexit(base, &soon);
        event_base_dispatch(base);
        assert_int_equal(rounds, 0);
        lookups_free(lookups);
        lookups_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_unknown_is_asked_for_again_and_again),
                cmocka_unit_test(without_threads_it_is_told_once_and_asked_again),
                cmocka_unit_test(without_names_nothing_is_asked),
        };
        int failed;

        base = event_base_new();
        assert_non_null(base);
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        event_base_free(base);
        return failed;
}
