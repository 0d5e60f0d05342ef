/* SPDX-License-Identifier: MIT */
#include "util/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define USEC UINT64_C(1)
#define MSEC (1000 * USEC)
#define SEC  (1000 * MSEC)
#define MIN  (60 * SEC)
#define HOUR (60 * MIN)
#define DAY  (24 * HOUR)

static const struct span_unit {
        const char *name;
        uint64_t usec;
} span_units[] = {
        {"", SEC},
        {"s", SEC},
        {"sec", SEC},
        {"second", SEC},
        {"seconds", SEC},
        {"ms", MSEC},
        {"msec", MSEC},
        {"us", USEC},
        {"usec", USEC},
        {"\u00b5s", USEC},
        {"\u03bcs", USEC},
        {"m", MIN},
        {"min", MIN},
        {"minute", MIN},
        {"minutes", MIN},
        {"h", HOUR},
        {"hr", HOUR},
        {"hour", HOUR},
        {"hours", HOUR},
        {"d", DAY},
        {"day", DAY},
        {"days", DAY},
        {"w", 7 * DAY},
        {"week", 7 * DAY},
        {"weeks", 7 * DAY},
        {"M", 2629800 * SEC},
        {"month", 2629800 * SEC},
        {"months", 2629800 * SEC},
        {"y", 31557600 * SEC},
        {"year", 31557600 * SEC},
        {"years", 31557600 * SEC},
};

static const char *skip_blanks(const char *text)
{
        return text + strspn(text, " \t");
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* Returns the unit at *text, and moves *text behind the unit, which ends at a blank, a digit, a
 * point, a sign, or the end; or NULL. */
static const struct span_unit *unit_at(const char **text)
{
        size_t size = strcspn(*text, " \t0123456789.+-");

        for (size_t i = 0; i < sizeof(span_units) / sizeof(*span_units); i++) {
                if (strlen(span_units[i].name) == size &&
                    strncmp(span_units[i].name, *text, size) == 0) {
                        *text += size;
                        return &span_units[i];
                }
        }
        return NULL;
}

/* Parses digits at *text, and moves *text behind the digits. Returns 0, -EINVAL without digits, or
 * -ERANGE. */
static int digits_at(const char **text, uint64_t *number)
{
        const char *p = *text;

        *number = 0;
        if (!is_digit(*p))
                return -EINVAL;
        for (; is_digit(*p); p++)
                if (__builtin_mul_overflow(*number, 10, number) ||
                    __builtin_add_overflow(*number, (uint64_t)(*p - '0'), number))
                        return -ERANGE;
        *text = p;
        return 0;
}

/* Adds one part of a span, such as "12.5 min", to *usec. */
static int span_part(const char **text, uint64_t *usec)
{
        const struct span_unit *unit;
        const char *fraction = NULL;
        uint64_t number;
        int result = digits_at(text, &number);

        if (result < 0)
                return result;
        if (**text == '.') {
                fraction = ++*text;
                if (!is_digit(*fraction))
                        return -EINVAL;
                *text += strspn(fraction, "0123456789");
        }
        *text = skip_blanks(*text);
        unit = unit_at(text);
        if (!unit)
                return -EINVAL;
        if (__builtin_mul_overflow(number, unit->usec, &number) ||
            __builtin_add_overflow(*usec, number, usec) || *usec > UNITS_SPAN_MAX)
                return -ERANGE;
        for (uint64_t scale = unit->usec / 10; fraction && is_digit(*fraction); scale /= 10)
                *usec += scale * (uint64_t)(*fraction++ - '0');
        return *usec > UNITS_SPAN_MAX ? -ERANGE : 0;
}

int units_span_parse(const char *text, uint64_t *usec)
{
        uint64_t sum = 0;
        int result;

        text = skip_blanks(text);
        if (strncmp(text, "infinity", 8) == 0 && !*skip_blanks(text + 8)) {
                *usec = UNITS_INFINITY;
                return 0;
        }
        do {
                result = span_part(&text, &sum);
                if (result < 0)
                        return result;
                text = skip_blanks(text);
        } while (*text);
        *usec = sum;
        return 0;
}

void units_span_format(uint64_t usec, char text[UNITS_TEXT_MAX])
{
        static const struct span_unit units[] = {
                {"d", DAY}, {"h", HOUR}, {"min", MIN}, {"s", SEC}, {"ms", MSEC}, {"us", USEC},
        };
        size_t used = 0;

        if (usec == UNITS_INFINITY || usec == 0) {
                snprintf(text, UNITS_TEXT_MAX, "%s", usec ? "infinity" : "0");
                return;
        }
        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
                uint64_t n = usec / units[i].usec;

                if (n)
                        used += (size_t)snprintf(text + used, UNITS_TEXT_MAX - used,
                                                 "%s%" PRIu64 "%s", used ? " " : "", n,
                                                 units[i].name);
                usec %= units[i].usec;
        }
}

struct units_words units_span_words(uint64_t usec)
{
        uint64_t unit = usec >= HOUR       ? MIN
                        : usec >= 10 * SEC ? SEC
                        : usec >= SEC      ? 100 * MSEC
                                           : MSEC;
        struct units_words words = {""};

