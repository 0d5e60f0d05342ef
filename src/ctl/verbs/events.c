/* SPDX-License-Identifier: MIT */
/* The verb `events`: the last events, and then each new event, a line each. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ctl/show/event_text.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"

enum {
        HISTORY = 10,
        HISTORY_MAX = 1000000,
        BACK_USEC = 10 * 1000 * 1000, /* time for a successor to start */
        AGAIN_USEC = 50 * 1000,
};

const struct verb_option verb_events_options[] = {
        {'n', NULL, "N", "begin with the last N events, of those that ftcpd keeps [10]", NULL},
        {0},
};

const char verb_events_more[] =
        "Each line has the local time, the kind, and what happened; with -j it is an\n"
        "object. Follows until interrupted, also over a restart and a crash; exits with 1\n"
        "when ftcpd is stopped.\n";

static void print_event(const json_t *event)
{
        char when[SHOW_SIZE], words[1024];
        int milliseconds = (int)(member_int(event, "timeUsec", 0) / 1000 % 1000);

        event_words(event, words, sizeof(words));
        printf("%s.%03d %-7s ", event_time(event, "%Y-%m-%d %H:%M:%S", when), milliseconds,
               member_text(event, "kind", "?"));
        show_safe(stdout, words, strlen(words), sizeof(words));
        putchar('\n');
}

/* The follower of one service, whose events may come from several processes in succession. */
struct follower {
        struct ctl *ctl;
        int64_t history;   /* number of past events to print first */
        int64_t seq, time; /* of the last event that was printed; 0: none yet */
        int64_t from;      /* events up to this number are not printed */
        int64_t known;     /* number of the newest event at the connect */
        int64_t pid;
        bool stops; /* the process is being stopped: a new connect could start ftcpd again */
};

static int print_any(struct follower *follower, const json_t *event)
{
        if (follower->ctl->json != CTL_JSON_OFF) {
                bool pretty = follower->ctl->json == CTL_JSON_PRETTY;

                json_dumpf(event, stdout,
                           (pretty ? JSON_INDENT(2) : JSON_COMPACT) | JSON_ENSURE_ASCII);
                putchar('\n');
        } else {
                print_event(event);
        }
        if (fflush(stdout) != 0)
                return ctl_fail(follower->ctl, CTL_FAILED, "stdout: %s", strerror(errno));
        return CTL_DONE;
}

/* Prints a gap of `missed` events, in the form in which ftcpd tells a slow reader of a gap. */
static int print_gap(struct follower *follower, int64_t missed)
{
        char text[96];
        json_t *gap;
        int code;

        snprintf(text, sizeof(text),
                 "%" PRId64 " events were missed: so many came before we were connected again",
                 missed);
        gap = json_pack("{s:I, s:I, s:s, s:s, s:I}", "seq", (json_int_t)(follower->from + missed),
                        "timeUsec", (json_int_t)clock_wall_usec(), "kind", "gap", "text", text,
                        "missed", (json_int_t)missed);
        code = print_any(follower, gap);
        json_decref(gap);
        return code;
}

/* Sets follower->stops from an event: a process tells its start, and tells a stop, also a stop that
 * leaves the link as it is. */
static void judge_end(struct follower *follower, const json_t *event)
{
        const char *text = member_text(event, "text", "");
        bool service = strcmp(member_text(event, "kind", ""), "service") == 0;

        if (strcmp(member_text(event, "state", ""), "stopping") == 0 ||
            (service && (strstr(text, ": stopping") || strncmp(text, "stopped", 7) == 0)))
                follower->stops = true;
        else if (service && strstr(text, " started, pid "))
                follower->stops = false;
}

static int take_event(struct follower *follower, const json_t *event)
{
        int64_t seq = member_int(event, "seq", 0), missed = seq - follower->from - 1;
        bool gap = strcmp(member_text(event, "kind", ""), "gap") == 0;
        int code = CTL_DONE;

        if (seq > follower->known)
                judge_end(follower, event);
        if (seq <= follower->from)
                return CTL_DONE;
        if (follower->from && missed > 0 && !gap)
                code = print_gap(follower, missed);
        if (code == CTL_DONE)
                code = print_any(follower, event);
        follower->from = follower->seq = seq;
        follower->time = member_int(event, "timeUsec", 0);
        return code;
}

/* Prints events until the connection ends. Returns CTL_DONE, with the negative errno of the end in
 * *error, or the exit code of another failure, with words left. */
