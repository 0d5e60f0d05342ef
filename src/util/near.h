/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The nearest known name to one that nobody knows, for "did you mean ...?". Offer every known name,
 * then ask. Nothing is copied: the best name is one of those that were offered.
 */

struct near {
        const char *word;
        const char *best;
        unsigned distance;
};

/* word is what somebody wrote; borrowed until the last near_offer(). */
struct near near_begin(const char *word);

void near_offer(struct near *near, const char *name);

/* The nearest name offered, or NULL where none is near enough to be meant. */
const char *near_best(const struct near *near);
