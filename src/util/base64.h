/* SPDX-License-Identifier: MIT */
#pragma once
/* Bytes as text and back, as in section 4 of RFC 4648: with padding, without line ends. */
#include <stddef.h>
#include <sys/types.h>

/* How many characters `size` bytes become. */
size_t base64_size(size_t size);

/* Writes that many characters, without a NUL. The bytes may be the last ones of the room that they
 * are written to. */
void base64_encode(char *to, const void *from, size_t size);

/* The bytes of `size` characters, at most size / 4 * 3; they may go to where the text stands.
 * Returns how many, or -EINVAL where it is no base64. */
ssize_t base64_decode(void *to, const char *text, size_t size);
