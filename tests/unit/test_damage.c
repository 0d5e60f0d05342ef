/* SPDX-License-Identifier: MIT */
/*
 * An image that cannot be trusted: words overwritten anywhere in what is in use. It is refused, or
 * what is accepted does no harm: nothing crashes, nothing hangs, nobody reads outside of it.
 * FTCPD_TEST_SEED=N repeats a run, FTCPD_TEST_TIMES=N tries so many damaged images.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/fingerprint.h"
#include "flow/recover.h"
#include "lib/filled.h"
#include "lib/often.h"
#include "lib/sim.h"

static struct store copy;
static uint64_t seed, refused, accepted;

static uint64_t number_from(const char *name, uint64_t otherwise)
{
        const char *text = getenv(name);

        return text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- an attempt to recover ---- */

/* As after a change of [Frame]: the messages are counted by the frame that the image tells. */
static bool attempt_other_frame(struct side *side)
{
        struct books books = {0};
        struct frame_spec spec;

        if (!fingerprint_frame_of(copy.image, &spec) || store_open(&side->store, dup(copy.fd)) < 0)
                return false;
        if (recover_image(&side->store, &spec))
                return false;
        log_init(&side->out, &side->store, &side->store.image->out, &spec);
        ledger_init(&side->ledger, &side->out, true);
        ledger_books(&side->ledger, &books);
        return true;
}

static void attempt(const struct plan *plan)
{
        struct side side = {0};

        if (!fingerprint_frame_is(copy.image, &plan->spec)) {
                *(attempt_other_frame(&side) ? &accepted : &refused) += 1;
        } else if (side_open(&side, plan, dup(copy.fd))) {
                refused++;
        } else {
                accepted++;
                side_use(&side);
        }
        side_done(&side);
}

/* ---- damage ---- */

static uint64_t *words_of(void *at, uint64_t size)
{
        return (uint64_t *)at + dice(size / 8);
}

static uint64_t *any_word(struct image *image, const struct store *store)
{
        uint32_t slab = (uint32_t)dice(store->slabs);

        switch (dice(17)) {
        case 16: return words_of(&image->frame, sizeof(image->frame));
        case 0: return words_of(&image->header, sizeof(image->header));
        case 1: return words_of(&image->undo, 64);
        case 2: return words_of(&image->in, sizeof(image->in));
        case 3: return words_of(&image->out, sizeof(image->out));
        case 4: return words_of(&image->acked, sizeof(image->acked) + sizeof(image->turn));
        case 5: return words_of(&image->session, offsetof(struct image_session, piece));
        case 6:
                return words_of(&image->session.inject,
                                sizeof(struct image_session) -
                                        offsetof(struct image_session, inject));
        case 7:
                return words_of(&image->session.piece[image->session.piece_first % IMAGE_PIECES],
                                3 * sizeof(struct image_piece));
        case 8: return words_of(image->client, 6 * sizeof(*image->client));
        case 9: return words_of(image->slab, store->slabs * sizeof(*image->slab));
        case 10: return words_of(&image->spread, sizeof(image->spread));
        case 11: return words_of(&image->totals, sizeof(image->totals));
        case 12: return words_of(image->extent, (store->extents_used + 1) * sizeof(*image->extent));
        case 13: return words_of(&image->events, sizeof(image->events));
        case 14: return words_of(&image->client[dice(6)].reading, 2 * sizeof(uint64_t));
        default:
                return words_of(slab_data(store, slab) - (unsigned char *)store->image +
                                        (unsigned char *)image,
                                dice(2) ? 256 : IMAGE_SLAB_SIZE);
        }
}

static void damage(struct image *image, const struct store *store)
{
        uint64_t *word = any_word(image, store);

        switch (dice(8)) {
        case 0: *word = dice(UINT64_MAX); break;
        case 1: *word = dice(1000); break;
        case 2: *word += 1 + dice(3); break;
        case 3: *word -= 1 + dice(3); break;
        case 4: *word ^= UINT64_C(1) << dice(64); break;
        case 5: *word = UINT64_MAX; break;
        case 6: *word = dice(5); break;
        default: *word = *any_word(image, store);
        }
}

