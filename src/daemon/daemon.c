/* SPDX-License-Identifier: MIT */
#include "daemon/daemon.h"
#include "daemon/daemon_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "config.h"
#include "core/catalog.h"
#include "daemon/limits.h"
#include "daemon/timers.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/host_error.h"
#include "util/socket.h"
#include "util/units.h"

enum {
        SETTLE_USEC = 20000, /* short, as clients wait during a restart */
        LOOK_SEC = 10,       /* between two looks at the sockets' paths */
        TIMERS = 64,         /* more than there are but for those of the control socket's clients */
        TELL_MAX = 30,       /* diag lines for the errors of a configuration */
};

struct config_source daemon_source(const struct options *options, bool strict)
{
        return (struct config_source){
                .path = options->config, .instance = options->instance, .strict = strict};
}

void daemon_tell(const struct config_report *report)
{
        for (size_t i = 0; i < report->n_warnings; i++)
                diag_warning("%s", report->warnings[i]);
        for (size_t i = 0; i < report->n_errors && i < TELL_MAX; i++)
                diag_event(LOG_ERR, diag_facts(.id = CATALOG_CONFIG_BAD), "%s", report->errors[i]);
        if (report->n_errors > TELL_MAX)
                diag_err("... and %zu more: ftcpd --check-config shows all",
                         report->n_errors - TELL_MAX);
}

/* ---- the relay ---- */

static void on_state(void *context, enum link_state state, enum link_cause cause, const char *text)
{
        (void)context;
        (void)cause;
        if (state != LINK_UP) /* the link itself logs an up that is news */
                diag_debug("link: %s: %s", link_state_name(state), text);
        service_status("%s: %s", link_state_name(state), text);
}

static void on_stopped(void *context, struct count left, struct count dropped, bool unheard)
{
        struct daemon *daemon = context;
        char text[256];

        if (left.messages)
                snprintf(text, sizeof(text),
                         "stopped; %s (%" PRIu64
                         " bytes) %s not acknowledged by the upstream's kernel%s%s",
                         units_messages(left.messages).text, left.bytes, units_were(left.messages),
                         unheard ? ", or only before its program said a byte" : "",
                         daemon->leaves ? "; a process that is started at once goes on with them"
                                        : "");
        else if (dropped.messages)
                snprintf(
                        text, sizeof(text),
                        "stopped; everything was acknowledged by the upstream's kernel, but for %s "
                        "that %s dropped",
                        units_messages(dropped.messages).text, units_were(dropped.messages));
        else
                snprintf(text, sizeof(text),
                         "stopped; everything was acknowledged by the upstream's kernel");
        diag_event(left.messages ? LOG_WARNING : LOG_NOTICE,
                   diag_facts(.id = CATALOG_STOPPED, .messages = left.messages), "%s", text);
        relay_tell(daemon->relay, EVENT_SERVICE, "%s", text);
        service_status("%s", text);
        daemon->done = true;
}

static void on_event(void *context)
{
        struct daemon *daemon = context;

        if (daemon->control)
                control_news(daemon->control);
}

static void on_flushed(void *context)
{
        struct daemon *daemon = context;

        if (daemon->control)
                control_flushed(daemon->control);
}

static const struct relay_ops relay_ops = {on_state, on_stopped, on_flushed, on_event};

/* ---- signals ---- */

static void on_hup(evutil_socket_t number, short what, void *arg)
{
        struct config_report report = {0};

        (void)number;
        (void)what;
        daemon_reload(arg, &report);
        config_report_done(&report);
}

static void tell_handover(struct daemon *daemon)
{
        uint64_t unkept = relay_unkept(daemon->relay);

        if (unkept)
                diag_event(LOG_WARNING, diag_facts(.id = CATALOG_HANDED_OVER),
                           "restart: handed over to the next process, but for up to %" PRIu64
                           " clients that there was no room to keep (LimitNOFILE=)",
                           unkept);
        else
                diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_HANDED_OVER),
                           "restart: everything is handed over to the next process");
}

