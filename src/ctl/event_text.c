/* SPDX-License-Identifier: MIT */
#include "ctl/event_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT = 1024, SHOWN = 5 };

const char *event_time(const json_t *event, const char *format, char text[SHOW_SIZE])
{
        time_t second = (time_t)(member_int(event, "timeUsec", 0) / 1000000);
        struct tm local;

        if (!localtime_r(&second, &local) || !strftime(text, SHOW_SIZE, format, &local))
                strcpy(text, "?");
        return text;
}

void event_words(const json_t *event, char *text, size_t size)
{
        const char *state = member_text(event, "state", ""),
                   *cause = member_text(event, "cause", "");
        bool lost = *cause && strcmp(cause, "none") != 0;

        snprintf(text, size, "%s%s%s%s%s%s", state, lost ? " (" : "", lost ? cause : "",
                 lost ? ")" : "", *state ? ": " : "", member_text(event, "text", ""));
}

/* Steps on the way to another state are no news a minute later. */
static bool is_step(const json_t *event)
{
        static const char *const steps[] = {"resolving", "connecting", "handshaking", "greeting"};
        const char *state = member_text(event, "state", "");

        for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
                if (strcmp(state, steps[i]) == 0)
                        return true;
        return false;
}

static bool is_same(const json_t *a, const json_t *b)
{
        return strcmp(member_text(a, "kind", ""), member_text(b, "kind", "")) == 0 &&
               strcmp(member_text(a, "state", ""), member_text(b, "state", "")) == 0 &&
               strcmp(member_text(a, "cause", ""), member_text(b, "cause", "")) == 0 &&
               strcmp(member_text(a, "text", ""), member_text(b, "text", "")) == 0;
}

struct shown {
        const json_t *event; /* the last of those that are the same */
        unsigned times;
};

/* The last few that say something, the newest first. Returns how many. */
static size_t pick_events(const json_t *events, struct shown shown[SHOWN])
{
        size_t n = 0;

        for (size_t i = json_array_size(events); i-- > 0;) {
                const json_t *event = json_array_get(events, i);

                if (is_step(event))
                        continue;
                if (n && is_same(event, shown[n - 1].event))
                        shown[n - 1].times++;
                else if (n == SHOWN)
                        break;
                else
                        shown[n++] = (struct shown){event, 1};
        }
        return n;
}

/* The day is shown where one of them was on another. */
static const char *time_format(const json_t *oldest)
{
        char then[SHOW_SIZE], today[SHOW_SIZE];
        json_t *now = json_pack("{s:I}", "timeUsec", (json_int_t)time(NULL) * 1000000);
        bool same = strcmp(event_time(oldest, "%F", then), event_time(now, "%F", today)) == 0;

        json_decref(now);
        return same ? "%H:%M:%S" : "%b %d %H:%M:%S";
}

void event_screen(FILE *to, const json_t *events, int label, int width)
{
        struct shown shown[SHOWN];
        size_t n = pick_events(events, shown);
        const char *format = n ? time_format(shown[n - 1].event) : "";

        fputs(n ? "\n" : "", to);
        for (size_t i = n; i-- > 0;) {
                char when[SHOW_SIZE], words[TEXT], times[SHOW_SIZE] = "",
                                                   text[TEXT + 5 * SHOW_SIZE];

                if (shown[i].times > 1)
                        snprintf(times, sizeof(times), "%u times ", shown[i].times);
                event_words(shown[i].event, words, sizeof(words));
                snprintf(text, sizeof(text), "%-*s%s %-7s %s%s", label, i == n - 1 ? "events" : "",
                         event_time(shown[i].event, format, when),
                         member_text(shown[i].event, "kind", "?"), times, words);
                show_cut(to, text, (size_t)width);
        }
}
