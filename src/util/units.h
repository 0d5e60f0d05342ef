/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Numbers as people write them, in files and on command lines: time spans, sizes, booleans, and
 * bytes with C escapes; and back. Where not said otherwise a parser takes the whole text, with
 * blanks around it, and returns 0, -EINVAL (not of this kind) or -ERANGE (too large for us). What
 * a formatter writes, its parser reads as the same value.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UNITS_INFINITY UINT64_MAX
/* The longest finite span: two of them can be added, and one fits a signed JSON integer. */
#define UNITS_SPAN_MAX (UINT64_C(1) << 62)

enum { UNITS_TEXT_MAX = 80 }; /* room for any formatted span or size */

/* As in systemd.time(7): "250ms", "1min 30s", "1.5h", "infinity"; a bare number is seconds. */
int units_span_parse(const char *text, uint64_t *usec);
void units_span_format(uint64_t usec, char text[UNITS_TEXT_MAX]);

/* The same for people, who need no microseconds: "250ms", "1s 500ms", "5min 3s", "2h 10min". */
struct units_words {
        char text[UNITS_TEXT_MAX];
};
struct units_words units_span_words(uint64_t usec);

/* "1 message", "2 messages"; and what was done with so many: "was", "were". */
struct units_words units_messages(uint64_t n);
const char *units_were(uint64_t n);

/* Bytes, with K, M, G or T to the base of 1024. */
int units_size_parse(const char *text, uint64_t *bytes);
void units_size_format(uint64_t bytes, char text[UNITS_TEXT_MAX]);

/* Decimal digits only. */
int units_number_parse(const char *text, uint64_t *number);

/* As systemd's: 1 yes y true t on, 0 no n false f off, in any case. */
int units_bool_parse(const char *text, bool *yes);

/*
 * C escapes into bytes: \a \b \e \f \n \r \s (a space) \t \v \\ \" \' \? \xHH and one to three
 * octal digits. bytes has room for strlen(text). Returns how many there are, or -EINVAL.
 */
ssize_t units_unescape(const char *text, unsigned char *bytes);

/* The room that units_escape() needs for size bytes. */
#define UNITS_ESCAPE_ROOM(size) (4 * (size) + 1)

/* Printable ASCII as it is, all else, and blanks at either end, as escapes. */
void units_escape(const void *bytes, size_t size, char *text);
