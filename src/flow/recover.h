/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Recovery: checks the image that a predecessor left, and computes the tables that stand outside of
 * the image: slabs and extents in use. Every word of the image is checked for range and order
 * before its first use. A second recovery of the same image does no harm.
 */
#include "store/store.h"
#include "wire/frame.h"

/* Slabs, extents, marks and units of 64 bytes of messages that the checks may look at: far more
 * than in any sound image that a start has time for. */
#define RECOVER_STEPS (UINT64_C(1) << 34)

/*
 * Checks the image, after store_open(). Returns NULL, or a static text, the failed check: the image
 * must not be used then. After success log_init(), turn_init(), writer_init(), cursor_recover(),
 * spread_recover() and ledger_init() recover their parts.
 */
const char *recover_image(struct store *store, const struct frame_spec *spec);

/* recover_image() with another limit than RECOVER_STEPS; *steps gets the number of steps taken. */
const char *recover_image_within(struct store *store, const struct frame_spec *spec, uint64_t most,
                                 uint64_t *steps);
