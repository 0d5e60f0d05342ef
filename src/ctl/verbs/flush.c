/* SPDX-License-Identifier: MIT */
#include "ctl/verbs/flush.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/show/event_text.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/talk/witness.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"
#include "util/units.h"

enum {
        RETURN_USEC = 10 * 1000 * 1000, /* for a restart of the daemon */
        RETURN_POLL_USEC = 50 * 1000,
};

const struct verb_option verb_flush_options[] = {
        {CTL_OPTION, "timeout", "T", "give up after this time [never]", NULL},
        {0},
};

const char verb_flush_more[] =
        "Returns when all that ftcpd had accepted before is acknowledged by the\n"
        "upstream's kernel, or dropped; whether its program has read it nobody can say.\n"
        "Exits with 1 at the timeout.\n";

/* Returns CTL_DONE if the daemon that answers knows the witness: the same daemon, or a successor
 * with the recovered state. Otherwise returns the exit code, with words left. */
static int still_knows(struct ctl *ctl, const struct witness *witness)
{
        json_t *events = NULL;
        int code = witness_events(ctl, &events);
        bool knows = event_goes_on(events, witness->seq, witness->time_usec);

        json_decref(events);
        if (code != CTL_DONE || knows)
                return code;
        return ctl_fail(ctl, CTL_FAILED,
                        "ftcpd was started anew meanwhile: what the upstream's kernel had not "
                        "acknowledged by then is lost");
}

/* Asks until a daemon answers: a restart takes a moment. Ends after RETURN_USEC or at the verb's
 * --timeout=. Returns as still_knows(). */
static int come_back(struct ctl *ctl, const struct witness *witness)
{
        uint64_t deadline = clock_deadline(RETURN_USEC);
        int code;

        if (ctl->limit && ctl->limit < deadline)
                deadline = ctl->limit;

        do {
                local_sleep(RETURN_POLL_USEC);
                *ctl->why = '\0';
                code = still_knows(ctl, witness);
        } while (code == CTL_UNREACHABLE && clock_usec() < deadline);
        return code;
}

static int timed_out(struct ctl *ctl, const json_t *error, uint64_t timeout_usec)
{
        const json_t *queued = json_object_get(error, "queued");
        uint64_t n = (uint64_t)member_int(queued, "messages", 0);
        json_t *status = NULL;
        char messages[SHOW_SIZE], bytes[SHOW_SIZE], link[160] = "";

        if (bus_call(ctl, "io.ftcpd.Status", NULL, &status) == CTL_DONE) {
                const json_t *upstream = json_object_get(status, "upstream");
                const char *by = member_text(upstream, "heldBy", NULL);

                snprintf(link, sizeof(link), "; the link is %.40s%s%.80s", member_state(upstream),
                         by ? ", held by " : "", by ? by : "");
        }
        json_decref(status);
        return ctl_fail(ctl, CTL_FAILED, "not flushed within %s: %s message%s (%s) %s queued%s",
                        units_span_words(timeout_usec).text, show_number(n, messages),
                        n == 1 ? "" : "s",
                        show_bytes((uint64_t)member_int(queued, "bytes", 0), bytes),
                        n == 1 ? "is" : "are", link);
}

static int flush_once(struct ctl *ctl, uint64_t deadline, uint64_t timeout_usec)
{
        uint64_t now = clock_usec(), left = deadline > now ? deadline - now : 0;
        json_t *parameters =
                deadline == UINT64_MAX ? NULL : json_pack("{s:I}", "timeoutUsec", (json_int_t)left);
        json_t *result = NULL;
        int code = bus_call_until(ctl, "io.ftcpd.Flush", parameters, &result,
                                  ctl->limit ? ctl->limit : UINT64_MAX);

        if (code == CTL_FAILED && strcmp(ctl->error, "io.ftcpd.FlushTimedOut") == 0)
                code = timed_out(ctl, result, timeout_usec);
        json_decref(parameters);
        json_decref(result);
        return code;
}

int flush_wait(struct ctl *ctl, uint64_t timeout_usec)
{
        uint64_t deadline = clock_deadline(timeout_usec);
        struct witness witness;
        int code;

        ctl_limit(ctl, timeout_usec);
        code = witness_find(ctl, &witness);

        while (code == CTL_DONE) {
                code = flush_once(ctl, deadline, timeout_usec);
                /* The connection is lost: a successor may recover what was accepted. */
                if (code != CTL_UNREACHABLE)
                        break;
                code = come_back(ctl, &witness);
        }
        return code;
}

int flush_dropped(struct ctl *ctl, uint64_t *dropped)
{
        json_t *status = NULL;
        const json_t *drops;
        int code = bus_call(ctl, "io.ftcpd.Status", NULL, &status);

        *dropped = 0;
        drops = json_object_get(json_object_get(status, "toUpstream"), "dropped");
        for (size_t i = 0; code == CTL_DONE && i < json_array_size(drops); i++)
                *dropped += (uint64_t)member_int(json_array_get(drops, i), "messages", 0);
        json_decref(status);
        return code;
}

void flush_tell_dropped(struct ctl *ctl, uint64_t before)
{
        uint64_t now;

        if (flush_dropped(ctl, &now) != CTL_DONE)
                *ctl->why = '\0'; /* a daemon that stops is no failure of the flush */
        else if (now > before)
                fprintf(stderr, "ftcpctl: %s to the upstream %s dropped meanwhile\n",
                        units_messages(now - before).text, units_were(now - before));
}

int verb_flush(struct ctl *ctl, int argc, char **argv)
{
        uint64_t timeout = UNITS_INFINITY, dropped;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1)
                if (option == '?' || !ctl_span(ctl, "--timeout", optarg, &timeout))
                        return ctl_usage(ctl, NULL);
        if (optind < argc)
                return ctl_usage(ctl, "flush takes no argument");
        ctl_limit(ctl, timeout);
        code = flush_dropped(ctl, &dropped);
        if (code == CTL_DONE)
                code = flush_wait(ctl, timeout);
        if (code == CTL_DONE)
                flush_tell_dropped(ctl, dropped);
        if (code == CTL_DONE && ctl->json != CTL_JSON_OFF) {
                json_t *reply = json_object();

                code = ctl_print_json(ctl, reply);
                json_decref(reply);
        } else if (code == CTL_DONE) {
                puts("everything accepted before is acknowledged or dropped");
        }
        return code;
}
