/* SPDX-License-Identifier: MIT */
/* The live screen: asks the daemon again and again, and draws the replies in place. */
#include "ctl/top/top.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/show/event_text.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/top/term.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"

enum {
        INTERVAL_USEC = 1000 * 1000,
        ANSWER_USEC = 500 * 1000, /* the deadline of one call; keys wait meanwhile */
};

enum { INTERVAL = CTL_OPTION };

const struct verb_option verb_top_options[] = {
        {'n', NULL, "N", "end after N looks", NULL},
        {INTERVAL, "interval", "T", "look as often [1s]", NULL},
        {0},
};

const char verb_top_more[] =
        "Keys: q quits; i, p, n, o, u, d sort the clients by id, program, in, out,\n"
        "queued, dropped, and < and > by the column beside; r reverses; the arrows, PgUp,\n"
        "PgDn, Home and End scroll them; + and - look more and less often. While the\n"
        "daemon is away it is waited for, and what it said last is dimmed. Where stdout\n"
        "is no terminal there is a line each look, or with -j the daemon's answer.\n";

struct watch {
        struct ctl *ctl;
        struct top top;
        struct term term;
        bool utf8, colour;
        bool latency;   /* false: the daemon has no GetLatency */
        uint64_t looks; /* the number of looks left */
};

/* Makes one call. Returns the exit code; *result is NULL unless CTL_DONE. */
static int ask(struct watch *watch, const char *method, json_t **result)
{
        int code = bus_call_until(watch->ctl, method, NULL, result, clock_deadline(ANSWER_USEC));

        if (code != CTL_DONE) {
                json_decref(*result);
                *result = NULL;
        }
        return code;
}

/* Asks for the events if the link is down, and fills top.down. An error leaves top.down empty. */
static void look_down(struct watch *watch, const json_t *status)
{
        json_t *recent = NULL;

        *watch->top.down = '\0';
        if (event_is_down(json_object_get(status, "upstream")) &&
            ask(watch, "io.ftcpd.RecentEvents", &recent) == CTL_DONE)
                event_down_text(json_object_get(recent, "events"), clock_wall_usec(),
                                watch->top.down, sizeof(watch->top.down));
        json_decref(recent);
        *watch->ctl->why = '\0';
}

/* Asks for all replies and gives them to watch->top. Returns CTL_DONE, also if the daemon is
 * unreachable; or the exit code of an error that ends the program. */
static int look(struct watch *watch)
{
        json_t *status = NULL, *clients = NULL, *latency = NULL, *list;
        struct ctl *ctl = watch->ctl;
        int code = ask(watch, "io.ftcpd.Status", &status);

        if (code == CTL_DONE)
                code = ask(watch, "io.ftcpd.ListClients", &clients);
        if (code == CTL_DONE && watch->latency &&
            ask(watch, "io.ftcpd.GetLatency", &latency) == CTL_FAILED)
                watch->latency = false;
        if (code == CTL_DONE) {
                look_down(watch, status);
                list = json_incref(json_object_get(clients, "clients"));
                top_take(&watch->top, status, list, latency);
                json_decref(clients);
                *ctl->why = '\0';
                return CTL_DONE;
        }
        json_decref(status);
        if (code != CTL_UNREACHABLE)
                return code;
        /* The next daemon may be another version. */
        watch->latency = true;
        top_lost(&watch->top, ctl->why);
        *ctl->why = '\0';
        return CTL_DONE;
}

static int draw(struct watch *watch)
{
        char *text = NULL;
        size_t size = 0;
        FILE *to = open_memstream(&text, &size);
        int result;

        if (!to)
                return ctl_fail(watch->ctl, CTL_FAILED, "no memory");
        top_draw(to, &watch->top, watch->term.rows, watch->term.columns, watch->colour,
                 watch->utf8);
        fclose(to);
        result = term_write(text, size);
        free(text);
        return result < 0 ? ctl_fail(watch->ctl, CTL_FAILED, "the terminal: %s", strerror(-result))
                          : CTL_DONE;
}

/* Reads and obeys keys. False to quit: a key says so, or the terminal is gone. */
static bool take_keys(struct watch *watch)
{
        char keys[64];
        ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR);
        return top_keys(&watch->top, keys, (size_t)n);
}