static struct plan some_plan(void)
{
        struct plan plan = {.name = "damage",
                            .spec = frame_spec_default,
                            .seed = 1 + dice(1000000),
                            .steps = 400,
                            .large = 30,
                            .down_n = 300,
                            .up_n = 30,
                            .slots = 6,
                            .closed = 30,
                            .empty_heartbeat = true,
                            .spread = dice(2)};

        if (dice(4) == 0) {
                plan.spec = (struct frame_spec){.type = FRAME_DELIMITER,
                                                .delimiter_size = 2,
                                                .delimiter = "\r\n",
                                                .max_message_size = 1 << 20};
                plan.empty_heartbeat = false;
        }
        plan_make(&plan);
        return plan;
}

static const struct side *running;

/* At any store, so that the journal of a transaction under way can be damaged, too. */
static void damage_here(void)
{
        const struct store *store = &running->store;

        if (dice(15))
                return;
        store_hook = NULL;
        sim_copy_image(copy.image, store->image, store, store->slabs, store->extents_used);
        fingerprint_frame(copy.image, &running->plan->spec);
        for (uint64_t n = 1 + dice(3); n; n--)
                damage(copy.image, store);
        attempt(running->plan);
        store_hook = damage_here;
}

static void a_damaged_image_is_refused_or_does_no_harm(void **state)
{
        uint64_t times = often("FTCPD_TEST_TIMES", 2500, 200000);
        struct world *world = malloc(sizeof(*world));

        (void)state;
        dice_begin(seed); /* the same for any number of tests before */
        refused = accepted = 0;
        alarm((unsigned)(times / 5)); /* what hangs is killed */
        while (refused + accepted < times) {
                struct plan plan = some_plan();
                struct side side;

                world_init(world, &plan);
                side_init(&side, world);
                running = &side;
                while (world->step < plan.steps) {
                        store_hook = damage_here;
                        side_step(&side);
                }
                store_hook = NULL;
                side_done(&side);
                plan_done(&plan);
        }
        alarm(0);
        print_message("%llu refused, %llu accepted\n", (unsigned long long)refused,
                      (unsigned long long)accepted);
        free(world);
}

/* ---- one word, and how much work it makes ---- */

/* Lives through a scenario, and copies the image at its end. */
static void make_image(struct plan *plan)
{
        struct world *world = malloc(sizeof(*world));
        struct side side;

        assert_non_null(world);
        *plan = some_plan();
        world_init(world, plan);
        side_init(&side, world);
        while (world->step < plan->steps)
                side_step(&side);
        sim_copy_image(copy.image, side.store.image, &side.store, side.store.slabs,
                       side.store.extents_used);
        fingerprint_frame(copy.image, &plan->spec);
        side_done(&side);
        free(world);
}

static void each_word_of_the_frame_is_checked_before_it_is_used(void **state)
{
        static const uint64_t values[] = {0,
                                          1,
                                          2,
                                          3,
                                          4,
                                          5,
                                          9,
                                          60,
                                          61,
                                          64,
                                          UINT64_C(1) << 32,
                                          (uint64_t)-1,
                                          (uint64_t)-4,
                                          INT64_MAX,
                                          (uint64_t)INT64_MIN,
                                          UINT64_C(0x100000004)};
        uint64_t *words = (uint64_t *)&copy.image->frame;

        (void)state;
        for (int round = 0; round < 4; round++) {
                struct plan plan;

                make_image(&plan);
                alarm(100); /* what hangs is killed */
                for (size_t i = 0; i < sizeof(copy.image->frame) / sizeof(*words); i++) {
                        uint64_t good = words[i];

                        for (size_t k = 0; k < sizeof(values) / sizeof(*values); k++) {
                                words[i] = values[k];
                                attempt(&plan);
                        }
                        words[i] = good;
                }
                alarm(0);
                plan_done(&plan);
        }
}

