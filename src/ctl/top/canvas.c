/* SPDX-License-Identifier: MIT */
#include "ctl/top/canvas.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"

enum { TEXT = 4096 };

static const char plain[] = "\033[0m", to_end[] = "\033[K", dim[] = "\033[2m";
const char canvas_bold[] = "\033[1m", canvas_reverse[] = "\033[7m", canvas_red[] = "\033[1;31m",
           canvas_yellow[] = "\033[1;33m", canvas_green[] = "\033[1;32m";

/* Writes text, made safe, up to the last column of the canvas. */
static void write_cut(struct canvas *canvas, const char *text)
{
        char *safe = NULL;
        size_t size = 0, at = 0;
        FILE *memory = open_memstream(&safe, &size);
        int columns = 0;

        if (!memory)
                return;
        show_safe(memory, text, strlen(text), strlen(text));
        fclose(memory);
        for (; at < size; at++) {
                columns += ((unsigned char)safe[at] & 0xc0) != 0x80;
                if (columns > canvas->columns)
                        break;
        }
        fwrite(safe, 1, at, canvas->to);
        free(safe);
}

void canvas_line(struct canvas *canvas, const char *style, const char *format, ...)
{
        char text[TEXT];
        va_list args;

        if (canvas->used >= canvas->rows)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        style = !canvas->colour ? NULL : canvas->stale ? dim : style;
        fputs(canvas->used++ ? "\r\n" : "", canvas->to);
        /* Erases before the text: behind a full line, the escape would erase the last character. */
        fputs(to_end, canvas->to);
        fputs(style ? style : "", canvas->to);
        write_cut(canvas, text);
        fputs(style ? plain : "", canvas->to);
}

void canvas_wrapped(struct canvas *canvas, const char *style, const char *head, const char *text,
                    int lines)
{
        int indent = (int)strlen(head);
        char *wrapped = NULL, *rest, *line;
        size_t size = 0;
        FILE *memory = open_memstream(&wrapped, &size);

        if (!memory)
                return;
        /* With hardly any room behind the head, the text is not wrapped but cut. */
        show_wrapped(memory, text, indent, indent,
                     canvas->columns > 2 * indent ? canvas->columns : TEXT);
        fclose(memory);
        rest = wrapped;
        for (int i = 0; i < lines && (line = strsep(&rest, "\n")) && (i == 0 || *line); i++)
                canvas_line(canvas, style, "%s%s", i ? "" : head, line);
        free(wrapped);
}

int canvas_room(const struct canvas *canvas)
{
        return canvas->rows - canvas->used;
}
