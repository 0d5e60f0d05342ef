/* SPDX-License-Identifier: MIT */
/* Durations in constant memory: what is exact, how far off the rest is, and what a crash leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/stream.h"
#include "store/histogram.h"
#include "store/store.h"

enum { VALUES = 20000 };

static struct image_histogram h;

static int setup(void **state)
{
        (void)state;
        memset(&h, 0, sizeof(h));
        store_hook = NULL;
        return 0;
}

static int compare(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

/* From a microsecond to 38 hours, as many of each magnitude. */
static uint64_t random_span(void)
{
        unsigned bits = (unsigned)random_below(38);

        return random_below(UINT64_C(1) << bits);
}

static void an_empty_one_is_all_zeros(void **state)
{
        (void)state;
        assert_int_equal(histogram_count(&h), 0);
        assert_int_equal(histogram_min(&h), 0);
        assert_int_equal(histogram_max(&h), 0);
        assert_int_equal(histogram_quantile(&h, 500), 0);
        histogram_add(&h, 7, 0);
        assert_int_equal(histogram_count(&h), 0);
        assert_int_equal(histogram_min(&h), 0);
        assert_int_equal(histogram_up_to(&h, UINT64_MAX), 0);
}

static void a_single_value_is_exact_whatever_it_is(void **state)
{
        (void)state;
        for (unsigned bit = 0; bit < 64; bit++)
                for (int off = -1; off <= 1; off++) {
                        uint64_t value = (UINT64_C(1) << bit) + (uint64_t)off;

                        memset(&h, 0, sizeof(h));
                        histogram_add(&h, value, 3);
                        assert_int_equal(histogram_count(&h), 3);
                        assert_int_equal(histogram_min(&h), value);
                        assert_int_equal(histogram_max(&h), value);
                        assert_int_equal(histogram_quantile(&h, 500), value);
                        assert_int_equal(histogram_quantile(&h, 990), value);
                        assert_int_equal(h.sum, 3 * value);
                }
}

static void quantiles_are_at_most_a_thirty_second_off_and_the_rest_is_exact(void **state)
{
        static const unsigned per_mille[] = {1, 100, 500, 900, 990, 999, 1000};
        uint64_t *value = calloc(VALUES, sizeof(*value)), sum = 0;

        (void)state;
        random_start("quantiles");
        for (int i = 0; i < VALUES; i++) {
                value[i] = random_span();
                sum += value[i];
                histogram_add(&h, value[i], 1);
        }
        qsort(value, VALUES, sizeof(*value), compare);
        assert_int_equal(histogram_count(&h), VALUES);
        assert_int_equal(histogram_min(&h), value[0]);
        assert_int_equal(histogram_max(&h), value[VALUES - 1]);
        assert_int_equal(h.sum, sum);
        for (size_t i = 0; i < sizeof(per_mille) / sizeof(*per_mille); i++) {
                uint64_t is = value[(VALUES * per_mille[i] + 999) / 1000 - 1];
                uint64_t said = histogram_quantile(&h, per_mille[i]);
                uint64_t off = said > is ? said - is : is - said;

                if (off * 32 > is)
                        fail_msg("%u per mille: %llu, not %llu", per_mille[i],
                                 (unsigned long long)said, (unsigned long long)is);
        }
        free(value);
}

static void how_many_lasted_up_to_a_power_of_two_is_exact(void **state)
{
        uint64_t up_to[38] = {0};

        (void)state;
        random_start("below");
        for (int i = 0; i < VALUES; i++) {
                uint64_t value = random_span(), times = random_below(4);

                if (random_one_in(4)) /* at the end of a bucket, or behind it */
                        value = (UINT64_C(1) << random_below(37)) - random_below(2);
                histogram_add(&h, value, times);
                for (unsigned bit = 0; bit < 38; bit++)
                        if (value <= (UINT64_C(1) << bit) - 1)
                                up_to[bit] += times;
        }
        for (unsigned bit = 0; bit < 38; bit++)
                assert_int_equal(histogram_up_to(&h, (UINT64_C(1) << bit) - 1), up_to[bit]);
}

static void more_than_it_can_tell_apart_is_still_counted(void **state)
{
        (void)state;
        histogram_add(&h, 5, 1);
        histogram_add(&h, UINT64_MAX / 4, 2);
        assert_int_equal(histogram_count(&h), 3);
        assert_int_equal(histogram_max(&h), UINT64_MAX / 4);
        assert_true(histogram_quantile(&h, 500) > UINT64_C(1) << 36);
        histogram_mend(&h);
        assert_int_equal(histogram_max(&h), UINT64_MAX / 4);
}

/* ---- after a crash ---- */

