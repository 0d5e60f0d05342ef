/* SPDX-License-Identifier: MIT */
/*
 * Memory that is short. Once, each of 70 allocations of the configuration's reader ended a daemon
 * that was told to reload; and so did the end of a client whose slabs were too many for a list.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/people.h"
#include "daemon/timers.h"
#include "edge/timer.h"
#include "lib/config_room.h"
#include "lib/often.h"
#include "lib/starve.h"
#include "store/store.h"
#include "wire/varlink.h"

enum { MOST = 100000 }; /* allocations of a load: a guard against a test that never ends */

static void starve_at(uint64_t first, uint64_t many)
{
        starve->seen = starve->failed = 0;
        starve->many = many;
        __atomic_store_n(&starve->first, first, __ATOMIC_SEQ_CST);
}

/* A file with a value of each type, with drop-ins, and for a check all notes. */
static void write_all_types(struct room *room)
{
        char text[2048];

        snprintf(text, sizeof(text),
                 "[Upstream]\nAddress=h:1 [::1]:2\nAddress=other:http\nSourceAddress=127.0.0.1\n"
                 "Greeting=@%s/etc/secret\nGreeting=hello\nGreetingExpect=\\x00ok\n"
                 "[Heartbeat]\nInterval=1s\nReceived=a\nReceived=b \\\n c\nMessage=ping\n"
                 "[Local]\nSocketMode=0600\nSocketGroup=0\nSenders=0 @0 1\n"
                 "[Delivery]\nToClients=balance\nHoldSize=1M\n"
                 "[Control]\nAdmin=2 @3\nSocket=/run/x.varlink\n",
                 room->root);
        room_write(room, "/etc/ftcpd.conf", text);
        room_write(room, "/etc/secret", "let me in");
        room_write(room, "/etc/ftcpd.conf.d/a.conf", "[Health]\nMaxAge=7min\n");
        room_write(room, "/etc/ftcpd.conf.d/b.conf", "[Upstream]\nAddress=b:1\n");
        room_write(room, "/run/ftcpd.conf.d/a.conf", "[Health]\nMaxAge=8min\n");
        room_write(room, "/usr/lib/ftcpd.conf.d/c.conf", "[Service]\nLogLevel=debug\n");
}

/* The same loads, with warnings (unknown names and keys) or errors. */
static void write_faults(struct room *room, bool errors)
{
        write_all_types(room);
        room_write(room, "/etc/ftcpd.conf.d/d.conf",
                   "[Local]\nSenders=\"nobody like that\" @nor-such\nSocketGroup=no such group\n"
                   "[Upstream]\nAdress=x:1\n[Nonsense]\n");
        if (errors)
                room_write(room, "/etc/ftcpd.conf.d/e.conf",
                           "[Upstream]\nAddress=nonsense\nno assignment\n[Heartbeat\n"
                           "[Local]\nMaxClients=0\nSenders=\"open\n");
}

/* What a load gave, as text. */
static void describe(const struct config *config, const struct config_report *report, char *to,
                     size_t size)
{
        size_t used = 0;

        *to = '\0';
        for (size_t i = 0; config && i < config->n_settings && used < size; i++)
                used += (size_t)snprintf(to + used, size - used, "%s=%s\n", config->settings[i].key,
                                         config->settings[i].value);
        for (size_t i = 0; i < report->n_errors && used < size; i++)
                used += (size_t)snprintf(to + used, size - used, "%s\n", report->errors[i]);
        for (size_t i = 0; i < report->n_warnings && used < size; i++)
                used += (size_t)snprintf(to + used, size - used, "%s\n", report->warnings[i]);
        assert_in_range(used, 1, size - 1);
}

/* Loads while memory is short. Returns true if an allocation failed. A load that says nothing of it
 * must give all that `whole` has; only lookups in a directory of users may differ. */
