/* SPDX-License-Identifier: MIT */
#include "ctl/talk/frame_args.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/ctl.h"
#include "util/units.h"

enum { KEYS = FRAME_ARGS_MAX_SIZE - FRAME_ARGS_TYPE + 1 };

static const char *const keys[KEYS] = {
        "Type",         "LengthSize", "LengthFormat",   "LengthOffset",
        "LengthAdjust", "Delimiter",  "MaxMessageSize",
};

/* The index of value among words, or -1. */
static int choose(const char *value, const char *const *words, int n)
{
        for (int i = 0; i < n; i++)
                if (strcmp(value, words[i]) == 0)
                        return i;
        return -1;
}

static bool number(const char *value, uint64_t min, uint64_t max, uint32_t *to)
{
        uint64_t n;

        if (units_number_parse(value, &n) < 0 || n < min || n > max)
                return false;
        *to = (uint32_t)n;
        return true;
}

static const char *set_type(struct frame_spec *spec, const char *value)
{
        static const char *const words[] = {"length", "delimiter"};
        int i = choose(value, words, 2);

        if (i < 0)
                return "expected length or delimiter";
        spec->type = (enum frame_type)i;
        return NULL;
}

static const char *set_format(struct frame_spec *spec, const char *value)
{
        static const char *const words[] = {"big", "little", "decimal", "hex"};
        int i = choose(value, words, 4);

        if (i < 0)
                return "expected big, little, decimal or hex";
        spec->format = (enum frame_format)i;
        return NULL;
}

static const char *set_adjust(struct frame_spec *spec, const char *value)
{
        bool minus = *value == '-';
        uint64_t n;

        if (units_number_parse(value + (minus || *value == '+'), &n) < 0 || n > INT32_MAX)
                return "expected a number of bytes, like -4";
        spec->length_adjust = minus ? -(int64_t)n : (int64_t)n;
        return NULL;
}

static const char *set_delimiter(struct frame_spec *spec, const char *value)
{
        unsigned char *bytes = malloc(strlen(value) + 1);
        ssize_t n = bytes ? units_unescape(value, bytes) : -1;

        if (n >= 1 && n <= FRAME_DELIMITER_MAX) {
                memcpy(spec->delimiter, bytes, (size_t)n);
                spec->delimiter_size = (uint32_t)n;
        }
        free(bytes);
        return n >= 1 && n <= FRAME_DELIMITER_MAX ? NULL
                                                  : "expected 1 to 4 bytes, with escapes as in C";
}

const char *frame_args_set(struct frame_spec *spec, const char *key, const char *value)
{
        int row = 0;

        while (row < KEYS && strcmp(keys[row], key) != 0)
                row++;
        switch (FRAME_ARGS_TYPE + row) {
        case FRAME_ARGS_TYPE: return set_type(spec, value);
        case FRAME_ARGS_LENGTH_FORMAT: return set_format(spec, value);
        case FRAME_ARGS_LENGTH_ADJUST: return set_adjust(spec, value);
        case FRAME_ARGS_DELIMITER: return set_delimiter(spec, value);
        case FRAME_ARGS_LENGTH_SIZE:
                return number(value, 1, FRAME_LENGTH_SIZE_MAX, &spec->length_size)
                               ? NULL
                               : "expected 1 to 4 bytes";
        case FRAME_ARGS_LENGTH_OFFSET:
                return number(value, 0, FRAME_LENGTH_OFFSET_MAX, &spec->length_offset)
                               ? NULL
                               : "expected 0 to 60 bytes";
        case FRAME_ARGS_MAX_SIZE:
                return units_size_parse(value, &spec->max_message_size) >= 0 &&
                                       spec->max_message_size > 0
                               ? NULL
                               : "expected a size like 64K or 16M";
        default: return NULL;
        }
}

struct frame_spec frame_args_default(void)
{
        struct frame_spec spec = frame_spec_default;

        spec.delimiter[0] = '\n';
        spec.delimiter_size = 1;
        return spec;
}

int frame_args_from_config(struct ctl *ctl, const json_t *settings, struct frame_spec *spec)
{
        const json_t *setting;
        size_t i;

        *spec = frame_args_default();
        json_array_foreach(settings, i, setting)
        {
                const char *key = member_text(setting, "key", "");
                const char *value = member_text(setting, "value", "");
                const char *error;

                if (strcmp(member_text(setting, "section", ""), "Frame") != 0)
                        continue;
                error = frame_args_set(spec, key, value);
                if (error)
                        return ctl_fail(ctl, CTL_FAILED,
                                        "this ftcpd has a frame that this ftcpctl does not know: "
                                        "[Frame] %s=%s: %s",
                                        key, value, error);
        }
        return CTL_DONE;
}

bool frame_args_option(struct ctl *ctl, struct frame_spec *spec, int option, const char *value)
{
        const char *error = frame_args_set(spec, keys[option - FRAME_ARGS_TYPE], value);
        const struct verb_option *row = ctl->verb->options;

        while (row->value != option)
                row++;
        if (error)
                ctl_fail(ctl, 0, "--%s %s: %s", row->name, value, error);
        return !error;
}
