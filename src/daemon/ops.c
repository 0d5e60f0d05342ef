/* SPDX-License-Identifier: MIT */
#include "daemon/daemon_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "core/catalog.h"
#include "daemon/limits.h"
#include "util/clock.h"
#include "util/diag.h"

enum { WARNINGS_TOLD = 8 };

#define LOOK_UP_USEC (30 * USEC_PER_SEC)

static struct status_socket socket_of(const struct door_place *place)
{
        return (struct status_socket){place->text, place->device, place->inode};
}

static void get_status(void *context, struct status *status)
{
        struct daemon *daemon = context;
        struct doors *doors = &daemon->doors;

        doors_look(doors, daemon->config);
        relay_status(daemon->relay, status);
        status->version = PACKAGE_VERSION;
        status->outdated = daemon->outdated;
        status->shut = daemon->shut;
        doors_status(doors, status);
        status->data_socket = socket_of(doors_place(doors, DOOR_DATA));
        status->control_socket = socket_of(doors_place(doors, DOOR_VARLINK));
        status->fault_at_control = control_listener_fault(daemon->control);
}

static size_t get_clients(void *context, uint64_t after, struct status_client *clients, size_t max)
{
        struct daemon *daemon = context;

        return relay_clients(daemon->relay, after, clients, max);
}

static const struct config *get_config(void *context)
{
        struct daemon *daemon = context;

        return daemon->config;
}

static const struct events *get_events(void *context)
{
        struct daemon *daemon = context;

        return relay_events(daemon->relay);
}

static const char *get_data_socket(void *context)
{
        struct daemon *daemon = context;
        const char *text = doors_place(&daemon->doors, DOOR_DATA)->text;

        return *text ? text : NULL;
}

static const char *get_log_level_origin(void *context)
{
        struct daemon *daemon = context;

        if (daemon->loud)
                return "log-level";
        return daemon->options->log_level < 0 ? NULL : "--log-level";
}

/* Appends a text, which is taken over, to a list of the report. Without memory the list lacks it.
 */
static void append(char ***texts, size_t *n, char *text)
{
        char **longer = reallocarray(*texts, *n + 1, sizeof(*longer));

        if (longer)
                *texts = longer;
        if (longer && text)
                longer[(*n)++] = text;
        else
                free(text);
}

struct mending {
        struct config_report *report;
        bool refused; /* the configuration was */
};

/* A doors_told: context is the struct mending. */
static void report_socket(void *context, bool anew, const char *text)
{
        const struct mending *mending = context;
        struct config_report *report = mending->report;

        if (!anew)
                append(&report->warnings, &report->n_warnings, strdup(text));
        if (mending->refused)
                append(&report->sockets, &report->n_sockets, strdup(text));
}

/* Makes the object that looks names up, if any is unknown. Returns 0 or -ENOMEM. */
static int need_lookups(struct daemon *daemon, const struct config_names *unknown)
{
        if (unknown->n && !daemon->lookups)
                daemon->lookups = lookups_new(daemon->base, daemon_learn, daemon);
        return unknown->n && !daemon->lookups ? -ENOMEM : 0;
}

/* Has the unknown names looked up again, if any; takes them over. */
static void look_up(struct daemon *daemon, struct config_names *unknown)
{
        if (daemon->lookups)
                lookups_set(daemon->lookups, unknown, LOOK_UP_USEC);
        config_names_done(unknown);
}

/* All of a reload that may fail and changes nothing. Sets *unknown to the names to look up, the
 * caller's to free after an error as well. Returns 0 or a negative errno. */
static int prepare(struct daemon *daemon, const struct config *fresh, struct config_names *unknown,
                   struct config_report *report)
{
        char refused[512], *text;
        int refuses = config_refuses_reload(daemon->config, fresh, refused, sizeof(refused));
        int result = config_names_unknown(fresh, unknown);

        if (refuses < 0 || result < 0)
                return -ENOMEM;
        if (!refuses && !daemon_reserve(daemon, fresh))
                return -ENOMEM;
        if (!refuses)
                return need_lookups(daemon, unknown);
        if (asprintf(&text, "%s: only a restart can change %s", fresh->path, refused) < 0)
                return -ENOMEM;
        append(&report->errors, &report->n_errors, text);
        return -EINVAL;
}

/* Applies the files as a whole, or changes nothing; adds the errors to report. Returns 0 or a
 * negative errno; after -ENOMEM there need not be an error in the report. */
static int apply(struct daemon *daemon, struct config_report *report)
{
        struct config_source source = daemon_source(daemon->options, false);
        struct config *fresh, *old = daemon->config;
        struct config_names unknown;
        int result;

        source.again = true;
        fresh = config_load(&source, report);
        if (!fresh)
                return report->starved ? -ENOMEM : -EINVAL;
        result = prepare(daemon, fresh, &unknown, report);
        if (result == 0)
                result = relay_configure(daemon->relay, fresh);
        if (result < 0) {
                config_names_done(&unknown);
                config_free(fresh);
                return result;
        }
        daemon->config = fresh;
        daemon->outdated = false;
        last_config_put(&daemon->last, fresh);
        limits_raise(fresh);
        limits_tell_memory(fresh, "");
        doors_give(&daemon->doors, fresh);
        look_up(daemon, &unknown);
        daemon->loud = false;
        config_free(old);
        diag_set_level(daemon->options->log_level < 0 ? fresh->log_level
                                                      : daemon->options->log_level);
        return 0;
}