static const char *recover_within(const struct plan *plan, uint64_t most, uint64_t *steps)
{
        struct store store;
        uint64_t known = 0;
        const char *wrong;

        assert_int_equal(store_open(&store, dup(copy.fd)), 0);
        wrong = recover_image_within(&store, &plan->spec, most, steps);
        for (uint32_t i = 0; wrong && i < store.slabs; i++)
                known += store.slab[i].used;
        assert_true(known <= most); /* no slab is looked at without a step */
        store_done(&store);
        return wrong;
}

static void recovery_has_a_limit_that_no_sound_image_reaches(void **state)
{
        uint64_t steps, some;
        struct plan plan;

        (void)state;
        make_image(&plan);
        assert_null(recover_within(&plan, RECOVER_STEPS, &steps));
        assert_true(steps > 10 && steps < RECOVER_STEPS / 1000);
        assert_null(recover_within(&plan, steps + 1, &some));
        assert_int_equal(some, steps);
        for (uint64_t most = 1; most <= steps; most += 1 + steps / 100) {
                assert_string_equal(recover_within(&plan, most, &some),
                                    "its checks take too many steps");
                assert_int_equal(some, most);
        }
        plan_done(&plan);
}

enum { WALKED = 4000, MESSAGE = 1000, READERS = 9 };

/* Returns the steps of an image with WALKED messages of MESSAGE bytes, which wait for each reader.
 */
static uint64_t steps_with(uint64_t readers)
{
        struct cursor cursor[READERS];
        struct store store, again;
        uint64_t steps;
        struct log in;

        assert_int_equal(store_init(&store), 0);
        assert_true(store_client_ready(&store, READERS));
        log_init(&in, &store, &store.image->in, &frame_spec_default);
        for (uint64_t i = 0; i < readers; i++) {
                store.image->client[i].id = i + 1;
                store.image->client[i].reading = READER_MEMBER;
                cursor_init(&cursor[i], &in, &store.image->client[i].cursor, true);
        }
        store.image->totals.client_slots = readers;
        fill_log(&in, MESSAGE, (size_t)WALKED * MESSAGE);
        assert_int_equal(in.image->number, WALKED);
        store.image->spread.given = in.image->end;
        assert_int_equal(store_open(&again, dup(store.fd)), 0);
        assert_null(recover_image_within(&again, &frame_spec_default, RECOVER_STEPS, &steps));
        store_done(&again);
        store_done(&store);
        return steps;
}

/* A damaged image may have many readers of a long log, whose bytes are walked over. */
static void the_work_for_each_reader_and_of_each_walk_counts(void **state)
{
        const uint64_t bytes = WALKED * MESSAGE, slabs = bytes / IMAGE_SLAB_SIZE;
        uint64_t one = steps_with(1);

        (void)state;
        assert_true(one >= bytes / 64);
        assert_true(steps_with(READERS) - one >= (READERS - 1) * slabs);
}

static int setup(void **state)
{
        struct timespec now;

        (void)state;
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed = number_from("FTCPD_TEST_SEED", (uint64_t)now.tv_nsec % 1000000);
        print_message("seed %llu\n", (unsigned long long)seed);
        dice_begin(seed);
        if (store_init(&copy))
                return 1;
        sim_stay_mapped(&copy, NULL);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        sim_stay_mapped(NULL, NULL);
        store_done(&copy);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_word_of_the_frame_is_checked_before_it_is_used),
                cmocka_unit_test(recovery_has_a_limit_that_no_sound_image_reaches),
                cmocka_unit_test(the_work_for_each_reader_and_of_each_walk_counts),
                cmocka_unit_test(a_damaged_image_is_refused_or_does_no_harm),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
