/* SPDX-License-Identifier: MIT */
#pragma once
/* Frames as a peer builds them: right ones, and wrong ones on purpose. */
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/* The frame of a message as people write it. Returns NULL and a new buffer in *frame, or a static
 * text that says why there is none. */
const char *encode_message(const struct frame_spec *spec, const void *message, size_t size,
                           unsigned char **frame, size_t *frame_size);

/* The header that declares `length`, whether or not that is true; the bytes before the length field
 * are 0. Returns its size, or 0 where the field can't hold that number or the frame has none. */
size_t encode_length(const struct frame_spec *spec, uint64_t length,
                     unsigned char head[FRAME_HEADER_MAX]);

/* Writes a frame with a body of `size` bytes that begins with a number, into `frame`, which has
 * encode_numbered_size() bytes. */
size_t encode_numbered_size(const struct frame_spec *spec, size_t size);
void encode_numbered(const struct frame_spec *spec, uint64_t number, size_t size,
                     unsigned char *frame);