static bool take_signal(struct watch *watch)
{
        struct signalfd_siginfo info;

        if (read(watch->term.signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
                return true;
        switch (info.ssi_signo) {
        case SIGWINCH: term_measure(&watch->term); return true;
        case SIGTSTP: return term_suspend(&watch->term) >= 0;
        default: return false;
        }
}

/* Waits for the time of the next look, and redraws after each key and signal. *quit is set by a key
 * or a signal that ends the program. */
static int pause_for_keys(struct watch *watch, bool *quit)
{
        uint64_t begun = clock_usec();
        int code = CTL_DONE;

        while (code == CTL_DONE && !*quit && clock_usec() < begun + watch->top.interval_usec) {
                struct pollfd polled[] = {{.fd = watch->term.signals, .events = POLLIN},
                                          {.fd = STDIN_FILENO, .events = POLLIN}};
                int n = poll(polled, 2, local_poll_msec(begun + watch->top.interval_usec));

                if (n <= 0)
                        continue;
                if (polled[0].revents)
                        *quit = !take_signal(watch);
                if (polled[1].revents && !*quit)
                        *quit = !take_keys(watch);
                if (!*quit)
                        code = draw(watch);
        }
        return code;
}

static int watch_screen(struct watch *watch)
{
        bool quit = false;
        int result = term_begin(&watch->term), code = CTL_DONE;

        if (result < 0)
                return ctl_fail(watch->ctl, CTL_FAILED, "the terminal: %s", strerror(-result));
        while (code == CTL_DONE) {
                code = draw(watch);
                if (code == CTL_DONE)
                        code = pause_for_keys(watch, &quit);
                if (quit || --watch->looks == 0)
                        break;
                if (code == CTL_DONE)
                        code = look(watch);
        }
        term_end(&watch->term);
        return code;
}

static int watch_lines(struct watch *watch)
{
        struct ctl *ctl = watch->ctl;
        bool away = false;
        int code = CTL_DONE;

        for (; code == CTL_DONE; code = look(watch)) {
                if (*watch->top.trouble && !away)
                        fprintf(stderr, "ftcpctl: waiting: %s\n", watch->top.trouble);
                away = *watch->top.trouble;
                if (!away && ctl->json != CTL_JSON_OFF)
                        ctl_print_json(ctl, watch->top.status);
                else if (!away)
                        top_line(stdout, &watch->top);
                if (fflush(stdout) != 0)
                        return ctl_fail(ctl, CTL_FAILED, "stdout: %s", strerror(errno));
                if (--watch->looks == 0)
                        return CTL_DONE;
                local_sleep(watch->top.interval_usec);
        }
        return code;
}

static int read_options(struct watch *watch, int argc, char **argv)
{
        struct ctl *ctl = watch->ctl;
        uint64_t *interval = &watch->top.interval_usec;
        int option;

        while ((option = ctl_option(ctl, argc, argv)) != -1)
                if (option == '?' ||
                    (option == 'n' && !ctl_number(ctl, "-n", optarg, &watch->looks)) ||
                    (option == INTERVAL && !ctl_span(ctl, "--interval", optarg, interval)))
                        return ctl_usage(ctl, NULL);
        if (optind < argc)
                return ctl_usage(ctl, "top takes no argument");
        if (*interval < TOP_INTERVAL_MIN_USEC || *interval > TOP_INTERVAL_MAX_USEC)
                return ctl_usage(ctl, "--interval: expected 100ms to 1min");
        if (watch->looks == 0)
                return ctl_usage(ctl, "-n: expected 1 or more");
        return CTL_DONE;
}

int verb_top(struct ctl *ctl, int argc, char **argv)
{
        struct watch watch = {.ctl = ctl, .latency = true, .looks = UINT64_MAX};
        int code;

        watch.top.interval_usec = INTERVAL_USEC;
        code = read_options(&watch, argc, argv);
        if (code != CTL_DONE)
                return code;
        /* Without a daemon at the start, the verb fails at once; later it waits for the daemon. */
        code = bus_open(ctl);
        if (code == CTL_DONE)
                code = look(&watch);
        if (code != CTL_DONE)
                return code;
        setlocale(LC_CTYPE, "");
        watch.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        watch.colour = show_colour();
        code = ctl->json == CTL_JSON_OFF && term_fits() ? watch_screen(&watch)
                                                        : watch_lines(&watch);
        top_done(&watch.top);
        return code;
}
