/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Text from outside, made fit for people: text of a peer may stand in a diag line or in JSON, but
 * must not control a terminal, begin a new line, or break the encoding.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True for a code point that is a *mark*: a control character, a change of the writing direction, a
 * line separator of some viewers, or an invisible character. (Joiners, which letters need, are no
 * marks.) */
bool text_is_mark(uint32_t point);

/*
 * Copies size bytes of text into out, which has room bytes and always ends with a NUL (if room is
 * not 0). Marks and bytes that are not UTF-8 become \n, \r, \t or \xNN; other characters stay. The
 * copy ends before the first escape or character that does not fit whole. Returns the length of
 * the text in out.
 */
size_t text_escape(char *out, size_t room, const char *text, size_t size);

/* Copies text with its NUL into out, which has room bytes; a longer text is cut behind a whole
 * character and ends in "...". Bytes that are not UTF-8 stay. room is at least 4. */
void text_cut(char *out, size_t room, const char *text);
