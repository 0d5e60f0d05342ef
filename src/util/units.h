/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Values as people write them, in files and on command lines: time spans, sizes, numbers, booleans,
 * and bytes with C escapes; and back. A units_..._parse() takes the whole text, with blanks around
 * the value, and returns 0, -EINVAL (the text is no such value) or -ERANGE (too large). The output
 * of a units_..._format() parses to the same value.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UNITS_INFINITY UINT64_MAX
/* The longest finite span: the sum of two fits uint64_t, and each fits a signed JSON integer. */
#define UNITS_SPAN_MAX (UINT64_C(1) << 62)

enum { UNITS_TEXT_MAX = 80 }; /* room for any formatted span or size */

/* Parses a span as in systemd.time(7): "250ms", "1min 30s", "1.5h", "infinity"; a number without a
 * unit is seconds. */
int units_span_parse(const char *text, uint64_t *usec);

/* Writes a span of at most UNITS_SPAN_MAX, or UNITS_INFINITY, exact to the microsecond. */
void units_span_format(uint64_t usec, char text[UNITS_TEXT_MAX]);

/* A text by value, for the arguments of a format. */
struct units_words {
        char text[UNITS_TEXT_MAX];
};

/* Returns a span for people, rounded down: "250ms", "1s 500ms", "5min 3s", "2h 10min". */
struct units_words units_span_words(uint64_t usec);

/* Returns a number of bytes for people, with three digits: "512", "1.50K", "64.0M". */
struct units_words units_bytes_words(uint64_t bytes);

/* Returns "1 message", "2 messages" ... */
struct units_words units_messages(uint64_t n);

/* Returns "was" for 1, else "were". */
const char *units_were(uint64_t n);

/* Parses a number of bytes, with K, M, G or T to the base of 1024, or B. */
int units_size_parse(const char *text, uint64_t *bytes);

/* Writes a number of bytes with the largest suffix that is exact. */
void units_size_format(uint64_t bytes, char text[UNITS_TEXT_MAX]);

/* Parses a number of decimal digits only. */
int units_number_parse(const char *text, uint64_t *number);

/* Parses a boolean of systemd: 1 yes y true t on, 0 no n false f off, in any case. */
int units_bool_parse(const char *text, bool *yes);

/*
 * Writes text as bytes, with C escapes decoded: \a \b \e \f \n \r \s (a space) \t \v \\ \" \' \?
 * \xHH and one to three octal digits. Blanks around the text count. bytes has room for
 * strlen(text). Returns the number of bytes, or -EINVAL.
 */
ssize_t units_unescape(const char *text, unsigned char *bytes);

/* The room of units_escape() for size bytes, with the NUL. */
#define UNITS_ESCAPE_ROOM(size) (4 * (size) + 1)

/* Writes size bytes as text for units_unescape(): printable ASCII stays, except the backslash; all
 * other bytes, and blanks at either end, become escapes. text has UNITS_ESCAPE_ROOM(size). */
void units_escape(const void *bytes, size_t size, char *text);
