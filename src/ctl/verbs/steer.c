/* SPDX-License-Identifier: MIT */
/* The verbs that steer the link, one client, or the log level. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/show/event_text.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/talk/witness.h"
#include "ctl/verbs/verbs.h"
#include "util/diag.h"
#include "util/text.h"
#include "util/units.h"

enum {
        CLOSED_POLL_USEC = 20 * 1000,
        OPTION_FOR = CTL_OPTION,
        OPTION_REASON,
        REASON = 1024,
};

#define HOLD_MAX_USEC (UINT64_C(36525) * 86400 * 1000000)

const struct verb_option verb_hold_options[] = {
        {OPTION_FOR, "for", "T", "release it by itself after this time [never]", NULL},
        {OPTION_REASON, "reason", "TEXT", "for those who look: status, log and events tell it",
         NULL},
        {0},
};

const char verb_hold_more[] =
        "Closes the link, after the message that is half written, and keeps it closed\n"
        "until `ftcpctl release`. Returns when it is closed. Messages wait meanwhile, or\n"
        "are refused, as WhenDown= says. The hold survives a restart of ftcpd under\n"
        "systemd, but not a stop. Held again, it gets another reason and time. With sudo\n"
        "the reason also says by whom.\n";

const char verb_release_more[] =
        "What is held connects at once; `ftcpctl wait` waits until it is up. To release\n"
        "what is not held is no error.\n";

const char verb_reconnect_more[] =
        "Closes the link, after the message that is half written, and connects anew at\n"
        "once, to the first address that answers; one that waits for its next attempt\n"
        "makes it now. Returns when the old connection is closed; `ftcpctl wait` waits\n"
        "until the new one is up.\n";

const char verb_drop_more[] =
        "ID is the number in `ftcpctl clients`. What waits for it is dropped; it may\n"
        "connect again.\n";

const char verb_log_level_more[] =
        "LEVEL is emerg, alert, crit, err, warning, notice, info or debug. It holds until\n"
        "the next reload or restart, which take LogLevel= again.\n";

/* Prints result with --json=, otherwise one line for people. Takes the reference of result. */
__attribute__((format(printf, 3, 4))) static int finish(struct ctl *ctl, json_t *result,
                                                        const char *format, ...)
{
        int code = CTL_DONE;
        va_list args;

        if (ctl->json != CTL_JSON_OFF) {
                code = ctl_print_json(ctl, result);
        } else {
                va_start(args, format);
                vprintf(format, args);
                va_end(args);
                putchar('\n');
        }
        json_decref(result);
        return code;
}

/* Returns the `upstream` of a Status reply, a new reference, or NULL. *code is the exit code. */
static json_t *upstream_now(struct ctl *ctl, int *code)
{
        json_t *status = NULL, *upstream;

        *code = bus_call(ctl, "io.ftcpd.Status", NULL, &status);
        upstream = *code == CTL_DONE ? json_incref(json_object_get(status, "upstream")) : NULL;
        json_decref(status);
        if (*code == CTL_DONE && !upstream)
                *code = ctl_fail(ctl, CTL_FAILED, "ftcpd does not say how the link is");
        return upstream;
}

/* How the link was before a command that closes it, and the last event then. */
struct before {
        json_t *upstream;
        struct witness witness;
};

/* The event first: the end of the session of `upstream` is then an event behind it. */
static int look_before(struct ctl *ctl, struct before *before)
{
        int code = witness_find(ctl, &before->witness);

        before->upstream = code == CTL_DONE ? upstream_now(ctl, &code) : NULL;
        return code;
}

/* True for an event of a link without a session. */
static bool tells_end(const json_t *event)
{
        static const char *const states[] = {"resolving", "connecting", "handshaking", "waiting"};
        const char *state = member_text(event, "state", "");
        bool found = false;

        for (size_t k = 0; k < sizeof(states) / sizeof(*states); k++)
                found |= strcmp(state, states[k]) == 0;
        return found && strcmp(member_text(event, "kind", ""), "link") == 0;
}

