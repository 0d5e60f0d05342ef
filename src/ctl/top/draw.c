/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include "ctl/show/event_text.h"
#include "ctl/show/screen.h"
#include "ctl/show/show.h"
#include "ctl/top/canvas.h"
#include "ctl/top/top.h"
#include "util/clock.h"

enum {
        TEXT = 4096,
        LABEL = 11,
        BAR = 20,
        SPARK_BEGIN = 36,
        REASONS = 3,
        REASON_LINES = 4,
        HISTOGRAMS = 6,
        HEAD = 40,
        ROWS_LOW = 16,  /* with fewer, the clients get the rows of gaps and of long reasons */
        ROWS_FULL = 20, /* with fewer, the clients get the rows of the histograms */
};

/* Writes the values that fit as blocks into text, the newest last. The height of a block is
 * relative to the highest value shown. */
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

static bool is_low(const struct canvas *canvas)
{
        return canvas->rows + 1 < ROWS_LOW;
}

static void draw_gap(struct canvas *canvas)
{
        if (!is_low(canvas))
                canvas_line(canvas, NULL, "%s", "");
}

static void draw_trouble(struct canvas *canvas, const struct top *top)
{
        char ago[SHOW_SIZE];

        canvas_wrapped(canvas, canvas_red, "NO FTCPD   waiting for it: ", top->trouble,
                       is_low(canvas) ? 1 : REASON_LINES);
        if (!top->status)
                return;
        show_span(clock_usec() - top->taken, ago);
        canvas->stale = true;
        canvas_line(canvas, NULL, "%*sbelow is what it said last, %s ago", LABEL, "", ago);
}

/* Writes "ADDRESS, down for 3min 4s, since 14:03:12; the next attempt is in 2.0s; every 1.0s". */
static const char *link_words(const struct top *top, char *text, size_t size)
{
        const json_t *upstream = json_object_get(top->status, "upstream");
        const char *state = member_state(upstream);
        int64_t next = member_int(upstream, "nextAttemptUsec", -1);
        char span[SHOW_SIZE], pace[SHOW_SIZE], in[SHOW_SIZE] = "";
        bool waits = strcmp(state, "waiting") == 0;

        if (next >= 0)
                show_span((uint64_t)next, in);
        show_span((uint64_t)member_int(upstream, "stateUsec", 0), span);
        show_span(top->interval_usec, pace);
        if (event_is_down(upstream))
                snprintf(text, size, "%s, %s%sdown%s%s%s%s; every %s",
                         member_text(upstream, "address", "?"), waits ? "" : screen_state(state),
                         waits ? "" : "; ", *top->down ? " " : "", top->down,
                         *in ? "; the next attempt is in " : "", in, pace);
        else
                snprintf(text, size, "%s, %s for %s; every %s",
                         member_text(upstream, "address", "?"), screen_state(state), span, pace);
        return text;
}

static void draw_head(struct canvas *canvas, const struct top *top)
{
        const char *health = member_text(top->status, "health", "unknown");
        const char *style = strcmp(health, "ok") == 0        ? canvas_green
                            : strcmp(health, "warning") == 0 ? canvas_yellow
                                                             : canvas_red;
        const json_t *reasons = json_object_get(top->status, "reasons");
        int lines = is_low(canvas) ? 1 : REASON_LINES;
        char text[TEXT], head[HEAD], word[HEAD - LABEL];

        if (*top->trouble) {
                draw_trouble(canvas, top);
                return;
        }
        snprintf(word, sizeof(word), "%s", health);
        for (char *p = word; *p; p++)
                *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
        snprintf(head, sizeof(head), "%-10s ", word);
        canvas_wrapped(canvas, style, head, link_words(top, text, sizeof(text)), lines);
        for (size_t i = 0; i < json_array_size(reasons) && i < REASONS; i++)
                canvas_wrapped(canvas, NULL, "           ",
                               member_text(json_array_get(reasons, i), "text", "?"), lines);
}

static void draw_rate(struct canvas *canvas, const char *label, const struct rates *rates,
                      const struct rate *rate, const struct top_history *history)
{
        char messages[SHOW_SIZE] = "-", bytes[SHOW_SIZE] = "-", line[TEXT];

        if (rates->known) {
                show_number((uint64_t)(rate->messages + 0.5), messages);
                show_bytes((uint64_t)(rate->bytes + 0.5), bytes);
        }
        canvas_line(canvas, NULL, "%-10s %9s/s %9s/s  %s", label, messages, bytes,
                    spark(canvas, history, line));
}

static void draw_latency(struct canvas *canvas, const struct top *top)
{
        const json_t *histograms = json_object_get(top->latency, "histograms");
        int64_t rtt = member_int(json_object_get(top->status, "upstream"), "rttUsec", -1);
        char text[4][SHOW_SIZE], line[TEXT];

        canvas_line(canvas, NULL, "%-10s %11s %11s  %s", "round trip",
                    rtt < 0 ? "-" : show_span((uint64_t)rtt, text[0]), "",
                    spark(canvas, &top->rtt, line));
        if (canvas->rows + 1 < ROWS_FULL)
                return;
        for (size_t i = 0; i < json_array_size(histograms) && i < HISTOGRAMS; i++) {
                const json_t *histogram = json_array_get(histograms, i);

                if (member_int(histogram, "count", 0) == 0)
                        continue;
                canvas_line(canvas, NULL, "  %-14s min %s, median %s, p99 %s, max %s",
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

        canvas_line(
                canvas, show_percent(fullest, limit) > 80 ? canvas_yellow : NULL,
                "%-11s[%s] %3d%% of %s; %s queued%s%s, %s dropped", label,
                show_bar(fullest, limit, BAR, bar), show_percent(fullest, limit),
                show_bytes(limit, text[0]),
                show_number((uint64_t)member_int(json_object_get(books, "queued"), "messages", 0),
                            text[1]),
                oldest < 0 ? "" : ", oldest ",
                oldest < 0 ? "" : show_span((uint64_t)oldest, text[2]),
                show_number(dropped(books), text[3]));
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
                canvas_line(canvas, NULL, "%s", "");
        canvas->rows++;
        canvas->stale = false;
        canvas_line(canvas, canvas_bold, "%s", text);
}

void top_draw(FILE *to, struct top *top, int rows, int columns, bool colour, bool utf8)
{
        /* The last line is always for the keys. */
        struct canvas canvas = {
                .to = to, .rows = rows - 1, .columns = columns, .colour = colour, .utf8 = utf8};

        fputs("\033[H", to);
        draw_head(&canvas, top);
        if (top->status) {
                draw_gap(&canvas);
                draw_rate(&canvas, "received", &top->rates, &top->rates.in, &top->in);
                draw_rate(&canvas, "sent", &top->rates, &top->rates.out, &top->out);
                draw_latency(&canvas, top);
                draw_books(&canvas, "to upstream", json_object_get(top->status, "toUpstream"));
                draw_books(&canvas, "to clients", json_object_get(top->status, "toClients"));
                draw_gap(&canvas);
                top_table(&canvas, top);
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
                member_text(status, "health", "?"), member_state(upstream),
                show_number((uint64_t)in->messages, text[0]),
                show_bytes((uint64_t)in->bytes, text[1]),
                show_number((uint64_t)out->messages, text[2]),
                show_bytes((uint64_t)out->bytes, text[3]),
                member_int(json_object_get(up, "queued"), "messages", 0),
                member_int(json_object_get(down, "queued"), "messages", 0),
                member_int(status, "clients", 0),
                rtt < 0 ? "-" : show_span((uint64_t)rtt, text[4]));
}