void daemon_look_up(struct daemon *daemon)
{
        struct config_names unknown;

        if (config_names_unknown(daemon->config, &unknown) == 0 &&
            need_lookups(daemon, &unknown) == 0) {
                look_up(daemon, &unknown);
                return;
        }
        diag_err("no memory or descriptors to look up users and groups again: a reload does");
        config_names_done(&unknown);
}

static void tell_learnt(struct daemon *daemon, const struct config_name *name)
{
        bool group = *name->who == '@';

        diag_notice("the %s \"%s\" was found: %cid %" PRIu32, group ? "group" : "user",
                    name->who + group, group ? 'g' : 'u', name->id);
        relay_tell(daemon->relay, EVENT_SERVICE, "the %s \"%s\" was found: %cid %" PRIu32,
                   group ? "group" : "user", name->who + group, group ? 'g' : 'u', name->id);
}

void daemon_learn(void *context, const struct config_names *names)
{
        struct daemon *daemon = context;
        bool learnt = false;

        for (size_t i = 0; i < names->n; i++) {
                if (!config_name_learn(daemon->config, &names->items[i]))
                        continue;
                tell_learnt(daemon, &names->items[i]);
                learnt = true;
        }
        if (!learnt)
                return;
        relay_names_found(daemon->relay);
        doors_give(&daemon->doors, daemon->config);
        daemon_look_up(daemon);
}

/* The events of the warnings come just before the event of the reload. */
static void tell_reloaded(struct daemon *daemon, const struct config_report *report)
{
        size_t n = report->n_warnings;

        for (size_t i = 0; i < n && i < WARNINGS_TOLD; i++)
                relay_tell(daemon->relay, EVENT_RELOAD, "warning: %s", report->warnings[i]);
        if (n > WARNINGS_TOLD)
                relay_tell(daemon->relay, EVENT_RELOAD, "warning: %zu more are in the log",
                           n - WARNINGS_TOLD);
        relay_tell(daemon->relay, EVENT_RELOAD, "the configuration was reloaded%s",
                   n ? ", with warnings" : "");
}

/* An event for the reload; of many errors, the first error and the number. */
static void tell_reload(struct daemon *daemon, int result, const struct config_report *report)
{
        const char *first = report->n_errors ? report->errors[0] : strerror(-result);

        if (result == 0)
                tell_reloaded(daemon, report);
        else if (report->n_errors > 1)
                relay_tell(daemon->relay, EVENT_RELOAD,
                           "not reloaded, what was in force stays so: %zu errors, the first is %s",
                           report->n_errors, first);
        else
                relay_tell(daemon->relay, EVENT_RELOAD,
                           "not reloaded, what was in force stays so: %s", first);
}

int daemon_reload(void *context, struct config_report *report)
{
        struct daemon *daemon = context;
        struct mending mending = {.report = report};
        int result;

        service_reloading();
        result = apply(daemon, report);
        mending.refused = result < 0;
        if (!daemon->stopping)
                daemon->shut = !doors_mend(&daemon->doors, daemon->config, report_socket, &mending);
        daemon_tell(report);
        if (result == -ENOMEM && report->n_errors == 0)
                diag_err("there is no memory for the new configuration");
        if (result < 0)
                diag_event(LOG_ERR, diag_facts(.id = CATALOG_CONFIG_BAD),
                           "the configuration was not reloaded: what was in force stays so");
        else
                diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_RELOADED),
                           "the configuration was reloaded");
        tell_reload(daemon, result, report);
        service_ready();
        return result;
}

static void hold(void *context, const char *by, const char *reason, uint64_t for_usec)
{
        struct daemon *daemon = context;

        relay_hold(daemon->relay, by, reason, for_usec);
}

static void release(void *context, const char *by)
{
        struct daemon *daemon = context;

        relay_release(daemon->relay, by);
}

static void reconnect(void *context, const char *by)
{
        struct daemon *daemon = context;

        relay_reconnect(daemon->relay, by);
}

static int drop_client(void *context, uint64_t id, const char *by)
{
        struct daemon *daemon = context;

        return relay_drop_client(daemon->relay, id, by);
}

/* The level holds until a reload or a restart sets LogLevel= again. */
static int set_log_level(void *context, const char *name, const char *by)
{
        struct daemon *daemon = context;
        int level = diag_level_parse(name);

        if (level < 0)
                return -EINVAL;
        if (level == diag_level())
                return 0;
        diag_set_level(level);
        daemon->loud = true;
        diag_notice("%s has set the log level to %s", by, name);
        relay_tell(daemon->relay, EVENT_SERVICE, "%s has set the log level to %s", by, name);
        return 0;
}

static uint64_t get_accepted(void *context)
{
        struct daemon *daemon = context;

        return relay_accepted(daemon->relay);
}

static bool is_flushed(void *context, uint64_t position)
{
        struct daemon *daemon = context;

        return relay_is_flushed(daemon->relay, position);
}

static int tap(void *context, struct tap *tap)
{
        struct daemon *daemon = context;

        return relay_tap(daemon->relay, tap);
}

static void untap(void *context, struct tap *tap)
{
        struct daemon *daemon = context;

        relay_untap(daemon->relay, tap);
}

const struct control_ops daemon_control_ops = {
        .status = get_status,
        .clients = get_clients,
        .config = get_config,
        .events = get_events,
        .data_socket = get_data_socket,
        .log_level_origin = get_log_level_origin,
        .reload = daemon_reload,
        .hold = hold,
        .release = release,
        .reconnect = reconnect,
        .drop_client = drop_client,
        .set_log_level = set_log_level,
        .accepted = get_accepted,
        .flushed = is_flushed,
        .tap = tap,
        .untap = untap,
};
