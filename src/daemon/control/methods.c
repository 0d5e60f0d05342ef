/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "config.h"
#include "daemon/control/call.h"
#include "daemon/control/interface_text.h"
#include "daemon/report/health.h"
#include "daemon/report/metrics.h"
#include "daemon/report/status_json.h"
#include "util/clock.h"
#include "util/diag.h"

static void take_health(const struct control_call *call, struct status *status,
                        struct health *health)
{
        *status = (struct status){0};
        call->ops->status(call->context, status);
        health_judge(status, call->ops->config(call->context), health);
}

/* Returns a reply with the parameters; NULL without memory, or for parameters of NULL. */
static json_t *reply_with(json_t *parameters)
{
        return parameters ? control_reply(parameters) : NULL;
}

static json_t *run_status(const struct control_call *call)
{
        struct status status;
        struct health health;

        take_health(call, &status, &health);
        return reply_with(status_json(&status, &health));
}

static json_t *run_health(const struct control_call *call)
{
        struct status status;
        struct health health;

        take_health(call, &status, &health);
        return reply_with(status_json_health(&health));
}

/* Returns a reply with one list; NULL without memory, or for a list of NULL. */
static json_t *reply_list(const char *name, json_t *list)
{
        return reply_with(list ? json_pack("{s:o}", name, list) : NULL);
}

static json_t *run_recent_events(const struct control_call *call)
{
        const struct events *events = call->ops->events(call->context);
        json_t *list = json_array();

        for (uint64_t seq = events_first(events); seq <= events_last(events); seq++)
                status_json_append(&list, status_json_event(events_get(events, seq)));
        return reply_list("events", list);
}

static json_t *run_monitor(const struct control_call *call, struct control_monitor *monitor)
{
        const struct events *events = call->ops->events(call->context);
        const json_t *history = json_object_get(call->parameters, "history");
        uint64_t last = events_last(events), first = events_first(events), want;

        if (json_is_integer(history) && json_integer_value(history) < 0)
                return control_error("InvalidParameter",
                                     json_pack("{s:s}", "parameter", "history"));
        want = json_is_integer(history) ? (uint64_t)json_integer_value(history) : 0;
        monitor->on = true;
        monitor->link_first = !json_is_integer(history) && events_link(events);
        monitor->next = want > last + 1 - first ? first : last + 1 - want;
        return NULL;
}

json_t *control_no_such_client(int64_t id)
{
        return control_error("io.ftcpd.NoSuchClient", json_pack("{s:I}", "id", (json_int_t)id));
}

static json_t *run_tap(const struct control_call *call, struct control_monitor *monitor)
{
        const char *way = json_string_value(json_object_get(call->parameters, "direction"));
        const json_t *client = json_object_get(call->parameters, "clientId");
        json_int_t id = json_integer_value(client);
        bool in = !way || strcmp(way, "in") == 0, out = !way || strcmp(way, "out") == 0;

        if (!in && !out)
                return control_error("InvalidParameter",
                                     json_pack("{s:s}", "parameter", "direction"));
        if (json_is_integer(client) && id <= 0)
                return control_no_such_client(id);
        monitor->on = monitor->taps = true;
        monitor->tap =
                (struct tap){.ways = {[TAP_IN] = in, [TAP_OUT] = out}, .client_id = (uint64_t)id};
        return NULL;
}

/* Reports events that are gone from the store as one event of kind gap. */
static int monitor_next(const struct control_call *call, struct control_monitor *monitor,
                        json_t **reply)
{
        const struct events *events = call->ops->events(call->context);
        uint64_t first = events_first(events);
        json_t *event;

        *reply = NULL;
        if (monitor->link_first) {
                event = status_json_event(events_link(events));
        } else if (monitor->next > events_last(events)) {
                return 0;
        } else if (monitor->next < first) {
                event = status_json_gap(monitor->next, first - monitor->next, clock_wall_usec());
                monitor->next = first;
        } else {
                event = status_json_event(events_get(events, monitor->next++));
        }
        monitor->link_first = false;
        *reply = event ? reply_with(json_pack("{s:o}", "event", event)) : NULL;
        if (!*reply || json_object_set_new(*reply, "continues", json_true()) < 0) {
                json_decref(*reply);
                return -ENOMEM;
        }
        return 0;
}

static const char *level_in_force(void)
{
        int level = LOG_DEBUG;

        while (level > LOG_EMERG && !diag_enabled(level))
                level--;
        return diag_level_name(level);
}

/* Returns one Setting. A data socket path chosen by systemd is shown without a file. A diag level
 * from elsewhere than LogLevel= is shown with its origin in place of the file. */
static json_t *setting_json(const struct control_call *call, const struct config_setting *setting)
{
        const char *value = setting->value, *file = setting->file, *real, *origin;
        struct config_setting shown = *setting;

        if (strcmp(setting->section, "Local") == 0 && strcmp(setting->key, "Socket") == 0) {
                real = call->ops->data_socket(call->context);
                if (real && strcmp(real, value) != 0) {
                        value = real;
                        file = NULL;
                }
        }
        if (strcmp(setting->section, "Service") == 0 && strcmp(setting->key, "LogLevel") == 0 &&
            call->ops->log_level_origin && (origin = call->ops->log_level_origin(call->context))) {
                value = level_in_force();
                file = origin;
                shown.line = 0;
        }
        return status_json_setting(&shown, value, file);
}