static struct {
        uint64_t before, after; /* how many there were, how many there are */
        uint64_t least, most;   /* of all with the one that is being added */
        unsigned looks;
} crash;

static bool suggest_to(uint64_t said, uint64_t is)
{
        return (said > is ? said - is : is - said) * 16 <= is;
}

/* A copy of the memory as it is now is what a successor finds. */
static void look_at_a_successor(void)
{
        struct image_histogram copy = h, again;
        void (*hook)(void) = store_hook;
        uint64_t count;

        store_hook = NULL;
        histogram_mend(&copy);
        count = histogram_count(&copy);
        assert_true(count == crash.before || count == crash.after);
        assert_true(histogram_min(&copy) <= histogram_quantile(&copy, 500));
        assert_true(histogram_quantile(&copy, 500) <= histogram_max(&copy));
        if (count == crash.after) {
                assert_true(suggest_to(histogram_min(&copy), crash.least));
                assert_true(suggest_to(histogram_max(&copy), crash.most));
        }
        again = copy;
        histogram_mend(&again);
        assert_memory_equal(&again, &copy, sizeof(copy));
        crash.looks++;
        store_hook = hook;
}

static void a_crash_between_any_two_stores_leaves_one_that_can_be_mended(void **state)
{
        (void)state;
        random_start("crash");
        crash.before = crash.after = 0;
        crash.least = UINT64_MAX;
        crash.most = 0;
        store_hook = look_at_a_successor;
        for (int i = 0; i < 500; i++) {
                uint64_t value = random_span(), times = 1 + random_below(3);

                crash.before = crash.after;
                crash.after += times;
                crash.least = value < crash.least ? value : crash.least;
                crash.most = value > crash.most ? value : crash.most;
                histogram_add(&h, value, times);
        }
        store_hook = NULL;
        assert_true(crash.looks >= 1000);
}

static void one_that_is_whole_is_left_as_it_is(void **state)
{
        struct image_histogram copy;

        (void)state;
        random_start("whole");
        histogram_mend(&h);
        for (int i = 0; i < 200; i++) {
                histogram_add(&h, random_span(), 1);
                copy = h;
                histogram_mend(&copy);
                assert_memory_equal(&copy, &h, sizeof(h));
        }
}

static void whatever_stands_there_its_figures_are_in_order(void **state)
{
        (void)state;
        random_start("damage");
        for (int i = 0; i < 2000; i++) {
                uint64_t *word = (uint64_t *)&h;

                memset(&h, 0, sizeof(h));
                for (int k = 0; k < 5; k++)
                        word[random_below(sizeof(h) / sizeof(*word))] =
                                random_number() >> random_below(64);
                h.least = random_number() >> random_below(64);
                h.most = random_number() >> random_below(64);
                histogram_mend(&h);
                assert_true(histogram_count(&h) < UINT64_C(1) << 62);
                assert_true(histogram_min(&h) <= histogram_quantile(&h, 500));
                assert_true(histogram_quantile(&h, 500) <= histogram_quantile(&h, 990));
                assert_true(histogram_quantile(&h, 990) <= histogram_max(&h));
                assert_true(histogram_count(&h) || (!h.sum && !histogram_max(&h)));
        }
}

static void ends_that_contradict_each_other_in_one_bucket_are_widened(void **state)
{
        static const uint64_t value[] = {1 << 16, UINT64_MAX / 4};

        (void)state;
        for (int i = 0; i < 2; i++) {
                memset(&h, 0, sizeof(h));
                histogram_add(&h, value[i], 1);
                h.least += 20;
                h.most += 10;
                histogram_mend(&h);
                assert_int_equal(histogram_max(&h), value[i] + 10);
                assert_in_range(histogram_min(&h), 1, value[i]);
                assert_in_range(histogram_quantile(&h, 990), histogram_min(&h), histogram_max(&h));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(an_empty_one_is_all_zeros, setup),
                cmocka_unit_test_setup(a_single_value_is_exact_whatever_it_is, setup),
                cmocka_unit_test_setup(
                        quantiles_are_at_most_a_thirty_second_off_and_the_rest_is_exact, setup),
                cmocka_unit_test_setup(how_many_lasted_up_to_a_power_of_two_is_exact, setup),
                cmocka_unit_test_setup(more_than_it_can_tell_apart_is_still_counted, setup),
                cmocka_unit_test_setup(a_crash_between_any_two_stores_leaves_one_that_can_be_mended,
                                       setup),
                cmocka_unit_test_setup(one_that_is_whole_is_left_as_it_is, setup),
                cmocka_unit_test_setup(whatever_stands_there_its_figures_are_in_order, setup),
                cmocka_unit_test_setup(ends_that_contradict_each_other_in_one_bucket_are_widened,
                                       setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
