/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Values as people read them, and replies read without trust: a member that is missing or of
 * another type than expected reads as its default.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

enum { SHOW_SIZE = 32 }; /* enough for each of the first three */

/* "3.2ms", "12s", "3min 4s", "2d 5h": at most two units. Returns text. */
const char *show_span(uint64_t usec, char text[SHOW_SIZE]);

/* "0", "812", "1.2K", "3.4G": bytes, base 1024. Returns text. */
const char *show_bytes(uint64_t bytes, char text[SHOW_SIZE]);

/* Whole up to six digits, then "1.23M": base 1000. Returns text. */
const char *show_number(uint64_t number, char text[SHOW_SIZE]);

/* "####....": how much of the whole is there, in `width` characters, at most SHOW_SIZE - 1; a
 * little is seen, and full is only what is full. Returns text. */
const char *show_bar(uint64_t part, uint64_t whole, int width, char text[SHOW_SIZE]);

/* 0 to 100, and more where there is more than the whole; nothing of nothing is 0. */
int show_percent(uint64_t part, uint64_t whole);

/*
 * Writes bytes of others so that they can do nothing to a terminal: control characters, marks
 * that turn or hide what stands beside them, and bytes that are no UTF-8 become escapes as in C. At
 * most `max` bytes are shown, then how many there are.
 */
void show_safe(FILE *to, const void *data, size_t size, size_t max);

/* Writes two digits a byte. */
void show_hex(FILE *to, const void *data, size_t size);

/* Do most of these bytes say something to people? */
bool show_is_text(const void *data, size_t size);

/* Writes words, broken at spaces before column `width`, each line behind `indent` spaces; the first
 * one begins at column `at`. Ends with a newline. Safe as above. */
void show_wrapped(FILE *to, const char *text, int at, int indent, int width);

/* The local time in so long, with the day where that is another: "14:03:12", "Nov 23 14:03".
 * Returns text. */
const char *show_until(uint64_t usec, char text[SHOW_SIZE]);

/* Is stdout for eyes that see colours? */
bool show_colour(void);

int64_t member_int(const json_t *object, const char *key, int64_t otherwise);
const char *member_text(const json_t *object, const char *key, const char *otherwise);
bool member_true(const json_t *object, const char *key);

/* The state of the link, of a reply to Status: as it is there, but "closing" while it is only still
 * up because what was begun is finished before it is held. */
const char *member_state(const json_t *upstream);
