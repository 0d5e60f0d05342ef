/* SPDX-License-Identifier: MIT */
#pragma once
/* Bytes as text and back, as in section 4 of RFC 4648: with padding, without line ends. */
#include <stddef.h>
#include <sys/types.h>

/* Returns the number of characters for `size` bytes. */
size_t base64_size(size_t size);

/* Writes base64_size(size) characters to `to`, without a NUL. `from` may be the last `size` bytes
 * of the room at `to`. */
void base64_encode(char *to, const void *from, size_t size);

/* Decodes `size` characters into at most size / 4 * 3 bytes; `to` may be the same as text. Returns
 * the number of bytes, or -EINVAL if text is not base64. */
ssize_t base64_decode(void *to, const char *text, size_t size);
