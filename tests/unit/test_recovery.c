/* SPDX-License-Identifier: MIT */
/*
 * Always recoverable: the memory is copied after every store, and wherever the kernel did something
 * that no store tells yet; each copy is recovered, goes on to the end of the scenario, and must
 * come out with the truth. FTCPD_TEST_SEED=N repeats a run, FTCPD_TEST_SEEDS=N tries so many,
 * FTCPD_TEST_RARER=N looks at so many times fewer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/often.h"
#include "lib/sim.h"

static struct {
        struct side *side[2]; /* the daemon, and one that is recovering */
        struct store copy[2]; /* what they hold of earlier copies is the garbage of freed slabs */
        uint64_t every, stores, recovered;
        struct sim_print *known; /* what was recovered to in this run */
        uint64_t n_known, known_room;
} crash;

static uint32_t larger(uint32_t a, uint32_t b)
{
        return a > b ? a : b;
}

static bool is_known(struct sim_print print)
{
        for (uint64_t i = 0; i < crash.n_known; i++)
                if (crash.known[i].half[0] == print.half[0] &&
                    crash.known[i].half[1] == print.half[1])
                        return true;
        return false;
}

static void note(struct sim_print print)
{
        if (crash.n_known == crash.known_room) {
                crash.known_room = crash.known_room ? crash.known_room * 2 : 1024;
                crash.known = realloc(crash.known, crash.known_room * sizeof(*crash.known));
        }
        crash.known[crash.n_known++] = print;
}

/*
 * Goes on to the end. Where a side recovered to the same image, in the same world, before, the same
 * is read and sent on its way, which is not gone again: all crashes in a transaction lead to the
 * image before it, or to the one behind it. Only what lies in free memory may differ.
 */
static void go_on(struct side *side)
{
        struct sim_print print = side_print(side);

        crash.recovered++;
        if (often_is_long() || !is_known(print)) {
                note(print);
                side_run(side);
        }
        side_done(side);
}

/* A crash while a crash is recovered from: what is found then leads to the same. */
static void crash_again(void)
{
        const struct store *first = &crash.side[0]->store, *second = &crash.side[1]->store;
        static struct world world;
        struct side side;

        if (dice(4 + crash.recovered / 100)) /* a recovery may have much to do, too */
                return;
        store_hook = NULL;
        sim_copy_image(crash.copy[1].image, crash.copy[0].image, NULL,
                       larger(first->slabs, second->slabs),
                       larger(first->extents_used, second->extents_used));
        world_copy(&world, crash.side[1]->world);
        side_recover(&side, &world, dup(crash.copy[1].fd));
        go_on(&side);
        store_hook = crash_again;
}

static void crash_here(void)
{
        const struct store *store = &crash.side[0]->store;
        static struct world world;
        struct side side;

        crash.stores++;
        if (dice(crash.every + crash.recovered / 2000))
                return;
        world_copy(&world, crash.side[0]->world);
        crash.side[1] = &side;
        sim_copy_image(crash.copy[0].image, store->image, store, store->slabs, store->extents_used);
        store_hook = dice(12) ? NULL : crash_again;
        side_recover(&side, &world, dup(crash.copy[0].fd));
        store_hook = NULL;
        go_on(&side);
        store_hook = crash_here;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);

        return text ? strtoull(text, NULL, 0) : otherwise;
}

static uint64_t test_seed(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return number_from("FTCPD_TEST_SEED", (uint64_t)now.tv_nsec % 1000000);
}

static void run_once(struct plan plan, uint64_t every)
{
        struct world *world = malloc(sizeof(*world));
        struct side side;

        store_hook = NULL; /* a test that failed may have left it */
        plan.seed = test_seed();
        print_message("%s: seed %llu\n", plan.name, (unsigned long long)plan.seed);
        plan_make(&plan);
        dice_begin(plan.seed + 77);
        crash.every = every * number_from("FTCPD_TEST_RARER", 1);
        crash.side[0] = &side;
        crash.stores = crash.recovered = crash.n_known = 0;
        world_init(world, &plan);
        side_init(&side, world);
        store_hook = crash_here;
        while (world->step < plan.steps)
                side_step(&side);
        store_hook = NULL;
        side_finish(&side);
        print_message("%s: %llu stores, %llu recovered, to %llu states\n", plan.name,
                      (unsigned long long)crash.stores, (unsigned long long)crash.recovered,
                      (unsigned long long)crash.n_known);
        side_done(&side);
        plan_done(&plan);
        free(world);
}

static void run(struct plan plan, uint64_t every)
{
        for (uint64_t left = often("FTCPD_TEST_SEEDS", 1, 20); left; left--)
                run_once(plan, every);
}

static struct frame_spec lines(const char *delimiter)
{
        struct frame_spec spec = {.type = FRAME_DELIMITER, .max_message_size = 1 << 20};

        spec.delimiter_size = (uint32_t)strlen(delimiter);
        memcpy(spec.delimiter, delimiter, spec.delimiter_size);
        return spec;
}

static void broadcast_of_small_messages_survives_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "small",
                          .spec = frame_spec_default,
                          .steps = 400,
                          .down_n = 300,
                          .up_n = 20,
                          .slots = 6,
                          .senders = 10,
                          .empty_heartbeat = true,
                          .answers = true},
            1);
}

static void large_partial_messages_survive_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "large",
                          .spec = frame_spec_default,
                          .steps = 250,
                          .large = 150,
                          .down_n = 20,
                          .up_n = 6,
                          .slots = 5,
                          .discards = true},
            3);
}

static void extents_survive_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "extents",
                          .spec = frame_spec_default,
                          .steps = 300,
                          .large = 20,
                          .down_n = 400,
                          .up_n = 12,
                          .closed = 100,
                          .slots = 6},
            2);
}