static bool load_starved(const struct config_source *source, uint64_t first, uint64_t many,
                         const char *whole)
{
        struct config_report report = {0};
        struct config *config;
        uint64_t live = starve->live;
        static char text[64 * 1024];
        bool failed;

        starve_at(first, many);
        config = config_load(source, &report);
        failed = starve->failed > 0;
        starve->first = 0;
        if (report.starved) {
                assert_true(failed);
                assert_null(config);
                assert_int_equal(report.n_errors + report.n_warnings, 0);
        } else if (whole) {
                describe(config, &report, text, sizeof(text));
                assert_string_equal(text, whole);
        }
        config_free(config);
        config_report_done(&report);
        if (starve->live != live)
                fail_msg("allocation %llu: %lld are lost", (unsigned long long)first,
                         (long long)(starve->live - live));
        return failed;
}

static void fail_each(const struct config_source *source, bool compare)
{
        static char whole[64 * 1024];
        struct config_report report = {0};
        struct config *config = config_load(source, &report);
        uint64_t n = 1;

        assert_false(report.starved);
        describe(config, &report, whole, sizeof(whole));
        config_free(config);
        config_report_done(&report);
        while (load_starved(source, n, 1, compare ? whole : NULL)) {
                if (n % often("STARVE_EACH", 7, 1) == 0) {
                        load_starved(source, n, UINT64_MAX, NULL);
                        load_starved(source, n, 3, NULL);
                }
                assert_in_range(n++, 1, MOST);
        }
        assert_in_range(n, 50, MOST); /* the allocations are counted at all */
}

static void a_load_survives_each_failed_allocation(void **state)
{
        struct room *room = *state;

        write_all_types(room);
        fail_each(&(struct config_source){.root = room->root}, true);
        fail_each(&(struct config_source){.root = room->root, .strict = true}, true);
}

static void warnings_and_errors_survive_each_failed_allocation(void **state)
{
        struct room *room = *state;

        write_faults(room, false);
        fail_each(&(struct config_source){.root = room->root}, false);
        write_faults(room, true);
        fail_each(&(struct config_source){.root = room->root}, false);
        fail_each(&(struct config_source){.root = room->root, .strict = true}, false);
}

static void an_instance_survives_each_failed_allocation(void **state)
{
        struct room *room = *state;

        room_write(room, "/etc/ftcpd/plc.conf", "[Upstream]\nAddress=h:1\n");
        fail_each(&(struct config_source){.root = room->root, .instance = "plc"}, true);
}

static void what_was_kept_survives_each_failed_allocation(void **state)
{
        struct room *room = *state;
        struct config_report report = {0};
        struct config *config;

        write_all_types(room);
        config = config_load(&(struct config_source){.root = room->root}, &report);
        assert_non_null(config);
        config_report_done(&report);
        fail_each(&(struct config_source){.root = room->root,
                                          .kept = config->kept,
                                          .kept_size = config->kept_size},
                  true);
        config_free(config);
}

/* Two loads of the same files. */
static void comparing_survives_each_failed_allocation(void **state)
{
        struct room *room = *state;
        const struct config_source source = {.root = room->root};
        struct config_report report = {0};
        struct config *a, *b;
        char text[64];
        int result;

        write_all_types(room);
        a = config_load(&source, &report);
        config_report_done(&report);
        b = config_load(&source, &report);
        config_report_done(&report);
        for (uint64_t n = 1, failed = 1; failed; n++) {
                starve_at(n, 1);
                result = config_refuses_reload(a, b, text, sizeof(text));
                failed = starve->failed;
                starve->first = 0;
                assert_int_equal(result, failed ? -ENOMEM : 0);
        }
        for (uint64_t n = 1, failed = 1; failed; n++) {
                starve_at(n, 1);
                result = config_changes_link(a, b);
                failed = starve->failed;
                starve->first = 0;
                assert_int_equal(result, failed ? -ENOMEM : 0);
        }
        config_free(a);
        config_free(b);
}

