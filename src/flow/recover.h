/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Recovery: checks the image that a predecessor left, and computes the tables that stand outside of
 * the image: slabs and extents in use. Every word of the image is checked for range and order
 * before its first use. A second recovery of the same image does no harm.
 */
#include "store/store.h"
#include "wire/frame.h"

/*
 * Checks the image, after store_open(). Returns NULL, or a static text, the failed check: the image
 * must not be used then. After success log_init(), turn_init(), writer_init(), cursor_recover(),
 * spread_recover() and ledger_init() recover their parts.
 */
const char *recover_image(struct store *store, const struct frame_spec *spec);