static void extents_beside_open_readers_survive_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "mixed",
                          .spec = frame_spec_default,
                          .steps = 300,
                          .large = 20,
                          .down_n = 300,
                          .up_n = 12,
                          .closed = 50,
                          .senders = 10,
                          .slots = 8,
                          .empty_heartbeat = true,
                          .answers = true,
                          .discards = true},
            3);
}

/* Held, dealt out or for all, given up and returned, under a configuration that changes. */
static void readers_survive_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "readers",
                          .spec = frame_spec_default,
                          .steps = 500,
                          .large = 20,
                          .down_n = 400,
                          .up_n = 4,
                          .senders = 5,
                          .slots = 5,
                          .empty_heartbeat = true,
                          .spread = true,
                          .answers = true},
            2);
}

static void what_is_dealt_and_returned_survives_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "dealt",
                          .spec = frame_spec_default,
                          .steps = 400,
                          .large = 5,
                          .down_n = 500,
                          .up_n = 2,
                          .slots = 3,
                          .spread = true,
                          .balance = true},
            4);
}

/* Extents are scarce: what comes goes on behind what one has, or to one that has nothing. */
static void what_is_dealt_without_extents_survives_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "scant",
                          .spec = frame_spec_default,
                          .steps = 250,
                          .large = 5,
                          .down_n = 400,
                          .up_n = 2,
                          .slots = 4,
                          .spread = true,
                          .balance = true,
                          .scant = true},
            5);
}

static void what_is_held_survives_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "held",
                          .spec = frame_spec_default,
                          .steps = 500,
                          .large = 5,
                          .down_n = 500,
                          .up_n = 2,
                          .slots = 4,
                          .empty_heartbeat = true,
                          .spread = true},
            2);
}

static void readers_of_much_survive_crashes(void **state)
{
        (void)state;
        run((struct plan){.name = "much",
                          .spec = frame_spec_default,
                          .steps = 3000,
                          .large = 15,
                          .down_n = 1000,
                          .up_n = 20,
                          .slots = SIM_SLOTS,
                          .spread = true},
            100);
}

static void lines_survive_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "lines",
                          .spec = lines("\n"),
                          .steps = 300,
                          .large = 20,
                          .down_n = 200,
                          .up_n = 15,
                          .slots = 6,
                          .empty_heartbeat = true,
                          .answers = true},
            3);
}

static void delimiters_of_two_bytes_survive_a_crash_at_any_store(void **state)
{
        (void)state;
        run((struct plan){.name = "two-byte delimiter",
                          .spec = lines("\r\n"),
                          .steps = 300,
                          .large = 60,
                          .down_n = 60,
                          .up_n = 8,
                          .closed = 30,
                          .slots = 6,
                          .discards = true},
            4);
}

static void a_length_inside_a_header_survives_a_crash_at_any_store(void **state)
{
        struct frame_spec spec = {.length_size = 2, .length_offset = 4, .max_message_size = 65000};

        (void)state;
        run((struct plan){.name = "length at 4",
                          .spec = spec,
                          .steps = 300,
                          .large = 50,
                          .down_n = 100,
                          .up_n = 12,
                          .slots = 6},
            3);
}

static void a_length_in_digits_survives_a_crash_at_any_store(void **state)
{
        struct frame_spec spec = {.format = FRAME_DECIMAL,
                                  .length_size = 4,
                                  .length_adjust = -4,
                                  .max_message_size = 9000};

        (void)state;
        run((struct plan){.name = "digits",
                          .spec = spec,
                          .steps = 300,
                          .down_n = 200,
                          .up_n = 15,
                          .closed = 30,
                          .slots = 6},
            3);
}

static void many_clients_and_much_data_survive_crashes(void **state)
{
        (void)state;
        run((struct plan){.name = "many",
                          .spec = frame_spec_default,
                          .steps = 4000,
                          .large = 15,
                          .down_n = 2000,
                          .up_n = 120,
                          .closed = 30,
                          .senders = 10,
                          .slots = SIM_SLOTS,
                          .answers = true,
                          .discards = true},
            200);
}

static int setup(void **state)
{
        (void)state;
        if (store_init(&crash.copy[0]) || store_init(&crash.copy[1]))
                return 1;
        sim_stay_mapped(&crash.copy[0], &crash.copy[1]);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        sim_stay_mapped(NULL, NULL);
        free(crash.known);
        store_done(&crash.copy[0]);
        store_done(&crash.copy[1]);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(broadcast_of_small_messages_survives_a_crash_at_any_store),
                cmocka_unit_test(large_partial_messages_survive_a_crash_at_any_store),
                cmocka_unit_test(extents_survive_a_crash_at_any_store),
                cmocka_unit_test(extents_beside_open_readers_survive_a_crash_at_any_store),
                cmocka_unit_test(readers_survive_a_crash_at_any_store),
                cmocka_unit_test(what_is_dealt_and_returned_survives_a_crash_at_any_store),
                cmocka_unit_test(what_is_dealt_without_extents_survives_a_crash_at_any_store),
                cmocka_unit_test(what_is_held_survives_a_crash_at_any_store),
                cmocka_unit_test(readers_of_much_survive_crashes),
                cmocka_unit_test(lines_survive_a_crash_at_any_store),
                cmocka_unit_test(delimiters_of_two_bytes_survive_a_crash_at_any_store),
                cmocka_unit_test(a_length_inside_a_header_survives_a_crash_at_any_store),
                cmocka_unit_test(a_length_in_digits_survives_a_crash_at_any_store),
                cmocka_unit_test(many_clients_and_much_data_survive_crashes),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
