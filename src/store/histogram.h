/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How often something lasted how long, from a microsecond to a day, in constant memory: 16 buckets
 * to each doubling, so that a value that is read out of it is at most 1/32 off. Count, minimum and
 * maximum are exact. An update is a few plain stores in the memory that outlives the process, in an
 * order that can be mended after a crash at any instant.
 */
#include <stdint.h>

#include "store/image.h"

/* What is measured; the words of GetLatency. */
enum latency_kind {
        LATENCY_HEARTBEAT,   /* from our heartbeat to the next byte */
        LATENCY_RTT,         /* the kernel's */
        LATENCY_TO_CLIENTS,  /* how long messages waited */
        LATENCY_TO_UPSTREAM, /* the same, the other way */
        LATENCY_KINDS,
};

const char *latency_kind_name(enum latency_kind kind);

/* Adds a duration, that of `times` events. */
void histogram_add(struct image_histogram *histogram, uint64_t usec, uint64_t times);

/* The shortest and the longest; 0 where there were none. */
uint64_t histogram_min(const struct image_histogram *histogram);
uint64_t histogram_max(const struct image_histogram *histogram);

/* How many events there were; how many of them lasted usec or less, exactly where that is one less
 * than a power of two. */
uint64_t histogram_count(const struct image_histogram *histogram);
uint64_t histogram_up_to(const struct image_histogram *histogram, uint64_t usec);

/* Which duration so large a part (per mille) of the events did not exceed. 0 where there were none.
 */
uint64_t histogram_quantile(const struct image_histogram *histogram, unsigned per_mille);

/* What a crash left between two stores is put in order; what can't be right is forgotten: it is no
 * reason to give up anything else. */
void histogram_mend(struct image_histogram *histogram);
