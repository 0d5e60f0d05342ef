/* SPDX-License-Identifier: MIT */
#include "ctl/talk/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/frame_args.h"
#include "ctl/talk/local.h"
#include "util/clock.h"
#include "util/units.h"

enum {
        LISTED_USEC = 1000 * 1000, /* for the check of Senders=: until ftcpd lists this client */
        LISTED_POLL_USEC = 5 * 1000,
};

/* The first value of a setting that is not empty, or NULL; owned by settings. */
static const char *setting(const json_t *settings, const char *section, const char *key)
{
        const json_t *row;
        size_t i;

        json_array_foreach(settings, i, row)
        {
                const char *value = member_text(row, "value", "");

                if (*value && strcmp(member_text(row, "section", ""), section) == 0 &&
                    strcmp(member_text(row, "key", ""), key) == 0)
                        return value;
        }
        return NULL;
}

/* Writes all values of a setting into text, with blanks between; empty without any. */
static void setting_all(const json_t *settings, const char *section, const char *key, char *text,
                        size_t size)
{
        const json_t *row;
        size_t i, at = 0;

        *text = '\0';
        json_array_foreach(settings, i, row)
        {
                const char *value = member_text(row, "value", "");

                if (*value && at < size && strcmp(member_text(row, "section", ""), section) == 0 &&
                    strcmp(member_text(row, "key", ""), key) == 0)
                        at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " " : "", value);
        }
}

/* True for the row of this process, and where ftcpd does not know the process, as that of another
 * PID namespace, for a row of this user: Senders= permits users. */
static bool is_own(const json_t *client)
{
        if (json_object_get(client, "pid"))
                return member_int(client, "pid", -1) == getpid();
        return member_int(client, "uid", -1) == (int64_t)geteuid();
}

/* 1: this process is listed and may send; 0: not listed yet; -1: listed as a receiver only. */
static int listed(const json_t *clients)
{
        const json_t *client;
        size_t i;

        json_array_foreach(clients, i, client)
        {
                if (!is_own(client))
                        continue;
                return member_true(client, "receiveOnly") ? -1 : 1;
        }
        return 0;
}

/* Checks Senders= through ListClients, because the data socket answers no sender. CTL_DONE too if
 * this process is not listed in time. */
static int check_sending(struct ctl *ctl, const char *senders)
{
        uint64_t deadline = clock_deadline(LISTED_USEC);
        int found = 0;

        while (found == 0 && clock_usec() < deadline) {
                json_t *result = NULL;
                int code = bus_call(ctl, "io.ftcpd.ListClients", NULL, &result);

                if (code == CTL_DONE)
                        found = listed(json_object_get(result, "clients"));
                json_decref(result);
                if (code != CTL_DONE)
                        return code;
                if (found == 0)
                        local_sleep(LISTED_POLL_USEC);
        }
        if (found >= 0)
                return CTL_DONE;
        return ctl_fail(ctl, CTL_DENIED,
                        "not permitted to send: ftcpd takes messages only of [Local] Senders=%s "
                        "(%ssend as one of its users, where this host knows the names)",
                        senders, strchr(senders, '@') ? "join one of its @groups, or " : "");
}

/* Compares the opened socket with the one that the daemon names in its Status. An older daemon
 * names none: CTL_DONE. */
static int check_identity(struct ctl *ctl, const struct data *data, int found)
{
        json_t *status = NULL;
        int code = bus_call(ctl, "io.ftcpd.Status", NULL, &status);
        const json_t *socket = json_object_get(status, "dataSocket");
        int64_t inode = member_int(socket, "inode", 0), device = member_int(socket, "device", 0);
        struct stat st;

        json_decref(status);
        if (code != CTL_DONE || !inode)
                return code;
        if (fstat(found, &st) == 0 && (int64_t)st.st_ino == inode && (int64_t)st.st_dev == device)
                return CTL_DONE;
        return ctl_fail(ctl, CTL_UNREACHABLE,
                        "%s is not the data socket of the ftcpd that answers at %s: another "
                        "socket has that path here. Of an ftcpd in a container, give the control "
                        "socket as --socket=/proc/PID/root/..., PID being a process there; or run "
                        "ftcpctl there",
                        data->path, ctl_socket(ctl));
}

/* Opens the socket below the root of ctl's control socket, compares it, and connects. */
static int connect_own(struct ctl *ctl, struct data *data, const char *path)
{
        char root[sizeof(data->path) / 2];
        int found, code;

        local_root(ctl_socket(ctl), root, sizeof(root));
        snprintf(data->path, sizeof(data->path), "%s%s", root, path);
        found = local_find(root, path);
        if (found < 0)
                return bus_unreachable(ctl, "data socket", data->path, found);
        code = check_identity(ctl, data, found);
        if (code == CTL_DONE)
                data->fd = local_connect_found(found, data->path, bus_deadline(ctl));
        close(found);
        if (code == CTL_DONE && data->fd < 0)
                code = bus_unreachable(ctl, "data socket", data->path, data->fd);
        return code;
}

