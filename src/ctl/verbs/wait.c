/* SPDX-License-Identifier: MIT */
/* The verb `wait`: waits until the link is in a state, for scripts. The daemon tells each change,
 * and so a state that ends at once is seen, too. */
#include <stdio.h>
#include <string.h>

#include "core/state.h"
#include "ctl/show/event_text.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"
#include "util/suggest.h"

enum {
        AGAIN_USEC = 50 * 1000,
        CALL_USEC = 5 * 1000 * 1000, /* after this time a hanging daemon is asked anew */
        ONCE_USEC = 2 * 1000 * 1000, /* time for the first call, also with a shorter timeout */
        HISTORY = 1000,              /* more than the daemon keeps */
};

enum { STATE = CTL_OPTION, TIMEOUT };

const struct verb_option verb_wait_options[] = {
        {STATE, "state", "STATE",
         "resolving, connecting, handshaking, greeting, connected, up, waiting, held or "
         "stopping [up]",
         "@state"},
        {TIMEOUT, "timeout", "T", "give up after this time [never]; 0: look once", NULL},
        {0},
};

const char verb_wait_more[] =
        "Also waits for the daemon itself. Exits with 0 when the link is in that state,\n"
        "or was for a moment while this waited; 1 at the timeout.\n";

static bool known_state(const char *name)
{
        for (int i = 0; i < LINK_STATES; i++)
                if (strcmp(name, link_state_name((enum link_state)i)) == 0)
                        return true;
        return false;
}

static int unknown_state(struct ctl *ctl, const char *name)
{
        struct suggest near = suggest_begin(name);
        const char *best;

        for (int i = 0; i < LINK_STATES; i++)
                suggest_offer(&near, link_state_name((enum link_state)i));
        best = suggest_best(&near);
        ctl_fail(ctl, 0, "--state=%.40s: there is no such state%s%s%s; see `ftcpctl wait --help`",
                 name, best ? " (did you mean " : "", best ? best : "", best ? "?)" : "");
        return ctl_usage(ctl, NULL);
}

struct waiter {
        struct ctl *ctl;
        const char *state;
        uint64_t deadline;
        /* The last event before the first look at the link, or the last event told. Later events
         * count, also if ftcpctl was not connected when the events came. */
        int64_t seq, time;
        bool seen;      /* the state was seen */
        bool asked;     /* a call was made */
        bool looked;    /* RecentEvents was answered */
        char why[1024]; /* last words about the link or the daemon, for the timeout */
};

/* Compares the state `now`, from a Status reply or an event, and keeps words for the timeout. */
static void judge(struct waiter *waiter, const char *now, const char *why)
{
        waiter->seen = strcmp(now, waiter->state) == 0;
        snprintf(waiter->why, sizeof(waiter->why), "the link is %s%s%s", now, *why ? ": " : "",
                 why);
}

static void judge_upstream(struct waiter *waiter, const json_t *upstream)
{
        const char *now = member_state(upstream);

        judge(waiter, now, event_is_down(upstream) ? member_text(upstream, "lastError", "") : "");
}

static int ask(struct waiter *waiter, const char *method, json_t **reply)
{
        uint64_t now = clock_usec(), until = now + CALL_USEC;

        if (until > waiter->deadline)
                until = waiter->deadline;
        if (!waiter->asked && until < now + ONCE_USEC)
                until = now + ONCE_USEC;
        return bus_call_until(waiter->ctl, method, NULL, reply, until);
}

static void remember(struct waiter *waiter, const json_t *event)
{
        waiter->seq = member_int(event, "seq", 0);
        waiter->time = member_int(event, "timeUsec", 0);
}

static void look_at(struct waiter *waiter, const json_t *events)
{
        size_t count = json_array_size(events);

        if (!waiter->looked && count)
                remember(waiter, json_array_get(events, count - 1));
        else if (waiter->looked && !event_goes_on(events, waiter->seq, waiter->time))
                remember(waiter, NULL);
        waiter->looked = true;
}

/* Reads the recent events, and then the state, which therefore is newer than these events. */
static int look(struct waiter *waiter)
{
        json_t *recent = NULL, *status = NULL;
        int code = ask(waiter, "io.ftcpd.RecentEvents", &recent);

        if (code == CTL_DONE)
                look_at(waiter, json_object_get(recent, "events"));
        if (code != CTL_UNREACHABLE)
                code = ask(waiter, "io.ftcpd.Status", &status);
        if (code == CTL_DONE)
                judge_upstream(waiter, json_object_get(status, "upstream"));
        waiter->asked = true;
        json_decref(recent);
        json_decref(status);
        return code;
}

/* Follows the events until the state is seen, the deadline, a gap in the events, or the end of the
 * connection. */
static void follow(struct waiter *waiter)
{
        struct ctl *ctl = waiter->ctl;
        json_t *parameters = json_pack("{s:i}", "history", HISTORY), *reply = NULL;
        int result = bus_send(ctl->bus, "io.ftcpd.Monitor", parameters, true, waiter->deadline);
        bool more = result == 0;

        json_decref(parameters);
        while (more && !waiter->seen && bus_receive(ctl->bus, &reply, waiter->deadline) == 0) {
                const json_t *event =
                        json_object_get(json_object_get(reply, "parameters"), "event");
                const char *kind = member_text(event, "kind", "gap");

                /* After a gap the link is looked at anew. */
                more = strcmp(kind, "gap") != 0;
                if (more && member_int(event, "seq", 0) > waiter->seq) {
                        remember(waiter, event);
                        if (strcmp(kind, "link") == 0)
                                judge(waiter, member_text(event, "state", "?"),
                                      event_is_down(event) ? member_text(event, "text", "") : "");
                }
                json_decref(reply);
                reply = NULL;
        }
        /* A connection with events on it answers no other call. */
        bus_free(ctl->bus);
        ctl->bus = NULL;
}

static int wait_for(struct waiter *waiter)
{
        struct ctl *ctl = waiter->ctl;

        for (;;) {
                int code = look(waiter);

                if (code != CTL_DONE && code != CTL_UNREACHABLE)
                        return code;
                if (code == CTL_DONE && !waiter->seen && clock_usec() < waiter->deadline)
                        follow(waiter);
                if (waiter->seen) {
                        *ctl->why = '\0';
                        return CTL_DONE;
                }
                if (clock_usec() >= waiter->deadline)
                        break;
                /* Without an answer the earlier words are out of date. */
                if (code == CTL_UNREACHABLE)
                        snprintf(waiter->why, sizeof(waiter->why), "%s", ctl->why);
                local_sleep(AGAIN_USEC);
        }
        /* A call cut short by the verb's own deadline tells nothing new. */
        if (*waiter->why)
                return ctl_fail(ctl, CTL_FAILED, "%s", waiter->why);
        return CTL_FAILED;
}

int verb_wait(struct ctl *ctl, int argc, char **argv)
{
        struct waiter waiter = {.ctl = ctl, .state = "up"};
        uint64_t timeout = UINT64_MAX;
        int option;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?' ||
                    (option == TIMEOUT && !ctl_span(ctl, "--timeout", optarg, &timeout)))
                        return ctl_usage(ctl, NULL);
                if (option == STATE)
                        waiter.state = optarg;
        }
        if (optind < argc)
                return ctl_usage(ctl, "wait takes no argument");
        if (!known_state(waiter.state))
                return unknown_state(ctl, waiter.state);
        waiter.deadline = clock_deadline(timeout);
        return wait_for(&waiter);
}
