/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The operator's hold on the link: by whose order the link is closed, why and until when. The hold
 * stands in the store, and so outlives the process as the connection does. Code that closes or
 * dials the link asks here; time comes in as an argument.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* Longer reasons and names are cut between two characters. */
enum {
        HOLD_BY_MAX = sizeof(((struct image_hold *)0)->by) - 1,
        HOLD_REASON_MAX = sizeof(((struct image_hold *)0)->reason) - 1,
        HOLD_TEXT = HOLD_BY_MAX + HOLD_REASON_MAX + 120, /* room for hold_text() */
};

/*
 * Holds the link from now on; of a hold that exists, changes all but the start. by: the operator's
 * name. reason NULL: none; until UINT64_MAX: until hold_clear(). Control characters of the texts
 * are escaped.
 */
void hold_set(struct store *store, const char *by, const char *reason, uint64_t now,
              uint64_t until);

/* Releases the hold. */
void hold_clear(struct store *store);

/* True if the link is held. */
bool hold_is_on(const struct image *image);

/* A hold that is on. The strings stand in the image; reason NULL: none was given. left_usec:
 * UINT64_MAX if only hold_clear() ends the hold, 0 when the time of the hold is over. */
struct hold_view {
        const char *by, *reason;
        uint64_t since, left_usec;
};

/* Returns the hold, which is on; `now` as for hold_set(). */
struct hold_view hold_look(const struct image *image, uint64_t now);

/* Writes the hold, which is on, as text: "held by root for 10min: the reason". The time is the time
 * left. */
void hold_text(const struct image *image, uint64_t now, char text[HOLD_TEXT]);

/* For recovery: checks the hold that a predecessor left. Returns NULL, or a static text: the failed
 * check. */
const char *hold_check(const struct image *image);
