/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/type.h"
#include "util/units.h"

typedef void show_fn(uint64_t value, char text[UNITS_TEXT_MAX]);

static void show_number(uint64_t value, char text[UNITS_TEXT_MAX])
{
        snprintf(text, UNITS_TEXT_MAX, "%" PRIu64, value);
}

/* Writes the range of the row into text: "0 (off) or at least 2s", "1 to 4". */
static void describe_range(const struct config_row *row, show_fn *show, char *text, size_t size)
{
        static const char *const zeros[] = {
                [CONFIG_ZERO_WRONG] = "",
                [CONFIG_ZERO_OFF] = "0 (off) or ",
                [CONFIG_ZERO_FINE] = "0 or ",
        };
        const char *zero = row->min > 1 || row->zero == CONFIG_ZERO_WRONG ? zeros[row->zero] : "";
        char min[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];

        show(row->zero != CONFIG_ZERO_WRONG && row->min <= 1 ? 0 : row->min, min);
        show(row->max, max);
        if (row->max && row->max < UNITS_SPAN_MAX)
                snprintf(text, size, "%s%s to %s", zero, min, max);
        else if (row->min <= 1)
                snprintf(text, size, "%smore than 0%s", zero, row->max ? ", and not infinity" : "");
        else
                snprintf(text, size, "%sat least %s", zero, min);
}

/* Returns 0 if value is in the range of the row, else config_wrong(). */
static int accept(struct config_reading *reading, const char *text, uint64_t value, show_fn *show)
{
        const struct config_row *row = reading->row;
        bool fits = value >= row->min && (!row->max || value <= row->max);
        char range[CONFIG_TEXT_MAX / 2];

        if (value ? fits : row->zero != CONFIG_ZERO_WRONG)
                return 0;
        describe_range(row, show, range, sizeof(range));
        return config_wrong(reading, "%s is out of range, expected %s", config_quote(text).text,
                            range);
}

static int read_span(struct config_reading *reading, const char *text)
{
        uint64_t *place = config_place(reading->row, reading->config), value;

        if (units_span_parse(text, &value) < 0)
                return config_wrong(reading,
                                    "%s is no time span, expected one such as 250ms, 3s or 1min "
                                    "30s",
                                    config_quote(text).text);
        if (value == UNITS_INFINITY && reading->row->zero == CONFIG_ZERO_OFF)
                value = 0;
        if (accept(reading, text, value, units_span_format) < 0)
                return -EINVAL;
        *place = value;
        return 0;
}

static char *show_span(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_TEXT_MAX];

        (void)i;
        units_span_format(*(const uint64_t *)config_place(row, config), text);
        return strdup(text);
}

const struct config_type config_type_span = {.read = read_span, .show = show_span};

static int read_size(struct config_reading *reading, const char *text)
{
        uint64_t *place = config_place(reading->row, reading->config), value;

        if (units_size_parse(text, &value) < 0)
                return config_wrong(reading, "%s is no size, expected one such as 64K, 16M or 1G",
                                    config_quote(text).text);
        if (accept(reading, text, value, units_size_format) < 0)
                return -EINVAL;
        *place = value;
        return 0;
}

static char *show_size(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_TEXT_MAX];

        (void)i;
        units_size_format(*(const uint64_t *)config_place(row, config), text);
        return strdup(text);
}

const struct config_type config_type_size = {.read = read_size, .show = show_size};

static int parse_count(struct config_reading *reading, const char *text, uint64_t *value)
{
        char range[CONFIG_TEXT_MAX / 2];

        if (units_number_parse(text, value) < 0) {
                describe_range(reading->row, show_number, range, sizeof(range));
                return config_wrong(reading, "%s is no such number, expected %s",
                                    config_quote(text).text, range);
        }
        return accept(reading, text, *value, show_number);
}

static int read_count(struct config_reading *reading, const char *text)
{
        uint64_t value;

        if (parse_count(reading, text, &value) < 0)
                return -EINVAL;
        *(uint64_t *)config_place(reading->row, reading->config) = value;
        return 0;
}

