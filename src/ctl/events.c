/* SPDX-License-Identifier: MIT */
/* What happened, and what happens: a line each. */
#include "ctl/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/bus.h"
#include "ctl/ctl.h"
#include "ctl/event_text.h"
#include "ctl/show.h"
#include "util/clock.h"

enum { HISTORY = 10, HISTORY_MAX = 1000000, ASK_USEC = 10 * 1000 * 1000 };

const struct verb_option verb_events_options[] = {
        {'n', NULL, "N", "begin with the last N events, of those that ftcpd keeps [10]", NULL},
        {0},
};

const char verb_events_more[] =
        "Each line has the local time, the kind, and what happened; with -j it is an\n"
        "object. Follows until interrupted; exits with 1 when ftcpd ends.\n";

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

static int print_reply(struct ctl *ctl, const json_t *reply)
{
        const json_t *event = json_object_get(json_object_get(reply, "parameters"), "event");
        int code = bus_judge(ctl, "io.ftcpd.Monitor", reply);

        if (code != CTL_DONE)
                return code;
        if (ctl->json != CTL_JSON_OFF)
                json_dumpf(event, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        else
                print_event(event);
        if (ctl->json != CTL_JSON_OFF)
                putchar('\n');
        if (fflush(stdout) != 0)
                return ctl_fail(ctl, CTL_FAILED, "stdout: %s", strerror(errno));
        return CTL_DONE;
}

static int follow(struct ctl *ctl, uint64_t history)
{
        json_t *parameters = json_pack("{s:I}", "history", (json_int_t)history);
        int code = bus_open(ctl), r;

        if (code != CTL_DONE) {
                json_decref(parameters);
                return code;
        }
        r = bus_send(ctl->bus, "io.ftcpd.Monitor", parameters, true, clock_deadline(ASK_USEC));
        json_decref(parameters);
        while (r >= 0 && code == CTL_DONE) {
                json_t *reply = NULL;

                r = bus_receive(ctl->bus, &reply, UINT64_MAX);
                if (r >= 0)
                        code = print_reply(ctl, reply);
                json_decref(reply);
        }
        return r < 0 ? bus_ended(ctl, r) : code;
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
        return follow(ctl, history < HISTORY_MAX ? history : HISTORY_MAX);
}
