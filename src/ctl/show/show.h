/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Values as text for people; and access to members of replies, which are not trusted: a member that
 * is missing or has the wrong type reads as the caller's default.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum { SHOW_SIZE = 32 }; /* room for a span, a number of bytes, or a number */

/* "3.2ms", "12s", "3min 4s", "2d 5h": at most two units. Returns text. */
const char *show_span(uint64_t usec, char text[SHOW_SIZE]);

/* "0", "812", "1.20K", "3.40G": bytes, base 1024. Returns text. */
const char *show_bytes(uint64_t bytes, char text[SHOW_SIZE]);

/* All digits below a million, then "1.23M": base 1000. Returns text. */
const char *show_number(uint64_t number, char text[SHOW_SIZE]);

/* "####....": the share of part in whole, as `width` characters, at most SHOW_SIZE - 1. A part
 * above 0 has at least one #, and only a full whole has no dot. Returns text. */
const char *show_bar(uint64_t part, uint64_t whole, int width, char text[SHOW_SIZE]);

/* The percentage of part in whole, rounded down, at most 999; 0 if whole is 0. */
int show_percent(uint64_t part, uint64_t whole);

/*
 * Writes untrusted bytes without harm to a terminal: control characters, marks that turn the
 * direction of writing or are invisible, and bytes that are no UTF-8 become escapes as in C. Stops
 * behind the character at byte `max`, and adds "... (SIZE bytes)".
 */
void show_safe(FILE *to, const void *data, size_t size, size_t max);

/* Writes two hexadecimal digits for each byte. */
void show_hex(FILE *to, const void *data, size_t size);

/* True if the bytes are mostly text: at most a quarter is unprintable. */
bool show_is_text(const void *data, size_t size);

/* Writes text as show_safe() does, wrapped at spaces before column `width`, and a newline. The
 * first line begins at column `at`, the others behind `indent` spaces. */
void show_wrapped(FILE *to, const char *text, int at, int indent, int width);

/* The local time in usec from now, with the date unless today: "14:03:12", "Nov 23 14:03". Returns
 * text. */
const char *show_until(uint64_t usec, char text[SHOW_SIZE]);

/* True if stdout is a terminal with colours and NO_COLOR is not set. */
bool show_colour(void);

/* The integer member `key` of object, or otherwise. */
int64_t member_int(const json_t *object, const char *key, int64_t otherwise);

/* The string member `key` of object, owned by object, or otherwise. */
const char *member_text(const json_t *object, const char *key, const char *otherwise);

/* True if object has the member `key` with the value true. */
bool member_true(const json_t *object, const char *key);

/* The state of the link in a reply to Status; "closing" while a link is up that an operator holds:
 * the messages already begun are finished first. */
const char *member_state(const json_t *upstream);
