/* SPDX-License-Identifier: MIT */
/* The verb `reload`: ftcpd reads its configuration anew. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"
#include "util/units.h"

enum { RELOAD_USEC = 60 * 1000 * 1000 }; /* names of users may be looked up over a network */

const char verb_reload_more[] =
        "A configuration with an error changes nothing: the errors are printed, with\n"
        "file and line, and the exit code is 1. Warnings are printed too.\n"
        "A socket whose path is gone is bound anew in any case.\n";

/* Called by systemd, connects only for as long as the process of $MAINPID lives. If the daemon
 * crashes meanwhile, systemd waits for ftcpctl before systemd starts a successor; and if systemd
 * owns the control socket, ftcpctl would wait for the successor. */
static int open_for_reload(struct ctl *ctl)
{
        const char *text = getenv("MAINPID");
        uint64_t pid;

        if (text && units_number_parse(text, &pid) == 0 && pid > 0 && pid <= INT_MAX)
                return bus_open_while(ctl, (pid_t)pid);
        return CTL_DONE;
}

static bool is_of_reload(const json_t *event, const char *begin)
{
        return strcmp(member_text(event, "kind", ""), "reload") == 0 &&
               strncmp(member_text(event, "text", ""), begin, strlen(begin)) == 0;
}

/* Prints the warnings of the last reload. In the events the warnings stand directly before the
 * event of the completed reload. Without events nothing is printed: the diag has the warnings. */
static void print_warnings(struct ctl *ctl)
{
        json_t *result = NULL;
        const json_t *events;
        size_t first, end;

        if (bus_call(ctl, "io.ftcpd.RecentEvents", NULL, &result) == CTL_DONE) {
                events = json_object_get(result, "events");
                end = json_array_size(events);
                while (end > 0 && !is_of_reload(json_array_get(events, end - 1), ""))
                        end--;
                first = end ? --end : 0;
                while (first > 0 && is_of_reload(json_array_get(events, first - 1), "warning: "))
                        first--;
                for (; first < end; first++) {
                        const char *text = member_text(json_array_get(events, first), "text", "");

                        show_safe(stderr, text, strlen(text), SIZE_MAX);
                        fputc('\n', stderr);
                }
        }
        *ctl->why = '\0';
        json_decref(result);
}

static void print_lines(const json_t *lines)
{
        const json_t *line;
        size_t i;

        json_array_foreach(lines, i, line)
        {
                const char *text = json_string_value(line);

                if (!text)
                        continue;
                show_safe(stderr, text, strlen(text), SIZE_MAX);
                fputc('\n', stderr);
        }
}

int verb_reload(struct ctl *ctl, int argc, char **argv)
{
        json_t *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 0);

        if (code == CTL_DONE)
                code = open_for_reload(ctl);
        if (code)
                return code;
        code = bus_call_until(ctl, "io.ftcpd.Reload", NULL, &result, clock_deadline(RELOAD_USEC));
        if (code == CTL_FAILED && strcmp(ctl->error, "io.ftcpd.ConfigInvalid") == 0) {
                print_lines(json_object_get(result, "errors"));
                print_lines(json_object_get(result, "sockets"));
                ctl_fail(ctl, code, "the configuration was refused; what was in force stays so");
        }
        /* When systemd called, the journal has the warnings already. */
        if (code == CTL_DONE && !getenv("MAINPID"))
                print_warnings(ctl);
        if (code == CTL_DONE && ctl->json != CTL_JSON_OFF)
                code = ctl_print_json(ctl, result);
        json_decref(result);
        return code;
}
