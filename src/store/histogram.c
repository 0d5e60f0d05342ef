/* SPDX-License-Identifier: MIT */
#include "store/histogram.h"

#include <assert.h>
#include <stdbool.h>

#include "store/store.h"

enum {
        PART_BITS = 4, /* 16 buckets to each doubling */
        PARTS = 1 << PART_BITS,
        COUNT_BITS = 48, /* of a bucket, enough for a hundred years */
};

static const char *const kinds[] = {
        [LATENCY_HEARTBEAT] = "heartbeat",
        [LATENCY_RTT] = "rtt",
        [LATENCY_TO_CLIENTS] = "to-clients",
        [LATENCY_TO_UPSTREAM] = "to-upstream",
};
static_assert(sizeof(kinds) / sizeof(*kinds) == LATENCY_KINDS, "every kind has its word");
static_assert((int)LATENCY_KINDS <= (int)IMAGE_LATENCIES, "every kind has its place");

const char *latency_kind_name(enum latency_kind kind)
{
        return kinds[kind];
}

/* Below 16 each value has its own bucket; the last bucket takes all larger values, too. */
static unsigned bucket_of(uint64_t usec)
{
        unsigned top, bucket;

        if (usec < PARTS)
                return (unsigned)usec;
        top = 63 - (unsigned)__builtin_clzll(usec);
        bucket = (top - PART_BITS) * PARTS + (unsigned)(usec >> (top - PART_BITS));
        return bucket < IMAGE_BUCKETS ? bucket : IMAGE_BUCKETS - 1;
}

/* Returns the least value of a bucket. */
static uint64_t bucket_from(unsigned bucket)
{
        unsigned shift = bucket < 2 * PARTS ? 0 : bucket / PARTS - 1;

        return (uint64_t)(bucket - shift * PARTS) << shift;
}

/* Returns the number of values of a bucket. */
static uint64_t bucket_width(unsigned bucket)
{
        return bucket < 2 * PARTS ? 1 : UINT64_C(1) << (bucket / PARTS - 1);
}

void histogram_add(struct image_histogram *histogram, uint64_t usec, uint64_t times)
{
        uint64_t *bucket = &histogram->bucket[bucket_of(usec)];

        if (!times)
                return;
        store_set_alone(bucket, *bucket + times);
        store_set_alone(&histogram->sum, histogram->sum + usec * times);
        if (usec > histogram->most)
                store_set_alone(&histogram->most, usec);
        if (!histogram->least || usec < histogram->least - 1)
                store_set_alone(&histogram->least, usec + 1);
}

uint64_t histogram_min(const struct image_histogram *histogram)
{
        return histogram->least ? histogram->least - 1 : 0;
}

uint64_t histogram_max(const struct image_histogram *histogram)
{
        return histogram->most;
}

uint64_t histogram_count(const struct image_histogram *histogram)
{
        uint64_t count = 0;

        for (unsigned i = 0; i < IMAGE_BUCKETS; i++)
                count += histogram->bucket[i];
        return count;
}

uint64_t histogram_up_to(const struct image_histogram *histogram, uint64_t usec)
{
        uint64_t count = 0;

        for (unsigned i = 0; i < IMAGE_BUCKETS && bucket_from(i) <= usec; i++)
                count += histogram->bucket[i];
        return count;
}

uint64_t histogram_quantile(const struct image_histogram *histogram, unsigned per_mille)
{
        uint64_t count = histogram_count(histogram), passed = 0, value = histogram->most;
        uint64_t rank = count / 1000 * per_mille + (count % 1000 * per_mille + 999) / 1000;

        if (!count)
                return 0;
        for (unsigned i = 0; i < IMAGE_BUCKETS; i++) {
                passed += histogram->bucket[i];
                if (passed >= rank && passed) {
                        value = bucket_from(i) + (bucket_width(i) - 1) / 2;
                        break;
                }
        }
        if (value > histogram->most)
                return histogram->most;
        return value < histogram_min(histogram) ? histogram_min(histogram) : value;
}

/* True if this value belongs to the bucket. The last bucket has no upper end. */
static bool is_in(unsigned bucket, uint64_t usec)
{
        return usec >= bucket_from(bucket) && bucket_of(usec) == bucket;
}

void histogram_mend(struct image_histogram *histogram)
{
        unsigned first = IMAGE_BUCKETS, last = 0;

        for (unsigned i = 0; i < IMAGE_BUCKETS; i++) {
                if (histogram->bucket[i] >> COUNT_BITS)
                        store_set_alone(&histogram->bucket[i], 0);
                if (!histogram->bucket[i])
                        continue;
                first = first < i ? first : i;
                last = i;
        }
        if (first == IMAGE_BUCKETS) {
                store_set_alone(&histogram->least, 0);
                store_set_alone(&histogram->most, 0);
                store_set_alone(&histogram->sum, 0);
                return;
        }
        if (!is_in(last, histogram->most))
                store_set_alone(&histogram->most, bucket_from(last) + bucket_width(last) - 1);
        if (!histogram->least || !is_in(first, histogram->least - 1) ||
            histogram->least - 1 > histogram->most)
                store_set_alone(&histogram->least, bucket_from(first) + 1);
}