static int data_connect(struct ctl *ctl, struct data *data, const char *path, const char *senders)
{
        int code = connect_own(ctl, data, path);

        if (code != CTL_DONE)
                return code;
        if (!senders)
                return CTL_DONE;
        shutdown(data->fd, SHUT_RD);
        code = *senders ? check_sending(ctl, senders) : CTL_DONE;
        if (code != CTL_DONE)
                data_close(data);
        return code;
}

/* Refuses DATA_RECEIVE with balance: no other client would get the received messages. */
static int check_receiving(struct ctl *ctl, const json_t *settings, enum data_use use)
{
        const char *to = setting(settings, "Delivery", "ToClients");

        if (use != DATA_RECEIVE || !to || strcmp(to, "balance") != 0)
                return CTL_DONE;
        return ctl_fail(ctl, CTL_FAILED,
                        "with ToClients=balance each message goes to one client only: what is "
                        "received here is taken from the others; --steal if that is meant");
}

static bool is_set(const json_t *settings, const char *key, const char *value)
{
        const char *given = setting(settings, "Delivery", key);

        return given && strcmp(given, value) == 0;
}

/* Learns the message that idle clients are sent, if they are sent any. Returns CTL_DONE or fails.
 */
static int learn_heartbeat(struct ctl *ctl, struct data *data, const json_t *settings)
{
        const char *interval = setting(settings, "Local", "HeartbeatInterval");
        const char *message = setting(settings, "Heartbeat", "Received");
        ssize_t size;

        if (!message)
                message = setting(settings, "Heartbeat", "Message");
        if (!interval || strcmp(interval, "0") == 0 || !message)
                return CTL_DONE;
        data->heartbeat = malloc(strlen(message) + 1);
        if (!data->heartbeat)
                return ctl_fail(ctl, CTL_FAILED, "no memory");
        size = strcmp(message, "\"\"") == 0 ? 0 : units_unescape(message, data->heartbeat);
        data->heartbeat_size = size > 0 ? (size_t)size : 0;
        return CTL_DONE;
}

bool data_is_heartbeat(const struct data *data, const unsigned char *message, size_t size)
{
        return data->heartbeat && size == data->heartbeat_size &&
               memcmp(message, data->heartbeat, size) == 0;
}

int data_open(struct ctl *ctl, struct data *data, enum data_use use)
{
        json_t *result = NULL;
        int code = bus_call(ctl, "io.ftcpd.GetConfig", NULL, &result);

        if (code == CTL_DONE) {
                const json_t *settings = json_object_get(result, "settings");
                const char *path = setting(settings, "Local", "Socket");
                char senders[256];

                data->refuses = is_set(settings, "WhenDown", "refuse");
                data->dismisses = is_set(settings, "OnLinkLoss", "disconnect");
                setting_all(settings, "Local", "Senders", senders, sizeof(senders));
                code = frame_args_from_config(ctl, settings, &data->spec);
                if (code == CTL_DONE && !path)
                        code = ctl_fail(ctl, CTL_FAILED,
                                        "ftcpd does not say where its data socket is");
                if (code == CTL_DONE)
                        code = check_receiving(ctl, settings, use);
                if (code == CTL_DONE)
                        code = data_connect(ctl, data, path, use == DATA_SEND ? senders : NULL);
                if (code == CTL_DONE) {
                        code = learn_heartbeat(ctl, data, settings);
                        if (code != CTL_DONE)
                                data_close(data);
                }
        }
        json_decref(result);
        return code;
}

void data_why_closed(struct ctl *ctl, const struct data *data, char *text, size_t size)
{
        json_t *status = NULL;
        int code = bus_call(ctl, "io.ftcpd.Status", NULL, &status);
        const json_t *upstream = json_object_get(status, "upstream");
        const char *state = member_text(upstream, "state", "up");
        const char *error = member_text(upstream, "lastError", "");
        int64_t limit = member_int(status, "clientsLimit", 0);

        *text = '\0';
        *ctl->why = '\0';
        if (code == CTL_DONE && strcmp(state, "up") != 0 && (data->refuses || data->dismisses))
                snprintf(text, size, ": the link is not up but %s%s%s, and %s", state,
                         *error ? ": " : "", error,
                         data->refuses ? "WhenDown=refuse takes no client until it is"
                                       : "OnLinkLoss=disconnect sends clients away");
        else if (code == CTL_DONE && limit && member_int(status, "clients", 0) >= limit)
                snprintf(text, size, ": there are as many clients as MaxClients=%lld allows",
                         (long long)limit);
        json_decref(status);
}

void data_close(struct data *data)
{
        close(data->fd);
        data->fd = -1;
        free(data->heartbeat);
        data->heartbeat = NULL;
}
