/* SPDX-License-Identifier: MIT */
#include "config/type.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_wrong(struct config_reading *reading, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        vsnprintf(reading->wrong, sizeof(reading->wrong), format, args);
        va_end(args);
        return -EINVAL;
}

void config_doubt(struct config_reading *reading, const char *format, ...)
{
        size_t used = strlen(reading->doubt);
        va_list args;

        if (used && used < sizeof(reading->doubt) - 3) {
                strcpy(reading->doubt + used, "; ");
                used += 2;
        }
        va_start(args, format);
        vsnprintf(reading->doubt + used, sizeof(reading->doubt) - used, format, args);
        va_end(args);
}

struct config_quoted config_quote(const char *text)
{
        static const char dots[] = "...";
        struct config_quoted quoted;
        size_t room = sizeof(quoted.text) - sizeof("\"\"") - strlen(dots);
        size_t size = strnlen(text, room + 1);
        bool cut = size > room;
        char mark;

        if (cut)
                for (size = room; size && ((unsigned char)text[size] & 0xc0) == 0x80;)
                        size--;
        mark = memchr(text, '"', size) ? '\'' : '"';
        snprintf(quoted.text, sizeof(quoted.text), "%c%.*s%s%c", mark, (int)size, text,
                 cut ? dots : "", mark);
        return quoted;
}

int config_read_words(struct config_reading *reading, const char *text,
                      int (*add)(struct config_reading *reading, const char *word))
{
        char *words = strdup(text), *rest = words, *word;
        int result = words ? 0 : -ENOMEM;

        while (result == 0 && (word = strsep(&rest, " \t")))
                if (*word)
                        result = add(reading, word);
        free(words);
        return result;
}

size_t config_count(const struct config_row *row, const struct config *config)
{
        return row->type->count ? row->type->count(row, config) : 1;
}

int config_same(const struct config_row *row, const struct config *a, const struct config *b)
{
        size_t n = config_count(row, a);
        int same = n == config_count(row, b);

        for (size_t i = 0; same > 0 && i < n; i++) {
                char *x = row->type->show(row, a, i), *y = row->type->show(row, b, i);

                same = !x || !y ? -ENOMEM : strcmp(x, y) == 0;
                free(x);
                free(y);
        }
        return same;
}