static int take_events(struct follower *follower, int *error)
{
        int code = CTL_DONE;

        *error = 0;
        while (code == CTL_DONE) {
                json_t *reply = NULL;

                *error = bus_follow(follower->ctl->bus, &reply);
                if (*error < 0)
                        break;
                code = bus_judge(follower->ctl, "io.ftcpd.Monitor", reply);
                if (code == CTL_DONE)
                        code = take_event(
                                follower,
                                json_object_get(json_object_get(reply, "parameters"), "event"));
                json_decref(reply);
        }
        return code;
}

static void look_at(struct follower *follower, const json_t *events)
{
        json_t *event;
        size_t i;

        follower->known = 0;
        follower->stops = false;
        follower->from = follower->seq && event_goes_on(events, follower->seq, follower->time)
                                 ? follower->seq
                                 : 0;
        json_array_foreach(events, i, event)
        {
                judge_end(follower, event);
                follower->known = member_int(event, "seq", 0);
        }
        if (follower->history == 0) /* only new events, and no gap before the first */
                follower->from = follower->known;
}

/* Reads the events and the pid of the present, with which later events and pids are compared. */
static int look(struct follower *follower, uint64_t deadline)
{
        json_t *recent = NULL, *status = NULL;
        int code = bus_call_until(follower->ctl, "io.ftcpd.RecentEvents", NULL, &recent, deadline);

        if (code == CTL_DONE)
                code = bus_call_until(follower->ctl, "io.ftcpd.Status", NULL, &status, deadline);
        if (code == CTL_DONE) {
                look_at(follower, json_object_get(recent, "events"));
                follower->pid = member_int(status, "pid", 0);
        }
        json_decref(recent);
        json_decref(status);
        return code;
}

static int attach(struct follower *follower, uint64_t deadline)
{
        struct ctl *ctl = follower->ctl;
        int64_t history = follower->history ? follower->history : HISTORY_MAX;
        json_t *parameters = json_pack("{s:I}", "history", (json_int_t)history);
        int code = look(follower, deadline), result;

        if (code == CTL_DONE) {
                result = bus_send(ctl->bus, "io.ftcpd.Monitor", parameters, true, deadline);
                if (result < 0)
                        code = bus_ended(ctl, result);
        }
        json_decref(parameters);
        return code;
}

static void detach(struct follower *follower)
{
        bus_free(follower->ctl->bus);
        follower->ctl->bus = NULL;
}

/* Connects to the successor of a process that ended without a stop. A service manager starts the
 * successor; without a service manager the deadline of BACK_USEC passes. */
static int attach_again(struct follower *follower)
{
        uint64_t deadline = clock_deadline(BACK_USEC);
        int64_t before = follower->pid;
        int code;

        follower->history = HISTORY_MAX;
        for (;;) {
                detach(follower);
                code = attach(follower, deadline);
                if (code == CTL_DONE || clock_usec() >= deadline)
                        break;
                local_sleep(AGAIN_USEC);
        }
        if (code != CTL_DONE)
                return ctl_fail(follower->ctl, CTL_UNREACHABLE,
                                "ftcpd has ended, not by a stop, and is not back after 10s; see "
                                "its log");
        *follower->ctl->why = '\0';
        /* The same process is alive, but closed the connection. */
        return follower->pid == before ? bus_ended(follower->ctl, -EPIPE) : CTL_DONE;
}

static int follow(struct follower *follower)
{
        int error, code = attach(follower, bus_deadline(follower->ctl));

        while (code == CTL_DONE) {
                code = take_events(follower, &error);
                if (code != CTL_DONE)
                        break;
                if (follower->stops || (error != -EPIPE && error != -ECONNRESET))
                        return bus_ended(follower->ctl, error);
                code = attach_again(follower);
        }
        return code;
}

int verb_events(struct ctl *ctl, int argc, char **argv)
{
        uint64_t history = HISTORY;
        int option;

        while ((option = ctl_option(ctl, argc, argv)) != -1)
                if (option == '?' || !ctl_number(ctl, "-n", optarg, &history))
                        return ctl_usage(ctl, NULL);
        if (optind < argc)
                return ctl_usage(ctl, "events takes no argument");
        return follow(&(struct follower){
                .ctl = ctl,
                .history = history < HISTORY_MAX ? (int64_t)history : HISTORY_MAX,
        });
}
