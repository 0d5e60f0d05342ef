/* SPDX-License-Identifier: MIT */
#include "ctl/show/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/text.h"

/* 1000 years: a later time has no useful year. */
#define YEARS_USEC UINT64_C(31557600000000000)

const char *show_span(uint64_t usec, char text[SHOW_SIZE])
{
        static const struct {
                uint64_t usec;
                const char *unit;
        } units[] = {
                {86400000000, "d"},
                {3600000000, "h"},
                {60000000, "min"},
                {1000000, "s"},
        };

        if (usec < 1000)
                snprintf(text, SHOW_SIZE, "%" PRIu64 "us", usec);
        else if (usec < 10000)
                snprintf(text, SHOW_SIZE, "%.1fms", (double)usec / 1e3);
        else if (usec < 1000000)
                snprintf(text, SHOW_SIZE, "%" PRIu64 "ms", usec / 1000);
        else if (usec < 10000000)
                snprintf(text, SHOW_SIZE, "%.1fs", (double)usec / 1e6);
        else if (usec >= 1000 * units[0].usec)
                snprintf(text, SHOW_SIZE, "%" PRIu64 "d", usec / units[0].usec);
        else if (usec < 60000000)
                snprintf(text, SHOW_SIZE, "%" PRIu64 "s", usec / 1000000);
        else
                for (size_t i = 0; i < 3; i++) {
                        if (usec < units[i].usec)
                                continue;
                        snprintf(text, SHOW_SIZE, "%" PRIu64 "%s %" PRIu64 "%s",
                                 usec / units[i].usec, units[i].unit,
                                 usec % units[i].usec / units[i + 1].usec, units[i + 1].unit);
                        break;
                }
        return text;
}

/* Formats value with three significant digits, in the largest unit with a digit before the point.
 */
static void scaled(double value, double base, const char *units, char text[SHOW_SIZE])
{
        while (value >= base && units[1]) {
                value /= base;
                units++;
        }
        snprintf(text, SHOW_SIZE, "%.*f%c", value < 10 ? 2 : value < 100 ? 1 : 0, value, *units);
}

const char *show_bytes(uint64_t bytes, char text[SHOW_SIZE])
{
        if (bytes < 1024)
                snprintf(text, SHOW_SIZE, "%" PRIu64, bytes);
        else
                scaled((double)bytes / 1024, 1024, "KMGTPE", text);
        return text;
}

const char *show_number(uint64_t number, char text[SHOW_SIZE])
{
        if (number < 1000000)
                snprintf(text, SHOW_SIZE, "%" PRIu64, number);
        else
                scaled((double)number / 1e6, 1000, "MGTPE", text);
        return text;
}

const char *show_bar(uint64_t part, uint64_t whole, int width, char text[SHOW_SIZE])
{
        double share = whole ? (double)part / (double)whole : 0;
        int full = share < 1 ? (int)(share * width) : width;

        if (full == 0 && part > 0)
                full = 1;
        memset(text, '#', (size_t)full);
        memset(text + full, '.', (size_t)(width - full));
        text[width] = '\0';
        return text;
}

int show_percent(uint64_t part, uint64_t whole)
{
        double percent = whole ? (double)part / (double)whole * 100 : 0;

        return percent > 999 ? 999 : (int)percent;
}

/* The size of the UTF-8 character at data, or 0 if data begins with no printable character. */
static size_t printable(const unsigned char *data, size_t size)
{
        size_t n = *data < 0x80 ? 1 : *data < 0xc2 ? 0 : *data < 0xe0 ? 2 : *data < 0xf0 ? 3 : 4;
        uint32_t point = n ? *data & (n == 1 ? 0x7f : 0xff >> (n + 1)) : 0;

        if (n == 0 || *data > 0xf4 || n > size)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((data[i] & 0xc0) != 0x80)
                        return 0;
                point = point << 6 | (data[i] & 0x3f);
        }
        if (text_is_mark(point) || point > 0x10ffff)
                return 0;
        if ((n == 3 && point < 0x800) || (n == 4 && point < 0x10000) ||
            (point >= 0xd800 && point < 0xe000))
                return 0;
        return n;
}

static void show_escape(FILE *to, unsigned char c)
{
        static const char letters[] = "\aa\bb\tt\nn\vv\ff\rr";

        for (const char *p = letters; *p; p += 2)
                if (c == (unsigned char)*p) {
                        fprintf(to, "\\%c", p[1]);
                        return;
                }
        fprintf(to, "\\x%02x", c);
}

void show_safe(FILE *to, const void *data, size_t size, size_t max)
{
        const unsigned char *p = data;
        size_t n = size < max ? size : max;

        for (size_t i = 0; i < n;) {
                size_t whole = printable(p + i, size - i);

                if (whole)
                        fwrite(p + i, 1, whole, to);
                else
                        show_escape(to, p[i]);
                i += whole ? whole : 1;
        }
        if (size > max)
                fprintf(to, "... (%zu bytes)", size);
}

void show_hex(FILE *to, const void *data, size_t size)
{
        static const char digits[] = "0123456789abcdef";
        const unsigned char *p = data;

        for (size_t i = 0; i < size; i++) {
                putc_unlocked(digits[p[i] >> 4], to);
                putc_unlocked(digits[p[i] & 15], to);
        }
}

bool show_is_text(const void *data, size_t size)
{
        const unsigned char *p = data;
        size_t strange = 0;

        for (size_t i = 0; i < size;) {
                size_t whole = printable(p + i, size - i);

                strange += !whole && !strchr("\t\n\r", p[i] ? p[i] : 1);
                i += whole ? whole : 1;
        }
        return strange <= size / 4;
}

void show_wrapped(FILE *to, const char *text, int at, int indent, int width)
{
        bool first = true;

        while (*text) {
                int word = (int)strcspn(text, " ");

                if (!first && at + 1 + word > width) {
                        fprintf(to, "\n%*s", indent, "");
                        at = indent;
                } else if (!first) {
                        fputc(' ', to);
                        at++;
                }
                show_safe(to, text, (size_t)word, (size_t)word);
                at += word;
                text += word;
                text += strspn(text, " ");
                first = false;
        }
        fputc('\n', to);
}

const char *show_until(uint64_t usec, char text[SHOW_SIZE])
{
        time_t now = time(NULL), then = now + (time_t)(usec / 1000000);
        struct tm today = {0}, day = {0};
        bool same, year;

        if (usec > YEARS_USEC || !localtime_r(&now, &today) || !localtime_r(&then, &day))
                return strcpy(text, "a day far away");
        same = today.tm_yday == day.tm_yday && today.tm_year == day.tm_year;
        year = today.tm_year == day.tm_year;
        strftime(text, SHOW_SIZE, same ? "%H:%M:%S" : year ? "%b %d %H:%M" : "%F %H:%M", &day);
        return text;
}

bool show_colour(void)
{
        const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

        return isatty(STDOUT_FILENO) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}

int64_t member_int(const json_t *object, const char *key, int64_t otherwise)
{
        const json_t *value = json_object_get(object, key);

        return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

const char *member_text(const json_t *object, const char *key, const char *otherwise)
{
        const char *text = json_string_value(json_object_get(object, key));

        return text ? text : otherwise;
}

bool member_true(const json_t *object, const char *key)
{
        return json_is_true(json_object_get(object, key));
}

const char *member_state(const json_t *upstream)
{
        const char *state = member_text(upstream, "state", "?");

        bool open = strcmp(state, "up") == 0 || strcmp(state, "connected") == 0;

        return open && member_text(upstream, "heldBy", NULL) ? "closing" : state;
}
