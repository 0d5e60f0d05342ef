/* SPDX-License-Identifier: MIT */
#include "util/suggest.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { SUGGEST_LENGTH_MAX = 40 }; /* no known name is longer; longer words match nothing */

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

static bool same_letter(char a, char b)
{
        return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Returns the number of insertions, deletions, substitutions and swaps of neighbours from a to b.
 */
static unsigned distance_of(const char *a, size_t a_size, const char *b, size_t b_size)
{
        unsigned rows[3][SUGGEST_LENGTH_MAX + 1];
        unsigned *before = rows[0], *above = rows[1], *row = rows[2], *oldest;

        for (size_t j = 0; j <= b_size; j++)
                before[j] = above[j] = (unsigned)j;
        for (size_t i = 1; i <= a_size; i++) {
                row[0] = (unsigned)i;
                for (size_t j = 1; j <= b_size; j++) {
                        bool same = same_letter(a[i - 1], b[j - 1]);

                        row[j] = least(above[j] + 1, row[j - 1] + 1);
                        row[j] = least(row[j], above[j - 1] + !same);
                        if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                            same_letter(a[i - 2], b[j - 1]))
                                row[j] = least(row[j], before[j - 2] + 1);
                }
                oldest = before;
                before = above;
                above = row;
                row = oldest;
        }
        return above[b_size];
}

struct suggest suggest_begin(const char *word)
{
        return (struct suggest){.word = word, .distance = UINT_MAX};
}

void suggest_offer(struct suggest *suggest, const char *name)
{
        size_t word_size = strnlen(suggest->word, SUGGEST_LENGTH_MAX + 1), name_size = strlen(name);
        unsigned distance;

        if (word_size > SUGGEST_LENGTH_MAX || name_size > SUGGEST_LENGTH_MAX)
                return;
        distance = distance_of(suggest->word, word_size, name, name_size);
        /* People who half remember a name type a part of the name. */
        if (word_size >= 4 && (strcasestr(name, suggest->word) || strcasestr(suggest->word, name)))
                distance = least(distance, 2);
        if (distance < suggest->distance && distance <= 1 + name_size / 4) {
                suggest->distance = distance;
                suggest->best = name;
        }
}

const char *suggest_best(const struct suggest *suggest)
{
        return suggest->best;
}
