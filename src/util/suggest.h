/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The nearest known name to one that nobody knows, for "did you mean ...?". Offer every known name,
 * then ask. Nothing is copied: the best name is one of those that were offered.
 */

struct suggest {
        const char *word;
        const char *best;
        unsigned distance;
};

/* word is what somebody wrote; borrowed until the last suggest_offer(). */
struct suggest suggest_begin(const char *word);

void suggest_offer(struct suggest *near, const char *name);

/* The nearest name offered, or NULL where none is near enough to be meant. */
const char *suggest_best(const struct suggest *near);
