/* SPDX-License-Identifier: MIT */
/* The table of clients in `ftcpctl top`: the columns that fit, and one page of the rows. */
#include <inttypes.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/top/canvas.h"
#include "ctl/top/top.h"

enum { ID, PID, PROGRAM, IN, OUT, QUEUED, FULL, DROPPED, COLUMNS };
enum { CELL = 64, LINE = 512 };

static const struct {
        const char *title;
        int width;    /* less than 0: aligned to the left */
        int keep;     /* without room, the columns with the lowest number go first */
        int sorts_by; /* an enum top_sort, or -1 */
} columns[COLUMNS] = {
        [ID] = {"ID", 6, 9, TOP_ID},
        [PID] = {"PID", 8, 1, -1},
        [PROGRAM] = {"PROGRAM", -18, 8, TOP_PROGRAM},
        [IN] = {"IN/s", 9, 5, TOP_IN},
        [OUT] = {"OUT/s", 9, 6, TOP_OUT},
        [QUEUED] = {"QUEUED", 9, 7, TOP_QUEUED},
        [FULL] = {"FULL", 5, 2, -1},
        [DROPPED] = {"DROPPED", 9, 3, TOP_DROPPED},
};

static int width_of(int column)
{
        int width = columns[column].width;

        return width < 0 ? -width : width;
}

static bool is_sorted_by(const struct top *top, int column)
{
        return columns[column].sorts_by == (int)top->sort;
}

/* Returns a bit for each column that fits. The first column and the sorted column always stay. */
static unsigned choose(const struct top *top, int room)
{
        unsigned shown = (1U << COLUMNS) - 1;
        int width = -1;

        for (int c = 0; c < COLUMNS; c++)
                width += width_of(c) + 1;
        while (width > room) {
                int least = -1;

                for (int c = ID + 1; c < COLUMNS; c++)
                        if (shown & 1U << c && !is_sorted_by(top, c) &&
                            (least < 0 || columns[c].keep < columns[least].keep))
                                least = c;
                if (least < 0)
                        break;
                shown &= ~(1U << least);
                width -= width_of(least) + 1;
        }
        return shown;
}

static void draw_row(struct canvas *canvas, const char *style, unsigned shown,
                     char cells[COLUMNS][CELL])
{
        char line[LINE] = "";
        size_t at = 0;

        for (int c = 0; c < COLUMNS; c++)
                if (shown & 1U << c && at < sizeof(line))
                        at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%*.*s",
                                               at ? " " : "", columns[c].width,
                                               columns[c].width < 0 ? width_of(c) : CELL, cells[c]);
        canvas_line(canvas, style, "%s", line);
}

static void draw_titles(struct canvas *canvas, const struct top *top, unsigned shown)
{
        char cells[COLUMNS][CELL];

        for (int c = 0; c < COLUMNS; c++)
                snprintf(cells[c], CELL, "%s%s",
                         !is_sorted_by(top, c) ? ""
                         : top->reverse        ? "^"
                                               : "*",
                         columns[c].title);
        draw_row(canvas, canvas_reverse, shown, cells);
}

static void set_rate(char cell[CELL], double rate)
{
        if (rate < 0)
                snprintf(cell, CELL, "-");
        else
                show_number((uint64_t)(rate + 0.5), cell);
}

static void draw_client(struct canvas *canvas, const struct top_row *row, unsigned shown)
{
        char cells[COLUMNS][CELL];

        snprintf(cells[ID], CELL, "%" PRId64, row->id);
        if (row->pid < 0)
                snprintf(cells[PID], CELL, "-");
        else
                snprintf(cells[PID], CELL, "%" PRId64, row->pid);
        snprintf(cells[PROGRAM], CELL, "%s", row->program);
        set_rate(cells[IN], row->in);
        set_rate(cells[OUT], row->out);
        show_bytes(row->queued, cells[QUEUED]);
        snprintf(cells[FULL], CELL, "%d%%", show_percent(row->queued, row->limit));
        show_number(row->dropped, cells[DROPPED]);
        draw_row(canvas, NULL, shown, cells);
}

void top_table(struct canvas *canvas, struct top *top)
{
        unsigned shown = choose(top, canvas->columns);
        size_t room, below;

        draw_titles(canvas, top, shown);
        room = canvas_room(canvas) > 0 ? (size_t)canvas_room(canvas) : 0;
        /* If not all rows fit, the last line tells the number of hidden rows. */
        top->page = top->n_rows > room && room ? room - 1 : room;
        if (top->first + top->page > top->n_rows)
                top->first = top->n_rows > top->page ? top->n_rows - top->page : 0;
        for (size_t i = 0; i < top->page && top->first + i < top->n_rows; i++)
                draw_client(canvas, &top->rows[top->first + i], shown);
        if (top->page >= top->n_rows)
                return;
        below = top->n_rows - top->first - top->page;
        if (!top->first)
                canvas_line(canvas, NULL, "... and %zu more: arrow keys, PgDn, End", below);
        else
                canvas_line(canvas, NULL, "... %zu above and %zu below: arrow keys, PgUp, PgDn",
                            top->first, below);
}
