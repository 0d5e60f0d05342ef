/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whether an image that somebody else left can be trusted, and what its owner knew besides it:
 * which slabs and extents are in use. Nothing in the image is believed before it was checked for
 * range and order. Doing it twice does no harm.
 */
#include "store/store.h"
#include "wire/frame.h"

/*
 * After store_open(). Returns NULL, or a static text that says what is wrong; the image must not be
 * used then. Afterwards log_init(), turn_init(), writer_init(), cursor_recover() and ledger_init()
 * take up their parts.
 */
const char *recover_image(struct store *store, const struct frame_spec *spec);
