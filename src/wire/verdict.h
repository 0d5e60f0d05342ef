/* SPDX-License-Identifier: MIT */
#pragma once
/* Why a stream's framing is broken, in words for people. */
#include "wire/frame.h"

/* Writes the verdict on a frame with this result (FRAME_TOO_LARGE or FRAME_BROKEN) and declared
 * length, with a guess from the n bytes of data where the frame begins. At most size bytes of text.
 */
void verdict_text(const struct frame_spec *spec, enum frame_result result, uint64_t declared,
                  const unsigned char *data, size_t n, char *text, size_t size);

/* Writes the verdict on a message that began and got no byte for usec. received: the bytes so far;
 * total: the bytes of the frame, 0 where unknown; the other parameters as for verdict_text(). */
void verdict_unfinished(const struct frame_spec *spec, uint64_t received, uint64_t total,
                        uint64_t usec, const unsigned char *data, size_t n, char *text,
                        size_t size);
