/* SPDX-License-Identifier: MIT */
/* The verb `health`: the daemon's health in one line and an exit code, for monitoring. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"

enum {
        REASON_MAX = 1024,
        /* After a connection that was closed without an answer: the first pause, doubled each time.
         */
        AGAIN_USEC = 200 * 1000,
};

const struct verb_option verb_health_options[] = {
        {CTL_OPTION, "nagios", NULL, "as a monitoring plugin prints it, with performance data",
         NULL},
        {0},
};

const char verb_health_more[] =
        "Exits with 0 OK, 1 WARNING, 2 CRITICAL (also: no daemon), 3 UNKNOWN (a wrong\n"
        "command line, not permitted, or no place at the control socket).\n";

static const char *const severities[] = {"ok", "warning", "critical"};
static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static int severity_exit(const char *name)
{
        for (int i = 0; i < 3; i++)
                if (strcmp(name, severities[i]) == 0)
                        return i;
        return VERB_HEALTH_UNKNOWN;
}

/* With nagios a bar becomes a slash: monitoring reads numbers behind a bar. */
static void print_reason(const char *text, bool nagios)
{
        char plain[REASON_MAX];

        snprintf(plain, sizeof(plain), "%s", text);
        for (char *bar = nagios ? strchr(plain, '|') : NULL; bar; bar = strchr(bar, '|'))
                *bar = '/';
        show_safe(stdout, plain, strlen(plain), sizeof(plain));
}

static void print_reasons(const json_t *reply, bool nagios)
{
        const json_t *reasons = json_object_get(reply, "reasons");

        for (size_t i = 0; i < json_array_size(reasons); i++) {
                fputs(i ? "; " : nagios ? " - " : ": ", stdout);
                print_reason(member_text(json_array_get(reasons, i), "text", ""), nagios);
        }
}

static uint64_t all_dropped(const json_t *books)
{
        const json_t *dropped = json_object_get(books, "dropped");
        uint64_t sum = 0;

        for (size_t i = 0; i < json_array_size(dropped); i++)
                sum += (uint64_t)member_int(json_array_get(dropped, i), "messages", 0);
        return sum;
}

static void print_performance(const json_t *reply)
{
        const json_t *upstream = json_object_get(reply, "upstream");
        const json_t *books = json_object_get(reply, "toUpstream");
        const json_t *queued = json_object_get(books, "queued");
        int64_t rtt = member_int(upstream, "rttUsec", -1);
        int64_t oldest = member_int(books, "oldestUsec", -1);
        bool up = strcmp(member_state(upstream), "up") == 0;

        printf("|up=%d clients=%" PRId64 ";;;0;%" PRId64 " queued=%" PRId64 ";;;0 "
               "queued_bytes=%" PRId64 "B;;;0;%" PRId64 " received=%" PRId64 "c sent=%" PRId64
               "c losses=%" PRId64 "c dropped=%" PRIu64 "c",
               up, member_int(reply, "clients", 0), member_int(reply, "clientsLimit", 0),
               member_int(queued, "messages", 0), member_int(queued, "bytes", 0),
               member_int(books, "limitBytes", 0),
               member_int(json_object_get(upstream, "received"), "messages", 0),
               member_int(json_object_get(upstream, "sent"), "messages", 0),
               member_int(upstream, "disconnects", 0),
               all_dropped(books) + all_dropped(json_object_get(reply, "toClients")));
        if (rtt >= 0)
                printf(" rtt=%" PRId64 "us;;;0", rtt);
        printf(" oldest=%" PRId64 "us;;;0", oldest < 0 ? 0 : oldest);
}

/* The reply in place of a daemon that cannot be asked, a new reference. Moves ctl->why into it. */
static json_t *health_unreachable(struct ctl *ctl, int code)
{
        const char *severity = code == VERB_HEALTH_CRITICAL ? "critical" : "unknown";
        json_t *reply = json_pack("{s:s, s:[{s:s, s:s}]}", "health", severity, "reasons",
                                  "severity", severity, "text", ctl->why);

        *ctl->why = '\0';
        return reply;
}

static void print_health(const struct ctl *ctl, const json_t *reply, int code, bool nagios)
{
        const json_t *upstream = json_object_get(reply, "upstream");
        char span[SHOW_SIZE];

        if (nagios && ctl->instance)
                printf("FTCPD %s %s", ctl->instance, words[code]);
        else
                printf("%s%s", nagios ? "FTCPD " : "", words[code]);
        print_reasons(reply, nagios);
        if (upstream) {
                if (json_array_size(json_object_get(reply, "reasons")) == 0)
                        printf(" - link %s for %s", member_state(upstream),
                               show_span((uint64_t)member_int(upstream, "stateUsec", 0), span));
                print_performance(reply);
        }
        putchar('\n');
}

/* Calls a method that only asks, within bus_deadline(). Asks again where a connection is closed
 * without an answer: others may have all places for now, or the daemon is just replaced. */
static int ask(struct ctl *ctl, const char *method, json_t **reply)
{
        uint64_t deadline = bus_deadline(ctl), pause = AGAIN_USEC;

        for (;;) {
                int code = bus_call_until(ctl, method, NULL, reply, deadline);

                if (code != CTL_UNREACHABLE ||
                    (ctl->absence != EPIPE && ctl->absence != ECONNRESET) ||
                    clock_usec() + pause >= deadline)
                        return code;
                local_sleep(pause);
                pause *= 2;
                *ctl->why = '\0';
        }
}

/* The exit code of a call that was not answered. A daemon that turns callers away works. */
static int unanswered(const struct ctl *ctl, int code)
{
        return code == CTL_UNREACHABLE && !ctl->turned_away ? VERB_HEALTH_CRITICAL
                                                            : VERB_HEALTH_UNKNOWN;
}

int verb_health(struct ctl *ctl, int argc, char **argv)
{
        bool nagios = false;
        json_t *reply = NULL;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?')
                        return ctl_usage(ctl, NULL);
                nagios = true;
        }
        if (optind < argc)
                return ctl_usage(ctl, "health takes no argument");
        code = ask(ctl, nagios ? "io.ftcpd.Status" : "io.ftcpd.Health", &reply);
        if (code == CTL_DONE) {
                code = severity_exit(member_text(reply, "health", ""));
        } else {
                code = unanswered(ctl, code);
                json_decref(reply);
                reply = health_unreachable(ctl, code);
        }
        if (ctl->json != CTL_JSON_OFF)
                ctl_print_json(ctl, reply);
        else
                print_health(ctl, reply, code, nagios);
        json_decref(reply);
        return code;
}
