/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The known name that is nearest to an unknown word, for "did you mean ...?". The caller offers
 * every known name, and asks for the best. Nothing is copied: the best name is an offered pointer.
 */

struct suggest {
        const char *word;
        const char *best;
        unsigned distance;
};

/* Begins a search for word, the unknown word, which is borrowed until the last suggest_offer(). */
struct suggest suggest_begin(const char *word);

/* Offers a known name, borrowed until the last use of suggest_best(). */
void suggest_offer(struct suggest *suggest, const char *name);

/* Returns the nearest offered name, or NULL if no name is near enough. */
const char *suggest_best(const struct suggest *suggest);
