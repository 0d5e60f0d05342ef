/* SPDX-License-Identifier: MIT */
#include "ctl/show/event_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT = 1024, SHOWN = 5, KIND = 7 };

#define DAY_USEC UINT64_C(86400000000)

const char *event_time(const json_t *event, const char *format, char text[SHOW_SIZE])
{
        time_t second = (time_t)(member_int(event, "timeUsec", 0) / 1000000);
        struct tm local;

        if (!localtime_r(&second, &local) || !strftime(text, SHOW_SIZE, format, &local))
                strcpy(text, "?");
        return text;
}

/* True if text begins with word: the daemon's text "held by root" needs no "held: " before it. */
static bool begins_with(const char *text, const char *word)
{
        size_t size = strlen(word);

        return size && strncmp(text, word, size) == 0 && strchr(" :,;", text[size]);
}

void event_words(const json_t *event, char *text, size_t size)
{
        const char *state = member_text(event, "state", ""),
                   *cause = member_text(event, "cause", ""),
                   *words = member_text(event, "text", "");
        bool lost = *cause && strcmp(cause, "none") != 0 && strcmp(cause, state) != 0;

        if (!lost && begins_with(words, state))
                snprintf(text, size, "%s", words);
        else
                snprintf(text, size, "%s%s%s%s%s%s", state, lost ? " (" : "", lost ? cause : "",
                         lost ? ")" : "", *state ? ": " : "", words);
}

void event_loss(const char *cause, const char *error, char *text, size_t size)
{
        if (error && begins_with(error, cause))
                snprintf(text, size, "%s", error);
        else
                snprintf(text, size, "%s%s%s", cause, error && *cause ? ": " : "",
                         error ? error : "");
}

/* True for a state on the way to another state: no news a minute later. */
static bool is_step_state(const char *state)
{
        static const char *const steps[] = {"resolving", "connecting", "handshaking", "greeting",
                                            "connected"};

        for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
                if (strcmp(state, steps[i]) == 0)
                        return true;
        return false;
}

static bool is_step(const json_t *event)
{
        return is_step_state(member_text(event, "state", ""));
}

bool event_is_down(const json_t *upstream)
{
        const char *state = member_text(upstream, "state", "");

        return strcmp(state, "waiting") == 0 || is_step_state(state);
}

bool event_goes_on(const json_t *events, int64_t seq, int64_t time_usec)
{
        json_t *event;
        size_t i;

        json_array_foreach(events, i, event)
        {
                if (member_int(event, "seq", 0) == seq)
                        return member_int(event, "timeUsec", 0) == time_usec;
        }
        return member_int(json_array_get(events, 0), "seq", 0) > seq;
}

bool event_down_text(const json_t *events, uint64_t now, char *text, size_t size)
{
        const json_t *first = NULL;
        bool whole = member_int(json_array_get(events, 0), "seq", 0) == 1;
        char span[SHOW_SIZE], since[SHOW_SIZE];
        int64_t then;

        *text = '\0';
        for (size_t i = json_array_size(events); i-- > 0;) {
                const json_t *event = json_array_get(events, i);

                if (strcmp(member_text(event, "kind", ""), "link") != 0)
                        continue;
                if (!event_is_down(event)) {
                        whole = true;
                        break;
                }
                first = event;
        }
        then = member_int(first, "timeUsec", INT64_MAX);
        if (!first || then < 0 || (uint64_t)then > now)
                return false;
        show_span(now - (uint64_t)then, span);
        event_time(first, now - (uint64_t)then < DAY_USEC ? "%H:%M:%S" : "%F %H:%M", since);
        snprintf(text, size, "for %s%s%s%s", whole ? "" : "more than ", span,
                 whole ? ", since " : "", whole ? since : "");
        return true;
}

static bool is_same(const json_t *a, const json_t *b)
{
        return strcmp(member_text(a, "kind", ""), member_text(b, "kind", "")) == 0 &&
               strcmp(member_text(a, "state", ""), member_text(b, "state", "")) == 0 &&
               strcmp(member_text(a, "cause", ""), member_text(b, "cause", "")) == 0 &&
               strcmp(member_text(a, "text", ""), member_text(b, "text", "")) == 0;
}

struct shown {
        const json_t *event; /* of several equal events, the last */
        unsigned times;
};

/* Picks the last events, without steps, the newest first; equal neighbours become one. Returns the
 * number. */
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

/* The format for the times of the events: with the day if the oldest event is not of today. */
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
                char when[SHOW_SIZE], words[TEXT], text[TEXT + SHOW_SIZE], times[SHOW_SIZE] = "";
                const char *kind = member_text(shown[i].event, "kind", "?");
                int at;

                if (shown[i].times > 1)
                        snprintf(times, sizeof(times), "%u times ", shown[i].times);
                event_words(shown[i].event, words, sizeof(words));
                snprintf(text, sizeof(text), "%s%s", times, words);
                at = fprintf(to, "%-*s%s ", label, i == n - 1 ? "events" : "",
                             event_time(shown[i].event, format, when));
                show_safe(to, kind, strlen(kind), KIND);
                fprintf(to, "%*s", strlen(kind) < KIND ? KIND - (int)strlen(kind) + 1 : 1, "");
                show_wrapped(to, text, at + KIND + 1, at + KIND + 1, width);
        }
}