static char *show_count(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_TEXT_MAX];

        (void)i;
        show_number(*(const uint64_t *)config_place(row, config), text);
        return strdup(text);
}

const struct config_type config_type_count = {.read = read_count, .show = show_count};

static int read_small(struct config_reading *reading, const char *text)
{
        uint64_t value;

        if (parse_count(reading, text, &value) < 0)
                return -EINVAL;
        *(uint32_t *)config_place(reading->row, reading->config) = (uint32_t)value;
        return 0;
}

static char *show_small(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_TEXT_MAX];

        (void)i;
        show_number(*(const uint32_t *)config_place(row, config), text);
        return strdup(text);
}

const struct config_type config_type_small = {.read = read_small, .show = show_small};

static int read_signed(struct config_reading *reading, const char *text)
{
        bool minus = *text == '-';
        uint64_t value, max = reading->row->max;

        if (units_number_parse(text + (minus || *text == '+'), &value) < 0 || value > max)
                return config_wrong(reading,
                                    "%s is no such number, expected -%" PRIu64 " to %" PRIu64,
                                    config_quote(text).text, max, max);
        *(int64_t *)config_place(reading->row, reading->config) =
                minus ? -(int64_t)value : (int64_t)value;
        return 0;
}

static char *show_signed(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_TEXT_MAX];

        (void)i;
        snprintf(text, sizeof(text), "%" PRId64, *(const int64_t *)config_place(row, config));
        return strdup(text);
}

const struct config_type config_type_signed = {.read = read_signed, .show = show_signed};

static int read_bool(struct config_reading *reading, const char *text)
{
        if (units_bool_parse(text, config_place(reading->row, reading->config)) < 0)
                return config_wrong(reading, "%s is neither yes nor no, expected one of these",
                                    config_quote(text).text);
        return 0;
}

static char *show_bool(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return strdup(*(const bool *)config_place(row, config) ? "yes" : "no");
}

const struct config_type config_type_bool = {.read = read_bool, .show = show_bool};

static_assert(sizeof(enum config_slow) == sizeof(int) && sizeof(enum frame_type) == sizeof(int),
              "a word's value is stored as an int");

static int read_word(struct config_reading *reading, const char *text)
{
        const char *const *words = reading->row->words;
        char all[CONFIG_TEXT_MAX / 2] = "", *end = all;

        for (int i = 0; words[i]; i++) {
                if (strcmp(words[i], text) == 0) {
                        memcpy(config_place(reading->row, reading->config), &i, sizeof(i));
                        return 0;
                }
                end += snprintf(end, sizeof(all) - (size_t)(end - all), "%s%s",
                                i == 0         ? ""
                                : words[i + 1] ? ", "
                                               : " or ",
                                words[i]);
        }
        return config_wrong(reading, "%s is not known, expected %s", config_quote(text).text, all);
}

static char *show_word(const struct config_row *row, const struct config *config, size_t i)
{
        int value;

        (void)i;
        memcpy(&value, config_place(row, config), sizeof(value));
        return strdup(row->words[value]);
}

const struct config_type config_type_word = {.read = read_word, .show = show_word};

static int read_mode(struct config_reading *reading, const char *text)
{
        size_t size = strspn(text, "01234567");
        unsigned long mode = strtoul(text, NULL, 8);

        if (text[size] || size > 4 || mode == 0 || mode > 0777)
                return config_wrong(reading,
                                    "%s is no mode of a socket, expected octal digits such as 0660",
                                    config_quote(text).text);
        *(mode_t *)config_place(reading->row, reading->config) = (mode_t)mode;
        return 0;
}

static char *show_mode(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_TEXT_MAX];

        (void)i;
        snprintf(text, sizeof(text), "%04o", (unsigned)*(const mode_t *)config_place(row, config));
        return strdup(text);
}

const struct config_type config_type_mode = {.read = read_mode, .show = show_mode};
