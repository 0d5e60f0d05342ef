/* SPDX-License-Identifier: MIT */
/* ftcpctl: the table of verbs, and the dispatch of the command line to a verb. */
#include <stdio.h>
#include <string.h>

#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/help.h"
#include "ctl/verbs/verbs.h"
#include "util/std_fds.h"
#include "util/suggest.h"

const struct verb ctl_verbs[] = {
        {"status", "", "one screen: the link, queues, events (default)", NULL, verb_status, 0, NULL,
         NULL},
        {"health", "[--nagios]", "one line; exits with 0, 1, 2 or 3", verb_health_more, verb_health,
         VERB_HEALTH_UNKNOWN, verb_health_options, NULL},
        {"clients", "", "a table of the local clients", NULL, verb_clients, 0, NULL, NULL},
        {"events", "[-n N]", "the last events, and then each as it happens", verb_events_more,
         verb_events, 0, verb_events_options, NULL},
        {"latency", "", "how long round trips and queues take", verb_latency_more, verb_latency, 0,
         NULL, NULL},
        {"metrics", "[--output=FILE] [--mode=MODE]", "Prometheus text", verb_metrics_more,
         verb_metrics, 0, verb_metrics_options, NULL},
        {"top", "[-n N] [--interval=T]", "live screen: rates, latency, queues, clients",
         verb_top_more, verb_top, 0, verb_top_options, NULL},
        {"wait", "[--state=STATE] [--timeout=T]", "until the link is up, or so; 1 at the timeout",
         verb_wait_more, verb_wait, 0, verb_wait_options, NULL},
        {"hold", "[--for=T] [--reason=TEXT]", "close the link and keep it closed", verb_hold_more,
         verb_hold, 0, verb_hold_options, NULL},
        {"release", "", "let a held link connect", verb_release_more, verb_release, 0, NULL, NULL},
        {"reconnect", "", "close the link and connect anew", verb_reconnect_more, verb_reconnect, 0,
         NULL, NULL},
        {"drop", "ID", "disconnect a client", verb_drop_more, verb_drop, 0, NULL, "@client"},
        {"log-level", "LEVEL", "log more or less, until a reload", verb_log_level_more,
         verb_log_level, 0, NULL, "emerg alert crit err warning notice info debug"},
        {"reload", "", "make ftcpd read its configuration anew", verb_reload_more, verb_reload, 0,
         NULL, NULL},
        {"flush", "[--timeout=T]", "until all messages are acknowledged", verb_flush_more,
         verb_flush, 0, verb_flush_options, NULL},
        {"send", "[TEXT | -] [--lines] [--flush [--timeout=T]]", "send a message to the upstream",
         verb_send_more, verb_send, 0, verb_send_options, NULL},
        {"recv", "[-n N] [--timeout=T] [--lines | --hex | --raw] [--steal]",
         "print what the upstream sends", verb_recv_more, verb_recv, 0, verb_recv_options, NULL},
        {"tap", "[--in | --out] [--client=ID] [-n N] [--lines | --hex | --pcap=FILE]",
         "watch what passes", verb_tap_more, verb_tap, 0, verb_tap_options, NULL},
        {"call", "METHOD [JSON] [--more]", "call any Varlink method", verb_call_more, verb_call, 0,
         verb_call_options,
         "Status Health ListClients Monitor RecentEvents GetConfig GetMetrics GetLatency Tap Flush "
         "Reconnect Hold Release DropClient Reload SetLogLevel"},
        {"help", "[VERB]", "what there is, or what VERB does, as --help", NULL, verb_help, 0, NULL,
         "@verb"},
        {"config", "[--cat]", "what is in force, and from which file and line", verb_config_more,
         verb_config, 0, verb_config_options, NULL},
        {"peer", "[OPTION...]", "be an upstream, to try and test with", verb_peer_more, verb_peer,
         0, verb_peer_options, NULL},
        {0},
};

static const struct verb *find_verb(struct ctl *ctl, const char *name)
{
        struct suggest near = suggest_begin(name);
        const char *best;

        for (const struct verb *verb = ctl_verbs; verb->name; verb++) {
                if (strcmp(verb->name, name) == 0)
                        return verb;
                suggest_offer(&near, verb->name);
        }
        best = suggest_best(&near);
        ctl_fail(ctl, CTL_USAGE, "there is no verb \"%.60s\"%s%s%s; see `ftcpctl --help`", name,
                 best ? " (did you mean " : "", best ? best : "", best ? "?)" : "");
        return NULL;
}

int verb_help(struct ctl *ctl, int argc, char **argv)
{
        const struct verb *verb;
        int code = ctl_arguments(ctl, argc, argv, 1);

        if (code)
                return code;
        if (optind == argc) {
                help_all();
                return CTL_DONE;
        }
        verb = find_verb(ctl, argv[optind]);
        if (!verb)
                return CTL_USAGE;
        help_verb(verb);
        return CTL_DONE;
}

/* Reads the options before the verb, and runs the verb. After a wrong option in front of `health`
 * the exit code is UNKNOWN, for the sake of monitoring. */
static int dispatch(struct ctl *ctl, int argc, char **argv)
{
        static char *status[] = {"status", NULL};
        int result;

        while ((result = ctl_option(ctl, argc, argv)) != -1)
                if (result == '?')
                        break;
        while (result == '?' && optind < argc && argv[optind][0] == '-')
                optind++;
        argc -= optind;
        argv += optind;
        if (argc == 0) {
                argc = 1;
                argv = status;
        }
        if (result != '?')
                ctl->verb = find_verb(ctl, argv[0]);
        else if (strcmp(argv[0], "health") == 0)
                return VERB_HEALTH_UNKNOWN;
        if (!ctl->verb)
                return CTL_USAGE;
        optind = 0;
        return ctl->verb->run(ctl, argc, argv);
}

int main(int argc, char **argv)
{
        struct ctl ctl = {0};
        int code;

        std_fds_fill();
        code = dispatch(&ctl, argc, argv);
        bus_free(ctl.bus);
        return ctl_end(&ctl, code);
}