static void on_term(evutil_socket_t number, short what, void *arg)
{
        struct daemon *daemon = arg;
        enum service_job job;

        (void)what;
        if (daemon->stopping && number == SIGTERM)
                return; /* a second SIGTERM does not shorten StopTimeout= */
        if (daemon->stopping) {
                diag_notice("SIGINT again: what is left is not waited for");
                relay_stop(daemon->relay, 0, daemon->leaves);
                return;
        }
        daemon->stopping = true;
        job = service_job(HANDOVER_NEEDS);
        service_stopping(daemon->config->stop_timeout_usec);
        if (job == SERVICE_JOB_RESTART) {
                tell_handover(daemon);
                daemon->done = daemon->leaves = true;
                relay_tell(daemon->relay, EVENT_SERVICE, "handing over to the next process");
                return;
        }
        if (job == SERVICE_JOB_RESTART_BARE) {
                diag_warning("restart: systemd does not keep what the next process would need, so "
                             "it is a stop: see FileDescriptorStoreMax=");
                job = SERVICE_JOB_STOP;
        }
        relay_tell(daemon->relay, EVENT_SERVICE, "%s: stopping",
                   number == SIGTERM ? "SIGTERM" : "SIGINT");
        diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_STOPPING),
                   "%s: stopping, within StopTimeout=%s%s",
                   number == SIGTERM ? "SIGTERM" : "SIGINT",
                   units_span_words(daemon->config->stop_timeout_usec).text,
                   job == SERVICE_JOB_STOP ? ""
                                           : "; systemd does not say whether this is a restart, "
                                             "so nothing is closed");
        daemon->leaves = job != SERVICE_JOB_STOP;
        relay_stop(daemon->relay, clock_deadline(daemon->config->stop_timeout_usec),
                   daemon->leaves);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
        (void)fd;
        (void)what;
        (void)arg;
        service_watchdog();
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
        struct daemon *daemon = arg;

        (void)fd;
        (void)what;
        doors_look(&daemon->doors, daemon->config);
}

static bool add_signals(struct daemon *daemon)
{
        uint64_t usec = service_watchdog_usec();
        const struct timeval look = {.tv_sec = LOOK_SEC};
        struct timeval every = {(time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC)};

        daemon->hup = evsignal_new(daemon->base, SIGHUP, on_hup, daemon);
        daemon->term = evsignal_new(daemon->base, SIGTERM, on_term, daemon);
        daemon->intr = evsignal_new(daemon->base, SIGINT, on_term, daemon);
        daemon->watchdog = event_new(daemon->base, -1, EV_PERSIST, on_watchdog, daemon);
        daemon->look = event_new(daemon->base, -1, EV_PERSIST, on_look, daemon);
        return daemon->hup && daemon->term && daemon->intr && daemon->watchdog && daemon->look &&
               event_add(daemon->hup, NULL) == 0 && event_add(daemon->term, NULL) == 0 &&
               event_add(daemon->intr, NULL) == 0 && event_add(daemon->look, &look) == 0 &&
               (!usec || event_add(daemon->watchdog, &every) == 0);
}

/* ---- life ---- */

/* Tells that a part could not be made, by errno, and returns the negative errno. */
static int cannot_start(void)
{
        int error = host_error_of_null();

        diag_err("can't start: %s", host_error_words(HOST_CALL_ANY, -error));
        return error;
}

static int build_relay(struct daemon *daemon)
{
        int result = relay_new(&daemon->relay, daemon->base, daemon->config, &daemon->handover,
                               &relay_ops, daemon);

        if (result < 0)
                limits_tell_no_store(-result);
        else
                handover_done(&daemon->handover);
        return result;
}

bool daemon_reserve(struct daemon *daemon, const struct config *config)
{
        return timers_reserve(daemon->base, TIMERS + config->control_max_clients);
}

static int build(struct daemon *daemon)
{
        int result;

        daemon->base = event_base_new();
        if (!daemon->base || !daemon_reserve(daemon, daemon->config))
                return cannot_start();
        result = build_relay(daemon);
        if (result < 0)
                return result;
        daemon->control = control_new(daemon->base, &control_ftcpd, &daemon_control_ops, daemon);
        if (!daemon->control || !add_signals(daemon))
                return cannot_start();
        result = doors_open(&daemon->doors, daemon->config, &daemon->passed, daemon->relay,
                            daemon->control);
        if (result == 0 || !relay_is_recovered(daemon->relay))
                return result;
        diag_err("nobody can connect: a socket is missing; who was connected is served on");
        daemon->shut = true;
        return 0;
}

static void tear_down(struct daemon *daemon)
{
        struct event *events[] = {daemon->hup, daemon->term, daemon->intr, daemon->watchdog,
                                  daemon->look};

        if (daemon->control)
                control_free(daemon->control);
        daemon->control = NULL;
        lookups_free(daemon->lookups);
        if (daemon->relay)
                relay_free(daemon->relay);
        for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
                if (events[i])
                        event_free(events[i]);
        if (daemon->base)
                event_base_free(daemon->base);
        doors_done(&daemon->doors);
        handover_done(&daemon->handover);
        last_config_done(&daemon->last);
        service_sockets_done(&daemon->passed);
        config_free(daemon->config);
}

static void block_signals(bool block)
{
        sigset_t signals;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
}

/* Ends ftcpd as a crash does, with the predecessor's state kept and no connection closed, for
 * another try. Sleeps first, because memory or descriptors may be short only for a moment. */
