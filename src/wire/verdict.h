/* SPDX-License-Identifier: MIT */
#pragma once
/* Why a stream's framing is broken, in words for people. */
#include "wire/frame.h"

/* What a stream was found to be, with its first bytes from where the frame should have begun. At
 * most size bytes of text. */
void verdict_text(const struct frame_spec *spec, enum frame_result result, uint64_t declared,
                  const unsigned char *data, size_t n, char *text, size_t size);

/* The same for a message that began and got no further for so long. received: its bytes so far;
 * total: 0 where unknown. */
void verdict_unfinished(const struct frame_spec *spec, uint64_t received, uint64_t total,
                        uint64_t usec, const unsigned char *data, size_t n, char *text,
                        size_t size);
