/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/screen.h"
#include "ctl/show.h"
#include "ctl/top.h"

enum { TEXT = 4096, BAR = 20, SPARK_BEGIN = 36, REASONS = 3, HISTOGRAMS = 6, HEAD = 40 };

static const char plain[] = "\033[0m", to_end[] = "\033[K", bold[] = "\033[1m",
                  reverse[] = "\033[7m", red[] = "\033[1;31m", yellow[] = "\033[1;33m",
                  green[] = "\033[1;32m";

struct canvas {
        FILE *to;
        int rows, columns, used;
        bool colour, utf8;
};

/* Not more columns than there are; text of others can do no harm. */
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

/* One line of the screen; what is below its end is not drawn. style: an escape, or NULL. */
__attribute__((format(printf, 3, 4))) static void draw(struct canvas *canvas, const char *style,
                                                       const char *format, ...)
{
        char text[TEXT];
        va_list args;

        if (canvas->used >= canvas->rows)
                return;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        style = canvas->colour ? style : NULL;
        fputs(canvas->used++ ? "\r\n" : "", canvas->to);
        /* First, as behind a full line this would take its last character. */
        fputs(to_end, canvas->to);
        fputs(style ? style : "", canvas->to);
        write_cut(canvas, text);
        fputs(style ? plain : "", canvas->to);
}