static _Noreturn void leave(void)
{
        diag_err("what the last process left is kept: ftcpd ends, to be started again");
        diag_settle(SETTLE_USEC);
        sleep(1);
        _exit(EXIT_FAILURE);
}

/* Returns the configuration that the predecessor kept, the caller's to free; NULL: none is usable.
 * For broken files. */
static struct config *load_last(struct daemon *daemon)
{
        struct config_source source = daemon_source(daemon->options, false);
        struct config_report report = {0};
        struct config *config;

        errno = 0;
        if (!last_config_source(&daemon->last, &source)) {
                if (errno == ENOMEM)
                        leave();
                return NULL;
        }
        config = config_load(&source, &report);
        if (report.starved)
                leave();
        daemon->outdated = config != NULL;
        if (config)
                diag_event(LOG_ERR, diag_facts(.id = CATALOG_CONFIG_BAD),
                           "what was configured before the restart stays in force: mend the file, "
                           "then reload");
        else
                daemon_tell(&report);
        config_report_done(&report);
        return config;
}

/* Ends ftcpd without a configuration. The next client that connects to a passed socket has systemd
 * start ftcpd at once: the pause keeps such starts rare. */
static int refuse(struct daemon *daemon)
{
        size_t n = doors_turn_away(&daemon->passed);

        if (daemon->handover.state >= 0 || handover_has_leftovers(&daemon->handover)) {
                diag_event(LOG_ERR, diag_facts(.id = CATALOG_REFUSED),
                           "the state of the last run can't be gone on with, and its connections "
                           "are ended");
                handover_refuse(&daemon->handover);
        }
        if (n) {
                diag_err("%zu who waited for ftcpd were turned away", n);
                diag_settle(USEC_PER_SEC);
                sleep(1);
        }
        tear_down(daemon);
        return EXIT_CONFIG;
}

static void announce(struct daemon *daemon)
{
        if (geteuid() == 0)
                diag_warning("running as root: an account of its own is safer (the packaged units "
                             "use ftcpd)");
        diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_STARTED), "ftcpd %s: clients connect to %s",
                   PACKAGE_VERSION, doors_place(&daemon->doors, DOOR_DATA)->text);
        service_ready();
        relay_forget_starts(daemon->relay);
        relay_tell(daemon->relay, EVENT_SERVICE, "ftcpd %s started, pid %d", PACKAGE_VERSION,
                   (int)getpid());
        if (daemon->outdated)
                relay_tell(daemon->relay, EVENT_RELOAD,
                           "%s is broken: what was configured before the restart stays in force",
                           daemon->config->path);
}

/* Takes the descriptors that systemd passed. Returns false without memory. */
static bool take(struct daemon *daemon)
{
        doors_init(&daemon->doors);
        last_config_init(&daemon->last, -1);
        if (service_take_sockets(&daemon->passed) < 0 ||
            handover_init(&daemon->handover, &daemon->passed) < 0)
                return false;
        last_config_init(&daemon->last, daemon->handover.config);
        daemon->handover.config = -1;
        return true;
}

int daemon_run(const struct options *options, struct config *config)
{
        struct daemon daemon = {.options = options, .config = config};
        bool left;
        int how = EVLOOP_ONCE;

        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN); /* the store is a file: an error tells of LimitFSIZE= */
        if (!take(&daemon)) {
                cannot_start();
                tear_down(&daemon);
                return EXIT_FAILURE;
        }
        if (!daemon.config)
                daemon.config = load_last(&daemon);
        if (!daemon.config)
                return refuse(&daemon);
        limits_raise(daemon.config);
        limits_tell_memory(daemon.config, "");
        block_signals(true); /* until the handlers are there, a stop waits */
        left = daemon.handover.state >= 0;
        if (build(&daemon) < 0) {
                if (left && (!daemon.relay || relay_is_recovered(daemon.relay))) {
                        if (daemon.relay)
                                relay_forget_starts(
                                        daemon.relay); /* the fault is not the state's */
                        leave();
                }
                tear_down(&daemon);
                return EXIT_FAILURE;
        }
        block_signals(false);
        if (!daemon.outdated)
                last_config_put(&daemon.last, daemon.config);
        announce(&daemon);
        daemon_look_up(&daemon);
        relay_start(daemon.relay);
        while (!daemon.done && event_base_loop(daemon.base, how) >= 0)
                how = EVLOOP_ONCE | (relay_pass(daemon.relay) ? EVLOOP_NONBLOCK : 0);
        if (daemon.leaves) {
                diag_settle(SETTLE_USEC);
                _exit(EXIT_SUCCESS); /* the kept copies keep the connections open */
        }
        if (service_keeps())
                handover_forget_all();
        tear_down(&daemon);
        return daemon.exit_code;
}