        units_span_format(usec - usec % unit, words.text);
        return words;
}

struct units_words units_bytes_words(uint64_t bytes)
{
        const char *unit = "KMGTPE";
        double value = (double)bytes / 1024;
        struct units_words words;

        if (bytes < 1024) {
                snprintf(words.text, sizeof(words.text), "%" PRIu64, bytes);
                return words;
        }
        while (value >= 1024 && unit[1]) {
                value /= 1024;
                unit++;
        }
        snprintf(words.text, sizeof(words.text), "%.*f%c",
                 value < 10    ? 2
                 : value < 100 ? 1
                               : 0,
                 value, *unit);
        return words;
}

struct units_words units_messages(uint64_t n)
{
        struct units_words words;

        snprintf(words.text, sizeof(words.text), "%" PRIu64 " message%s", n, n == 1 ? "" : "s");
        return words;
}

const char *units_were(uint64_t n)
{
        return n == 1 ? "was" : "were";
}

int units_number_parse(const char *text, uint64_t *number)
{
        uint64_t value;
        int result;

        text = skip_blanks(text);
        result = digits_at(&text, &value);
        if (result < 0)
                return result;
        if (*skip_blanks(text))
                return -EINVAL;
        *number = value;
        return 0;
}

static const char size_suffixes[] = "KMGT";

int units_size_parse(const char *text, uint64_t *bytes)
{
        const char *suffix;
        uint64_t value;
        int result;

        text = skip_blanks(text);
        result = digits_at(&text, &value);
        if (result < 0)
                return result;
        text = skip_blanks(text);
        suffix = *text ? strchr(size_suffixes, *text) : NULL;
        if (*text && !suffix && *text != 'B')
                return -EINVAL;
        if (*text && *skip_blanks(text + 1))
                return -EINVAL;
        for (const char *s = size_suffixes; suffix && s <= suffix; s++)
                if (__builtin_mul_overflow(value, 1024, &value))
                        return -ERANGE;
        *bytes = value;
        return 0;
}

void units_size_format(uint64_t bytes, char text[UNITS_TEXT_MAX])
{
        size_t n = 0;

        while (bytes && bytes % 1024 == 0 && n < sizeof(size_suffixes) - 1) {
                bytes /= 1024;
                n++;
        }
        snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "%.*s", bytes, n ? 1 : 0,
                 size_suffixes + (n ? n - 1 : 0));
}

int units_bool_parse(const char *text, bool *yes)
{
        static const char *const words[][2] = {
                {"0", "1"}, {"no", "yes"}, {"n", "y"}, {"false", "true"}, {"f", "t"}, {"off", "on"},
        };
        size_t size;

        text = skip_blanks(text);
        size = strcspn(text, " \t");
        if (*skip_blanks(text + size))
                return -EINVAL;
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
                for (int j = 0; j < 2; j++) {
                        if (strlen(words[i][j]) == size &&
                            strncasecmp(text, words[i][j], size) == 0) {
                                *yes = j;
                                return 0;
                        }
                }
        }
        return -EINVAL;
}

static int hex_digit(char c)
{
        return is_digit(c)                  ? c - '0'
               : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                            : -1;
}

/* Returns the byte of the escape at *text, behind a backslash, and moves *text behind the escape;
 * -EINVAL for an unknown escape. */
static int escape_at(const char **text)
{
        static const char letters[] = "abefnrstv\\\"'?";
        static const char bytes[] = "\a\b\033\f\n\r \t\v\\\"'?";
        const char *letter = **text ? strchr(letters, **text) : NULL;
        int value = 0;

        if (letter) {
                ++*text;
                return bytes[letter - letters];
        }
        if (**text == 'x') {
                int high = hex_digit((*text)[1]), low = high < 0 ? -1 : hex_digit((*text)[2]);

                *text += 3;
                return low < 0 ? -EINVAL : high * 16 + low;
        }
        if (**text < '0' || **text > '7')
                return -EINVAL;
        for (int i = 0; i < 3 && **text >= '0' && **text <= '7'; i++)
                value = value * 8 + *(*text)++ - '0';
        return value > 255 ? -EINVAL : value;
}

ssize_t units_unescape(const char *text, unsigned char *bytes)
{
        ssize_t n = 0;

        while (*text) {
                int byte = (unsigned char)*text++;

                if (byte == '\\')
                        byte = escape_at(&text);
                if (byte < 0)
                        return -EINVAL;
                bytes[n++] = (unsigned char)byte;
        }
        return n;
}

void units_escape(const void *bytes, size_t size, char *text)
{
        static const char controls[] = "\a\b\f\n\r\t\v\\", letters[] = "abfnrtv\\";
        const unsigned char *byte = bytes;

        for (size_t i = 0; i < size; i++) {
                const char *control = byte[i] ? strchr(controls, byte[i]) : NULL;
                bool edge = i == 0 || i == size - 1;

                if (control)
                        text += sprintf(text, "\\%c", letters[control - controls]);
                else if (byte[i] < ' ' || byte[i] > '~' || (byte[i] == ' ' && edge))
                        text += sprintf(text, "\\x%02x", byte[i]);
                else
                        *text++ = (char)byte[i];
        }
        *text = '\0';
}