static void unknown_names_survive_each_failed_allocation(void **state)
{
        struct room *room = *state;
        const struct config_source source = {.root = room->root};
        struct config_report report = {0};
        struct config_names names;
        struct config *config;
        uint64_t live;
        int result;

        write_faults(room, false);
        config = config_load(&source, &report);
        config_report_done(&report);
        live = starve->live;
        for (uint64_t n = 1, failed = 1; failed; n++) {
                starve_at(n, 1);
                result = config_names_unknown(config, &names);
                failed = starve->failed;
                starve->first = 0;
                assert_true(result == 0 || failed); /* asprintf() does without some of it */
                assert_int_equal(names.n, result == 0 ? 3 : 0);
                config_names_done(&names);
                assert_int_equal(starve->live, live);
        }
        config_free(config);
}

/* ---- the store ---- */

enum { SLABS = 3000, EXTENTS = 5000 };

/* Takes SLABS slabs and EXTENTS extents. */
static void take_many(struct store *store, uint32_t *slab, uint32_t *extent)
{
        for (uint32_t i = 0; i < SLABS; i++) {
                slab[i] = slab_new(store, 1);
                assert_int_not_equal(slab[i], SLAB_NONE);
        }
        for (uint32_t i = 0; i < EXTENTS; i++) {
                extent[i] = extent_new(store);
                assert_int_not_equal(extent[i], UINT32_MAX);
        }
}

static void give_back(struct store *store, const uint32_t *slab, const uint32_t *extent)
{
        store_begin(store);
        for (uint32_t i = 0; i < SLABS; i++)
                slab_free(store, slab[i]);
        store_commit(store);
        for (uint32_t i = 0; i < EXTENTS; i++)
                extent_free(store, extent[i]);
}

static void slabs_and_extents_are_freed_and_used_again_without_memory(void **state)
{
        static uint32_t slab[SLABS], extent[EXTENTS];
        struct store store;

        (void)state;
        assert_int_equal(store_init(&store), 0);
        take_many(&store, slab, extent);
        starve_at(1, UINT64_MAX);
        for (int round = 0; round < 5; round++) {
                give_back(&store, slab, extent);
                while (round % 2 && store_tidy(&store))
                        ;
                take_many(&store, slab, extent);
        }
        assert_int_equal(starve->seen, 0);
        starve->first = 0;
        assert_int_equal(store.slabs, SLABS);
        store_done(&store);
}

/* A slab that was tidied with its neighbour stays in the list of idle slabs for a while. */
static void idle_slabs_never_fill_their_list(void **state)
{
        uint32_t slab[1024];
        struct store store;

        (void)state;
        assert_int_equal(store_init(&store), 0);
        for (uint32_t i = 0; i < 1024; i++)
                slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
        starve_at(1, UINT64_MAX);
        for (int round = 0; round < 40; round++) {
                for (uint32_t i = 0; i < 1024; i++)
                        slab_free(&store, slab[i]);
                store_tidy(&store);
                for (uint32_t i = 0; i < 1024; i++)
                        slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
                assert_true(store.n_idle <= store.slab_room);
        }
        starve->first = 0;
        assert_int_equal(store.slabs, 1024);
        store_done(&store);
}

static void a_store_that_grows_without_memory_says_so(void **state)
{
        struct store store;

        (void)state;
        assert_int_equal(store_init(&store), 0);
        for (uint64_t n = 1; n <= 5; n++) { /* the table and four lists */
                starve_at(n, 1);
                assert_int_equal(slab_new(&store, 1), SLAB_NONE);
                assert_int_equal(starve->failed, 1);
        }
        starve_at(1, 1);
        assert_int_equal(extent_new(&store), UINT32_MAX);
        starve_at(1, 1);
        assert_false(extent_room(&store, 7));
        starve->first = 0;
        assert_true(extent_room(&store, 7));
        starve_at(1, 1);
        for (int i = 0; i < 7; i++)
                assert_int_not_equal(extent_new(&store), UINT32_MAX);
        starve->first = 0;
        store_done(&store);
}