static json_t *run_get_config(const struct control_call *call)
{
        const struct config *config = call->ops->config(call->context);
        json_t *list = json_array();

        for (size_t i = 0; i < config->n_settings; i++)
                status_json_append(&list, setting_json(call, &config->settings[i]));
        return reply_list("settings", list);
}

static json_t *run_get_latency(const struct control_call *call)
{
        struct status status = {0};
        json_t *list;

        call->ops->status(call->context, &status);
        list = status_json_latency(status.latency);
        return reply_with(list ? json_pack("{s:o, s:I}", "histograms", list, "longestPassUsec",
                                           (json_int_t)status.longest_pass_usec)
                               : NULL);
}

static json_t *run_get_metrics(const struct control_call *call)
{
        struct status status;
        struct health health;
        json_t *reply;
        char *text;

        take_health(call, &status, &health);
        text = metrics_text(&status, &health);
        reply = text ? reply_with(json_pack("{s:s}", "text", text)) : NULL;
        free(text);
        return reply;
}

/* Returns the list, or NULL without memory. */
static json_t *list_of(char *const *texts, size_t n)
{
        json_t *list = json_array();

        for (size_t i = 0; i < n; i++)
                status_json_append(&list, status_json_text(texts[i]));
        return list;
}

/* Returns the parameters of the error, or NULL without memory. */
static json_t *refusal(int result, const struct config_report *report)
{
        json_t *errors = list_of(report->errors, report->n_errors), *parameters, *sockets;

        if (report->n_errors == 0)
                status_json_append(&errors, json_string(strerror(-result)));
        parameters = errors ? json_pack("{s:o}", "errors", errors) : NULL;
        if (!parameters || !report->n_sockets)
                return parameters;
        sockets = list_of(report->sockets, report->n_sockets);
        if (sockets && json_object_set_new(parameters, "sockets", sockets) == 0)
                return parameters;
        json_decref(parameters);
        return NULL;
}

static json_t *run_reload(const struct control_call *call)
{
        struct config_report report = {0};
        json_t *done = control_reply(NULL), *wrong;
        int result = done ? call->ops->reload(call->context, &report) : -ENOMEM;

        if (result == 0) {
                config_report_done(&report);
                return done;
        }
        json_decref(done);
        wrong = refusal(result, &report);
        config_report_done(&report);
        return wrong ? control_error("io.ftcpd.ConfigInvalid", wrong) : NULL;
}

static const struct control_method ftcpd_methods[] = {
        {.name = "Status", .run = run_status},
        {.name = "Health", .run = run_health},
        {.name = "ListClients", .lists = true},
        {.name = "Monitor",
         .monitor = run_monitor,
         .parameters = (const struct control_parameter[]){{"history", JSON_INTEGER, true}, {0}},
         .needs_more = true},
        {.name = "RecentEvents", .run = run_recent_events},
        {.name = "GetConfig", .run = run_get_config},
        {.name = "GetMetrics", .run = run_get_metrics},
        {.name = "GetLatency", .run = run_get_latency},
        {.name = "Flush",
         .flush = control_flush,
         .parameters =
                 (const struct control_parameter[]){{"timeoutUsec", JSON_INTEGER, true}, {0}}},
        {.name = "Reconnect", .run = control_reconnect, .changes = true},
        {.name = "Hold",
         .run = control_hold,
         .parameters = (const struct control_parameter[]){{"reason", JSON_STRING, true},
                                                          {"forUsec", JSON_INTEGER, true},
                                                          {0}},
         .changes = true},
        {.name = "Release", .run = control_release, .changes = true},
        {.name = "DropClient",
         .run = control_drop_client,
         .parameters = (const struct control_parameter[]){{"id", JSON_INTEGER, false}, {0}},
         .changes = true},
        {.name = "Reload", .run = run_reload, .changes = true},
        {.name = "SetLogLevel",
         .run = control_set_log_level,
         .parameters = (const struct control_parameter[]){{"level", JSON_STRING, false}, {0}},
         .changes = true},
        {.name = "Tap",
         .monitor = run_tap,
         .parameters = (const struct control_parameter[]){{"direction", JSON_STRING, true},
                                                          {"clientId", JSON_INTEGER, true},
                                                          {0}},
         .changes = true,
         .needs_more = true},
        {0},
};

static const struct control_interface interfaces[] = {
        {"io.ftcpd", interface_text_ftcpd, ftcpd_methods},
        {0},
};

static uint64_t max_clients(const struct control_call *call)
{
        return call->ops->config(call->context)->control_max_clients;
}

static bool has_admins(const struct control_call *call)
{
        const struct config_people *admin = &call->ops->config(call->context)->admin;

        return admin->n_uids + admin->n_gids > 0;
}

static bool is_admin(const struct control_call *call, const struct socket_peer *peer)
{
        const struct config *config = call->ops->config(call->context);

        return config_people_have(&config->admin, peer->uid, peer->groups, peer->n_groups);
}

const struct control_service control_ftcpd = {
        .vendor = "ftcpd",
        .product = "ftcpd",
        .version = PACKAGE_VERSION,
        .url = "",
        .interfaces = interfaces,
        .max_clients = max_clients,
        .has_admins = has_admins,
        .is_admin = is_admin,
        .monitor_next = monitor_next,
        .flush_look = control_flush_look,
        .listing_client = status_json_client,
};
