/* SPDX-License-Identifier: MIT */
#pragma once
/* The lines of a live screen: never more or longer than there is room for. */
#include <stdbool.h>
#include <stdio.h>

extern const char canvas_bold[], canvas_reverse[], canvas_red[], canvas_yellow[], canvas_green[];

struct canvas {
        FILE *to;
        int rows, columns, used;
        bool colour, utf8;
        bool stale; /* what is drawn now is old: it is dim, whatever its style */
};

/* One line of the screen; what is below its end is not drawn, and text of others can do no harm.
 * style: an escape, or NULL. */
__attribute__((format(printf, 3, 4))) void canvas_line(struct canvas *canvas, const char *style,
                                                       const char *format, ...);

/* Text behind `head`, which is so many columns wide as it is long; it goes on below itself, in at
 * most `lines` lines. */
void canvas_wrapped(struct canvas *canvas, const char *style, const char *head, const char *text,
                    int lines);

/* How many lines are left. */
int canvas_room(const struct canvas *canvas);