/* Sets *over if an event behind `before` tells the end of its session, or if the daemon has lost
 * its state. */
static int look_for_end(struct ctl *ctl, const struct before *before, bool *over)
{
        json_t *events = NULL;
        int code = witness_events(ctl, &events);

        if (code == CTL_DONE)
                *over = !event_goes_on(events, before->witness.seq, before->witness.time_usec);
        for (size_t k = 0; k < json_array_size(events); k++) {
                const json_t *event = json_array_get(events, k);

                if (member_int(event, "seq", 0) > before->witness.seq && tells_end(event))
                        *over = true;
        }
        json_decref(events);
        return code;
}

/* Sets *over if the session of `before` is lost. The end of a session that was only connected
 * counts as no disconnect, and the next one may be up already: the events tell that end. */
static int look_after(struct ctl *ctl, const struct before *before, bool *over)
{
        int64_t ends = member_int(before->upstream, "disconnects", 0);
        int code;
        json_t *now = upstream_now(ctl, &code);

        *over = member_int(now, "disconnects", ends + 1) != ends || !member_text(now, "peer", NULL);
        json_decref(now);
        if (code == CTL_DONE && !*over &&
            strcmp(member_text(before->upstream, "state", ""), "connected") == 0)
                code = look_for_end(ctl, before, over);
        return code;
}

/* Waits until the session of `before`, if any, is lost. No deadline is needed: ftcpd closes a
 * session in bounded time. */
static int wait_closed(struct ctl *ctl, const struct before *before)
{
        int code = CTL_DONE;
        bool closed = !member_text(before->upstream, "peer", NULL);

        while (!closed) {
                code = look_after(ctl, before, &closed);
                if (code != CTL_DONE)
                        return code;
                if (!closed)
                        local_sleep(CLOSED_POLL_USEC);
        }
        return code;
}

static int hold(struct ctl *ctl, const char *reason, uint64_t span)
{
        json_t *parameters = json_object(), *result = NULL;
        char until[SHOW_SIZE];
        struct before before;
        int code;

        show_until(span, until); /* the time runs from now on, not from the close */
        if (reason && json_object_set_new(parameters, "reason", json_string(reason)) < 0) {
                json_decref(parameters);
                return ctl_usage(ctl, "--reason is no UTF-8");
        }
        if (span != UNITS_INFINITY)
                json_object_set_new(parameters, "forUsec", json_integer((json_int_t)span));
        code = look_before(ctl, &before);
        if (code == CTL_DONE)
                code = bus_call(ctl, "io.ftcpd.Hold", parameters, &result);
        if (code == CTL_DONE)
                code = wait_closed(ctl, &before);
        json_decref(parameters);
        json_decref(before.upstream);
        if (code != CTL_DONE) {
                json_decref(result);
                return code;
        }
        if (span == UNITS_INFINITY)
                return finish(ctl, result, "the link is held, until `ftcpctl release`");
        return finish(ctl, result, "the link is held, for %s, until %s, or `ftcpctl release`",
                      units_span_words(span).text, until);
}

/* Returns the reason, behind the name of the user who called sudo; ftcpd itself sees only root. */
static const char *with_person(const char *reason, char text[REASON])
{
        const char *person = getenv("SUDO_USER");
        char all[2 * REASON];

        if (!person || !*person || geteuid() != 0 || strcmp(person, "root") == 0)
                return reason;
        snprintf(all, sizeof(all), "sudo by %.64s%s%s", person, reason ? ": " : "",
                 reason ? reason : "");
        text_cut(text, REASON, all);
        return text;
}

