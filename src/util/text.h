/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Text from outside made fit for people: what a peer chose may stand in a log line or in JSON, but
 * must not steer a terminal, begin a line of its own, or break the encoding.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is this code point a control character, or a mark that turns the direction of writing, begins a
 * line in some viewers, or cannot be seen? (Joiners, which letters need, are none.) */
bool text_is_mark(uint32_t point);

/*
 * Copies size bytes of text into out, room bytes with the NUL that always ends it. Control
 * characters, such marks, and bytes that are not UTF-8 become \n, \r, \t or \xNN; everything else
 * stays as it is. What does not fit is left out whole, never half an escape or half a character.
 * Returns the length of what stands in out.
 */
size_t text_escape(char *out, size_t room, const char *text, size_t size);

/* Copies a text, or as many of its characters as there is room for with "..." behind them, and the
 * NUL. What is not UTF-8 is copied as it is. room is at least 4. */
void text_cut(char *out, size_t room, const char *text);
