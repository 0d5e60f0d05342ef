/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "ctl/top/top.h"

enum {
        INTERVAL_MIN_USEC = TOP_INTERVAL_MIN_USEC,
        INTERVAL_MAX_USEC = TOP_INTERVAL_MAX_USEC,
};

static void change_pace(struct top *top, bool faster)
{
        uint64_t usec = faster ? top->interval_usec / 2 : top->interval_usec * 2;

        top->interval_usec = usec < INTERVAL_MIN_USEC   ? INTERVAL_MIN_USEC
                             : usec > INTERVAL_MAX_USEC ? INTERVAL_MAX_USEC
                                                        : usec;
}

/* Obeys the command of a letter. False if the letter quits. */
static bool take_letter(struct top *top, char key)
{
        for (int i = 0; i < TOP_SORTS; i++)
                if (key == top_sort_key((enum top_sort)i))
                        top->sort = (enum top_sort)i;
        switch (key) {
        case 'q':
        case 'Q': return false;
        case '<': top->sort = (enum top_sort)((top->sort + TOP_SORTS - 1) % TOP_SORTS); break;
        case '>': top->sort = (enum top_sort)((top->sort + 1) % TOP_SORTS); break;
        case 'r': top->reverse = !top->reverse; break;
        case '+': change_pace(top, true); break;
        case '-': change_pace(top, false); break;
        default: break;
        }
        top_arrange(top);
        return true;
}

static void scroll_up(struct top *top, size_t by)
{
        top->first = top->first > by ? top->first - by : 0;
}

/* Scrolls down, perhaps too far: top_table() limits top->first to the last full page. */
static void scroll_down(struct top *top, size_t by)
{
        top->first = top->first + by < top->n_rows ? top->first + by : top->n_rows;
}

/* Obeys a cursor key; keys is the text behind the escape character. Returns the number of
 * characters of the key; 0: not a known key. */
static size_t take_cursor_key(struct top *top, const char *keys, size_t n)
{
        enum { UP, DOWN, PAGE_UP, PAGE_DOWN, BEGIN, END };
        static const struct {
                const char *text;
                int what;
        } known[] = {
                {"[A", UP},       {"OA", UP},         {"[B", DOWN},  {"OB", DOWN},
                {"[5~", PAGE_UP}, {"[6~", PAGE_DOWN}, {"[H", BEGIN}, {"OH", BEGIN},
                {"[1~", BEGIN},   {"[F", END},        {"OF", END},   {"[4~", END},
        };
        size_t page = top->page ? top->page : 1;

        for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
                size_t size = strlen(known[i].text);

                if (n < size || memcmp(keys, known[i].text, size) != 0)
                        continue;
                switch (known[i].what) {
                case UP: scroll_up(top, 1); break;
                case DOWN: scroll_down(top, 1); break;
                case PAGE_UP: scroll_up(top, page); break;
                case PAGE_DOWN: scroll_down(top, page); break;
                case BEGIN: top->first = 0; break;
                default: top->first = top->n_rows; break;
                }
                return size;
        }
        return 0;
}

bool top_keys(struct top *top, const char *keys, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                size_t size;

                if (keys[i] != '\033') {
                        if (!take_letter(top, keys[i]))
                                return false;
                        continue;
                }
                size = take_cursor_key(top, keys + i + 1, n - i - 1);
                /* The characters of an unknown function key are no commands. */
                if (!size)
                        break;
                i += size;
        }
        return true;
}