/* ---- requests ---- */

/* jansson took "Reload" for "Reloa", and ended the program at a number. */
static void a_request_is_read_whole_or_not_at_all(void **state)
{
        static const char request[] = "{\"method\":\"io.ftcpd.DropClient\",\"parameters\":{\"id\":"
                                      "1234567890123,\"more\":[-1.25e3,true,null,\"\\u00e4\"]}}";
        enum varlink_result result = VARLINK_STARVED;

        (void)state;
        for (uint64_t n = 1, failed = 1; failed; n++) {
                for (uint64_t many = 1; many; many = many == 1 ? UINT64_MAX : 0) {
                        struct varlink_reader reader;
                        uint64_t live = starve->live;
                        json_t *object = NULL;

                        varlink_reader_init(&reader);
                        memcpy(varlink_reader_room(&reader, sizeof(request)), request,
                               sizeof(request));
                        varlink_reader_fed(&reader, sizeof(request));
                        starve_at(n, many);
                        result = varlink_take(&reader, &object);
                        failed = starve->failed;
                        starve->first = 0;
                        assert_int_equal(result, failed ? VARLINK_STARVED : VARLINK_OBJECT);
                        json_decref(object);
                        varlink_reader_done(&reader);
                        assert_int_equal(starve->live, live);
                }
                assert_in_range(n, 1, MOST);
        }
}

/* ---- timers ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        (void)arg;
}

/* A timer that could not be armed would never fire: a link would not be dialled again. */
static void reserved_timers_are_armed_without_memory(void **state)
{
        enum { TIMERS = 300 };
        struct event_base *base = event_base_new();
        struct event *timer[TIMERS];
        bool good = false;

        (void)state;
        for (uint64_t n = 1; !good; n++) {
                starve_at(n, 1);
                good = timers_reserve(base, TIMERS);
                assert_int_equal(good, starve->failed == 0);
                starve->first = 0;
        }
        for (int i = 0; i < TIMERS; i++)
                timer[i] = evtimer_new(base, on_timer, NULL);
        starve_at(1, UINT64_MAX);
        for (int i = 0; i < TIMERS; i++)
                timer_arm(timer[i], (uint64_t)(TIMERS - i) * USEC_PER_SEC);
        assert_int_equal(starve->seen, 0);
        starve->first = 0;
        for (int i = 0; i < TIMERS; i++) {
                assert_true(evtimer_pending(timer[i], NULL));
                event_free(timer[i]);
        }
        event_base_free(base);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_load_survives_each_failed_allocation, room_setup,
                                                room_teardown),
                cmocka_unit_test_setup_teardown(warnings_and_errors_survive_each_failed_allocation,
                                                room_setup, room_teardown),
                cmocka_unit_test_setup_teardown(an_instance_survives_each_failed_allocation,
                                                room_setup, room_teardown),
                cmocka_unit_test_setup_teardown(what_was_kept_survives_each_failed_allocation,
                                                room_setup, room_teardown),
                cmocka_unit_test_setup_teardown(comparing_survives_each_failed_allocation,
                                                room_setup, room_teardown),
                cmocka_unit_test_setup_teardown(unknown_names_survive_each_failed_allocation,
                                                room_setup, room_teardown),
                cmocka_unit_test(slabs_and_extents_are_freed_and_used_again_without_memory),
                cmocka_unit_test(idle_slabs_never_fill_their_list),
                cmocka_unit_test(a_store_that_grows_without_memory_says_so),
                cmocka_unit_test(a_request_is_read_whole_or_not_at_all),
                cmocka_unit_test(reserved_timers_are_armed_without_memory),
        };

#ifdef STARVE_CANNOT
        (void)tests;
        puts("1..0 # SKIP the address sanitizer has an allocator of its own");
        return 0;
#endif
        return cmocka_run_group_tests(tests, NULL, NULL);
}
