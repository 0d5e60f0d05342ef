/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The operator's hold on the link: who keeps it closed, why and until when. It stands in the store,
 * so that it outlives the process as the connection does. Whoever closes and dials asks here; the
 * time comes in as an argument.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* A longer reason is cut, between two characters; so is a longer name. */
enum {
        HOLD_BY_MAX = sizeof(((struct image_hold *)0)->by) - 1,
        HOLD_REASON_MAX = sizeof(((struct image_hold *)0)->reason) - 1,
        HOLD_TEXT = HOLD_BY_MAX + HOLD_REASON_MAX + 120, /* room for hold_text() */
};

/*
 * From now on the link is held, or, where it was, by somebody else, for another reason and time.
 * Control characters of the texts are escaped. reason NULL: none; until UINT64_MAX: until it is
 * released.
 */
void hold_set(struct store *store, const char *by, const char *reason, uint64_t now,
              uint64_t until);
void hold_clear(struct store *store);

bool hold_is_on(const struct image *image);

/* While it is on. The strings stand in the image; reason NULL: none was given. left_usec is
 * UINT64_MAX where it does not end by itself, and 0 when its time is over. */
struct hold_view {
        const char *by, *reason;
        uint64_t since, left_usec;
};
struct hold_view hold_look(const struct image *image, uint64_t now);

/* "held by root for 10min: the reason" */
void hold_text(const struct image *image, uint64_t now, char text[HOLD_TEXT]);

/* For recovery: NULL, or what is wrong with the hold that was found. */
const char *hold_check(const struct image *image);