int verb_hold(struct ctl *ctl, int argc, char **argv)
{
        const char *reason = NULL;
        char text[REASON];
        uint64_t span = UNITS_INFINITY;
        int option;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?')
                        return ctl_usage(ctl, NULL);
                if (option == OPTION_REASON)
                        reason = optarg;
                else if (!ctl_span(ctl, "--for", optarg, &span))
                        return ctl_usage(ctl, NULL);
        }
        if (span == 0)
                return ctl_usage(ctl, "--for=0 is no time to hold the link");
        if (span != UNITS_INFINITY && span > HOLD_MAX_USEC)
                return ctl_usage(ctl, "--for is more than 100 years: without it, the link is held "
                                      "until `ftcpctl release`");
        if (optind < argc)
                return ctl_usage(ctl, "hold takes no argument; for a reason say --reason=TEXT");
        return hold(ctl, with_person(reason, text), span);
}

int verb_release(struct ctl *ctl, int argc, char **argv)
{
        json_t *before, *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 0);
        bool was_held;

        if (code)
                return code;
        before = upstream_now(ctl, &code);
        was_held = member_text(before, "heldBy", NULL) != NULL;
        json_decref(before);
        if (code == CTL_DONE)
                code = bus_call(ctl, "io.ftcpd.Release", NULL, &result);
        if (code == CTL_DONE)
                return finish(ctl, result,
                              was_held ? "the link is released" : "the link was not held");
        json_decref(result);
        return code;
}

/* Fails if an operator holds the link. */
static int fail_if_held(struct ctl *ctl, const json_t *upstream)
{
        const char *by = member_text(upstream, "heldBy", NULL);

        if (!by)
                return CTL_DONE;
        return ctl_fail(ctl, CTL_FAILED,
                        "the link is held by %s: `ftcpctl release` lets it connect", by);
}

int verb_reconnect(struct ctl *ctl, int argc, char **argv)
{
        json_t *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 0);
        struct before before;

        if (code)
                return code;
        code = look_before(ctl, &before);
        if (code == CTL_DONE)
                code = bus_call(ctl, "io.ftcpd.Reconnect", NULL, &result);
        if (code == CTL_DONE)
                code = fail_if_held(ctl, before.upstream);
        if (code == CTL_DONE)
                code = wait_closed(ctl, &before);
        json_decref(before.upstream);
        if (code == CTL_DONE)
                return finish(ctl, result, "the link connects anew");
        json_decref(result);
        return code;
}

int verb_drop(struct ctl *ctl, int argc, char **argv)
{
        json_t *parameters, *result = NULL;
        uint64_t id;
        int code = ctl_arguments(ctl, argc, argv, 1);

        if (code)
                return code;
        if (optind == argc)
                return ctl_usage(ctl, "drop needs the ID of a client");
        if (!ctl_number(ctl, "ID", argv[optind], &id) || id > INT64_MAX)
                return ctl_usage(ctl, "there is no client of this ID");
        parameters = json_pack("{s:I}", "id", (json_int_t)id);
        code = bus_call(ctl, "io.ftcpd.DropClient", parameters, &result);
        json_decref(parameters);
        if (code == CTL_DONE)
                return finish(ctl, result, "client %" PRIu64 " is disconnected", id);
        if (strcmp(ctl->error, "io.ftcpd.NoSuchClient") == 0)
                ctl_fail(ctl, code, "there is no client %" PRIu64 "; `ftcpctl clients` lists them",
                         id);
        json_decref(result);
        return code;
}

int verb_log_level(struct ctl *ctl, int argc, char **argv)
{
        json_t *parameters, *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 1);
        char words[160];

        if (code)
                return code;
        if (optind == argc || diag_level_parse(argv[optind]) < 0) {
                snprintf(words, sizeof(words),
                         "%s%.60s%sexpected emerg, alert, crit, err, warning, "
                         "notice, info or debug",
                         optind < argc ? "" : "log-level needs a LEVEL: ",
                         optind < argc ? argv[optind] : "", optind < argc ? ": " : "");
                return ctl_usage(ctl, words);
        }
        parameters = json_pack("{s:s}", "level", argv[optind]);
        code = bus_call(ctl, "io.ftcpd.SetLogLevel", parameters, &result);
        json_decref(parameters);
        if (code == CTL_DONE)
                return finish(ctl, result, "the log level is %s, until a reload or restart",
                              argv[optind]);
        json_decref(result);
        return code;
}
