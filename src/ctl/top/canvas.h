/* SPDX-License-Identifier: MIT */
#pragma once
/* The lines of a live screen, drawn from the top. Text beyond the last row or column is cut. */
#include <stdbool.h>
#include <stdio.h>

extern const char canvas_bold[], canvas_reverse[], canvas_red[], canvas_yellow[], canvas_green[];

struct canvas {
        FILE *to;
        int rows, columns, used;
        bool colour, utf8;
        bool stale; /* the values drawn from now on are old: the lines are dim, without style */
};

/* Draws one line, or nothing if all rows are used. Untrusted text is made safe as by show_safe().
 * style is an escape sequence or NULL. */
__attribute__((format(printf, 3, 4))) void canvas_line(struct canvas *canvas, const char *style,
                                                       const char *format, ...);

/* Draws text behind head, wrapped below the text's first column, in at most `lines` lines. head has
 * one column for each byte. */
void canvas_wrapped(struct canvas *canvas, const char *style, const char *head, const char *text,
                    int lines);

/* The number of unused rows. */
int canvas_room(const struct canvas *canvas);
