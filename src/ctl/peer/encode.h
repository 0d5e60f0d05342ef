/* SPDX-License-Identifier: MIT */
#pragma once
/* The frames that the peer sends: correct frames, and wrong frames on purpose. */
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/* Builds the frame of a message. Returns NULL, with a new buffer in *frame for the caller to free,
 * or a static text of the error, and no buffer. */
const char *encode_message(const struct frame_spec *spec, const void *message, size_t size,
                           unsigned char **frame, size_t *frame_size);

/* Writes a header that declares `length`, true or false; the bytes before the length field are 0.
 * Returns the header's size, or 0 if the field can't hold the number or the frame has no field. */
size_t encode_length(const struct frame_spec *spec, uint64_t length,
                     unsigned char head[FRAME_HEADER_MAX]);

/* Returns the size of a frame with a body of `size` bytes. */
size_t encode_numbered_size(const struct frame_spec *spec, size_t size);

/* Writes a frame whose body is the number in decimal, cut or filled with dots to `size` bytes.
 * `frame` has room for encode_numbered_size() bytes. */
void encode_numbered(const struct frame_spec *spec, uint64_t number, size_t size,
                     unsigned char *frame);