/* The newest values at the right, each as high as it is beside the highest that is shown. */
static const char *spark(const struct canvas *canvas, const struct top_history *history,
                         char text[TEXT])
{
        static const char *const blocks[2][8] = {
                {"_", ".", ":", "-", "=", "+", "*", "#"},
                {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
        };
        int room = canvas->columns - SPARK_BEGIN;
        size_t width = room > 0 ? (size_t)room : 0;
        size_t first = history->n > width ? history->n - width : 0, at = 0;
        double most = 0;

        for (size_t i = first; i < history->n; i++)
                most = history->values[i] > most ? history->values[i] : most;
        for (size_t i = first; i < history->n && at + 8 < TEXT; i++) {
                double value = history->values[i];
                int level = most > 0 ? (int)(value / most * 7 + 0.5) : 0;

                at += (size_t)snprintf(text + at, TEXT - at, "%s",
                                       value < 0 ? " " : blocks[canvas->utf8][level]);
        }
        text[at] = '\0';
        return text;
}

static void draw_head(struct canvas *canvas, const struct top *top)
{
        const json_t *upstream = json_object_get(top->status, "upstream");
        const char *health = member_text(top->status, "health", "unknown");
        const char *style = strcmp(health, "ok") == 0        ? green
                            : strcmp(health, "warning") == 0 ? yellow
                                                             : red;
        const json_t *reasons = json_object_get(top->status, "reasons");
        char since[SHOW_SIZE], pace[SHOW_SIZE], word[HEAD];

        show_span(top->interval_usec, pace);
        if (*top->trouble) {
                draw(canvas, red, "NO FTCPD   waiting for it: %s", top->trouble);
                return;
        }
        snprintf(word, sizeof(word), "%s", health);
        for (char *p = word; *p; p++)
                *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
        draw(canvas, style, "%-10s %s, %s for %s; every %s", word,
             member_text(upstream, "address", "?"),
             screen_state(member_text(upstream, "state", "?")),
             show_span((uint64_t)member_int(upstream, "stateUsec", 0), since), pace);
        for (size_t i = 0; i < json_array_size(reasons) && i < REASONS; i++)
                draw(canvas, NULL, "%11s%s", "",
                     member_text(json_array_get(reasons, i), "text", "?"));
}

static void draw_rate(struct canvas *canvas, const char *label, const struct rates *rates,
                      const struct rate *rate, const struct top_history *history)
{
        char messages[SHOW_SIZE] = "-", bytes[SHOW_SIZE] = "-", line[TEXT];

        if (rates->known) {
                show_number((uint64_t)(rate->messages + 0.5), messages);
                show_bytes((uint64_t)(rate->bytes + 0.5), bytes);
        }
        draw(canvas, NULL, "%-10s %9s/s %9s/s  %s", label, messages, bytes,
             spark(canvas, history, line));
}

static void draw_latency(struct canvas *canvas, const struct top *top)
{
        const json_t *histograms = json_object_get(top->latency, "histograms");
        int64_t rtt = member_int(json_object_get(top->status, "upstream"), "rttUsec", -1);
        char text[4][SHOW_SIZE], line[TEXT];

        draw(canvas, NULL, "%-10s %11s %11s  %s", "round trip",
             rtt < 0 ? "-" : show_span((uint64_t)rtt, text[0]), "", spark(canvas, &top->rtt, line));
        for (size_t i = 0; i < json_array_size(histograms) && i < HISTOGRAMS; i++) {
                const json_t *histogram = json_array_get(histograms, i);

                if (member_int(histogram, "count", 0) == 0)
                        continue;
                draw(canvas, NULL, "  %-14s min %s, median %s, p99 %s, max %s",
                     member_text(histogram, "name", "?"),
                     show_span((uint64_t)member_int(histogram, "minUsec", 0), text[0]),
                     show_span((uint64_t)member_int(histogram, "medianUsec", 0), text[1]),
                     show_span((uint64_t)member_int(histogram, "p99Usec", 0), text[2]),
                     show_span((uint64_t)member_int(histogram, "maxUsec", 0), text[3]));
        }
}

static uint64_t dropped(const json_t *books)
{
        const json_t *drops = json_object_get(books, "dropped");
        uint64_t sum = 0;

        for (size_t i = 0; i < json_array_size(drops); i++)
                sum += (uint64_t)member_int(json_array_get(drops, i), "messages", 0);
        return sum;
}

static void draw_books(struct canvas *canvas, const char *label, const json_t *books)
{
        uint64_t fullest = (uint64_t)member_int(books, "fullestBytes", 0);
        uint64_t limit = (uint64_t)member_int(books, "limitBytes", 0);
        int64_t oldest = member_int(books, "oldestUsec", -1);
        char bar[SHOW_SIZE], text[4][SHOW_SIZE];

        draw(canvas, show_percent(fullest, limit) > 80 ? yellow : NULL,
             "%-11s[%s] %3d%% of %s; %s queued%s%s, %s dropped", label,
             show_bar(fullest, limit, BAR, bar), show_percent(fullest, limit),
             show_bytes(limit, text[0]),
             show_number((uint64_t)member_int(json_object_get(books, "queued"), "messages", 0),
                         text[1]),
             oldest < 0 ? "" : ", oldest ", oldest < 0 ? "" : show_span((uint64_t)oldest, text[2]),
             show_number(dropped(books), text[3]));
}

static const char *title(const struct top *top, enum top_sort sort, const char *name,
                         char text[SHOW_SIZE])
{
        snprintf(text, SHOW_SIZE, "%s%s", top->sort == sort ? top->reverse ? "^" : "*" : "", name);
        return text;
}

static const char *per_second(double rate, char text[SHOW_SIZE])
{
        return rate < 0 ? "-" : show_number((uint64_t)(rate + 0.5), text);
}

static void draw_clients(struct canvas *canvas, const struct top *top)
{
        char text[6][SHOW_SIZE], pid[SHOW_SIZE];
        size_t room =
                canvas->rows > canvas->used + 1 ? (size_t)(canvas->rows - canvas->used - 1) : 0;
        size_t shown = top->n_rows > room && room ? room - 1 : top->n_rows;

        draw(canvas, reverse, "%6s %8s %-18s %9s %9s %9s %5s %9s",
             title(top, TOP_ID, "ID", text[0]), "PID", title(top, TOP_PROGRAM, "PROGRAM", text[1]),
             title(top, TOP_IN, "IN/s", text[2]), title(top, TOP_OUT, "OUT/s", text[3]),
             title(top, TOP_QUEUED, "QUEUED", text[4]), "FULL",
             title(top, TOP_DROPPED, "DROPPED", text[5]));
        for (size_t i = 0; i < shown && i < room; i++) {
                const struct top_row *row = &top->rows[i];

                snprintf(pid, sizeof(pid), "%" PRId64, row->pid);
                draw(canvas, NULL, "%6" PRId64 " %8s %-18.18s %9s %9s %9s %4d%% %9s", row->id,
                     row->pid < 0 ? "-" : pid, row->program, per_second(row->in, text[0]),
                     per_second(row->out, text[1]), show_bytes(row->queued, text[2]),
                     show_percent(row->queued, row->limit), show_number(row->dropped, text[3]));
        }
        if (shown < top->n_rows)
                draw(canvas, NULL, "... and %zu more", top->n_rows - shown);
}

static void draw_keys(struct canvas *canvas)
{
        char text[TEXT];
        size_t at = (size_t)snprintf(text, sizeof(text), "q quit  sort:");

        for (int i = 0; i < TOP_SORTS; i++)
                at += (size_t)snprintf(text + at, sizeof(text) - at, " %c %s",
                                       top_sort_key((enum top_sort)i),
                                       top_sort_name((enum top_sort)i));
        snprintf(text + at, sizeof(text) - at, "  r reverse  +/- pace");
        while (canvas->used < canvas->rows)
                draw(canvas, NULL, "%s", "");
        canvas->rows++;
        draw(canvas, bold, "%s", text);
}

void top_draw(FILE *to, const struct top *top, int rows, int columns, bool colour, bool utf8)
{
        /* The last line is for the keys, however small the terminal is. */
        struct canvas canvas = {to, rows - 1, columns, 0, colour, utf8};

        fputs("\033[H", to);
        draw_head(&canvas, top);
        if (top->status) {
                draw(&canvas, NULL, "%s", "");
                draw_rate(&canvas, "received", &top->rates, &top->rates.in, &top->in);
                draw_rate(&canvas, "sent", &top->rates, &top->rates.out, &top->out);
                draw_latency(&canvas, top);
                draw_books(&canvas, "to upstream", json_object_get(top->status, "toUpstream"));
                draw_books(&canvas, "to clients", json_object_get(top->status, "toClients"));
                draw(&canvas, NULL, "%s", "");
                draw_clients(&canvas, top);
        }
        draw_keys(&canvas);
}

void top_line(FILE *to, const struct top *top)
{
        const json_t *status = top->status, *upstream = json_object_get(status, "upstream");
        const json_t *up = json_object_get(status, "toUpstream");
        const json_t *down = json_object_get(status, "toClients");
        const struct rate *in = &top->rates.in, *out = &top->rates.out;
        int64_t rtt = member_int(upstream, "rttUsec", -1);
        char text[6][SHOW_SIZE];

        fprintf(to,
                "%s %s in %s/s %s/s out %s/s %s/s queued %" PRId64 " up %" PRId64
                " down clients %" PRId64 " rtt %s\n",
                member_text(status, "health", "?"), member_text(upstream, "state", "?"),
                show_number((uint64_t)in->messages, text[0]),
                show_bytes((uint64_t)in->bytes, text[1]),
                show_number((uint64_t)out->messages, text[2]),
                show_bytes((uint64_t)out->bytes, text[3]),
                member_int(json_object_get(up, "queued"), "messages", 0),
                member_int(json_object_get(down, "queued"), "messages", 0),
                member_int(status, "clients", 0),
                rtt < 0 ? "-" : show_span((uint64_t)rtt, text[4]));
}
