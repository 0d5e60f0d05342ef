/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Text from outside made fit for people: what a peer chose may stand in a log line or in JSON, but
 * must not steer a terminal, begin a line of its own, or break the encoding.
 */
#include <stddef.h>

/*
 * Copies size bytes of text into out, room bytes with the NUL that always ends it. Control
 * characters and bytes that are not UTF-8 become \n, \r, \t or \xNN; everything else stays as it
 * is. What does not fit is left out whole, never half an escape or half a character. Returns the
 * length of what stands in out.
 */
size_t text_escape(char *out, size_t room, const char *text, size_t size);
