/* SPDX-License-Identifier: MIT */
#include "config/scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char blanks[] = " \t";

void config_scan_begin(struct config_scan *scan, const char *text, size_t size)
{
        static const char mark[] = "\xef\xbb\xbf"; /* some editors put this mark before UTF-8 */

        *scan = (struct config_scan){.rest = text, .end = text + size};
        if (size >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0)
                scan->rest += strlen(mark);
}

void config_scan_done(struct config_scan *scan)
{
        free(scan->joined);
}

/* Finds the next line of the text, without the line end. False at the end of the text. */
static bool next_line(struct config_scan *scan, const char **line, size_t *size)
{
        size_t left = (size_t)(scan->end - scan->rest);
        const char *newline = left ? memchr(scan->rest, '\n', left) : NULL;

        if (left == 0)
                return false;
        *line = scan->rest;
        *size = newline ? (size_t)(newline - scan->rest) : left;
        scan->rest = newline ? newline + 1 : scan->end;
        scan->line++;
        if (*size && (*line)[*size - 1] == '\r')
                --*size;
        return true;
}

/* False without memory. */
static bool append(struct config_scan *scan, const char *text, size_t size)
{
        if (scan->room - scan->used <= size) {
                size_t room = 2 * (scan->used + size) + 64;
                char *joined = realloc(scan->joined, room);

                scan->starved = !joined;
                if (!joined)
                        return false;
                scan->joined = joined;
                scan->room = room;
        }
        memcpy(scan->joined + scan->used, text, size);
        scan->used += size;
        scan->joined[scan->used] = '\0';
        return true;
}

static size_t blanks_before(const char *line, size_t size)
{
        size_t n = 0;

        while (n < size && (line[n] == ' ' || line[n] == '\t'))
                n++;
        return n;
}

/* True if the line ends with an odd number of backslashes: the last is not escaped. */
static bool continues(const char *line, size_t size)
{
        size_t n = 0;

        while (n < size && line[size - 1 - n] == '\\')
                n++;
        return n % 2;
}

/* Joins the next line that is neither blank nor a comment with its continuations. *first is the
 * number of the first line. False at the end of the text, or without
 * memory. */
static bool join_lines(struct config_scan *scan, unsigned *first)
{
        const char *line;
        size_t size;
        bool more = false;

        scan->used = 0;
        while (next_line(scan, &line, &size)) {
                size_t skip = blanks_before(line, size);

                if (skip < size && (line[skip] == '#' || line[skip] == ';'))
                        continue;
                if (!more && skip == size)
                        continue;
                if (!more)
                        *first = scan->line;
                more = continues(line, size);
                if (!append(scan, line, size - more))
                        return false;
                if (!more)
                        return true;
                if (!append(scan, " ", 1))
                        return false;
        }
        return more;
}

/* The bytes of the first UTF-8 character of text, or 0 if there is no valid character. */
static size_t character_size(const unsigned char *text, size_t left)
{
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        size_t size = *text < 0x80         ? 1
                      : *text >> 5 == 0x6  ? 2
                      : *text >> 4 == 0xe  ? 3
                      : *text >> 3 == 0x1e ? 4
                                           : 0;
        uint32_t code = size > 1 ? *text & (0x7fu >> size) : *text;

        if (size == 0 || size > left)
                return 0;
        for (size_t i = 1; i < size; i++) {
                if (text[i] >> 6 != 2)
                        return 0;
                code = code << 6 | (text[i] & 0x3f);
        }
        return code >= least[size] && code <= 0x10ffff && code >> 11 != 0x1b ? size : 0;
}

/* Returns the fault of a line that is not printable UTF-8 text, or NULL. */
static const char *text_fault(const char *line, size_t size)
{
        const unsigned char *text = (const unsigned char *)line;

        for (size_t i = 0, n; i < size; i += n) {
                n = character_size(text + i, size - i);
                if (n == 0)
                        return "the line is not UTF-8, expected text (other bytes as \\xHH)";
                if (text[i] == 0)
                        return "the line has a NUL byte, expected text";
                if ((text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
                        return "the line has a control character, expected text";
        }
        return NULL;
}

static char *trim(char *text)
{
        size_t size;

        text += strspn(text, blanks);
        size = strlen(text);
        while (size && strchr(blanks, text[size - 1]))
                text[--size] = '\0';
        return text;
}

static void read_section(char *text, struct config_item *item)
{
        size_t size = strlen(text);

        item->kind = CONFIG_ITEM_BAD_SECTION;
        if (text[size - 1] != ']') {
                item->value = "the line begins a section but does not end it, expected [Section]";
                return;
        }
        text[size - 1] = '\0';
        item->kind = CONFIG_ITEM_SECTION;
        item->name = text + 1;
}

static void read_assignment(char *text, struct config_item *item)
{
        char *equals = strchr(text, '=');

        item->kind = CONFIG_ITEM_BAD_LINE;
        item->value = "a line without \"=\", expected KEY=VALUE";
        if (equals == text) {
                item->value = "no key before \"=\", expected KEY=VALUE";
        } else if (equals) {
                *equals = '\0';
                item->kind = CONFIG_ITEM_ASSIGNMENT;
                item->name = trim(text);
                item->value = trim(equals + 1);
        }
}

bool config_scan_next(struct config_scan *scan, struct config_item *item)
{
        const char *fault;
        char *text;

        *item = (struct config_item){.kind = CONFIG_ITEM_BAD_LINE};
        do {
                if (!join_lines(scan, &item->line))
                        return false;
                fault = text_fault(scan->joined, scan->used);
                text = trim(scan->joined);
        } while (!fault && !*text);
        if (fault)
                item->value = fault;
        else if (*text == '[')
                read_section(text, item);
        else
                read_assignment(text, item);
        return true;
}
