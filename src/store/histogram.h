/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Histograms of durations, from a microsecond to a day, in constant memory: 16 buckets to each
 * doubling, so that a quantile is at most 1/32 off. Count, minimum and maximum are exact. An update
 * is a few plain stores in the image, in an order that histogram_mend() can mend after a crash at
 * any instant.
 */
#include <stdint.h>

#include "store/image.h"

/* The measured durations, with the names in GetLatency. */
enum latency_kind {
        LATENCY_HEARTBEAT,   /* from our heartbeat to the next byte */
        LATENCY_RTT,         /* the kernel's round-trip time */
        LATENCY_TO_CLIENTS,  /* how long messages waited for a reader */
        LATENCY_TO_UPSTREAM, /* how long messages waited for the link */
        LATENCY_KINDS,
};

/* Returns a static name. */
const char *latency_kind_name(enum latency_kind kind);

/* Adds `times` events of this duration. */
void histogram_add(struct image_histogram *histogram, uint64_t usec, uint64_t times);

/* Returns the shortest duration; 0 without events. */
uint64_t histogram_min(const struct image_histogram *histogram);

/* Returns the longest duration; 0 without events. */
uint64_t histogram_max(const struct image_histogram *histogram);

/* Returns the number of events. */
uint64_t histogram_count(const struct image_histogram *histogram);

/* Returns the number of events of usec or less, exactly for usec = 2^n - 1. */
uint64_t histogram_up_to(const struct image_histogram *histogram, uint64_t usec);

/* Returns the duration that so many per mille of the events did not exceed; 0 without events. */
uint64_t histogram_quantile(const struct image_histogram *histogram, unsigned per_mille);

/* Mends the words of a predecessor that crashed between two stores. Counts that can't be right
 * become 0, and the rest of the image is used all the same. */
void histogram_mend(struct image_histogram *histogram);
