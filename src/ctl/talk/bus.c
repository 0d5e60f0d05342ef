/* SPDX-License-Identifier: MIT */
#include "ctl/talk/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/show/show.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "util/clock.h"

enum {
        READ_SIZE = 64 * 1024,
        INSTANCES_SHOWN = 3,
        /* A daemon that takes longer for an answer hangs. A monitoring program that runs ftcpctl
         * must get the result before its own timeout, often 10 s. */
        CALL_USEC = 3 * 1000 * 1000,
};

/* The daemon is trusted; the limit only keeps a wrong program behind the path from taking all
 * memory. */
#define REPLY_MAX ((size_t)256 << 20)

struct bus *bus_new(const char *path, int process, uint64_t deadline, int *error)
{
        struct bus *bus = calloc(1, sizeof(*bus));
        int fd = bus ? local_connect_while(process, path, deadline) : -ENOMEM;

        if (fd < 0) {
                *error = fd;
                free(bus);
                return NULL;
        }
        bus->fd = fd;
        bus->process = process;
        varlink_reader_init(&bus->reader);
        bus->reader.max = bus->reader.max_values = REPLY_MAX;
        return bus;
}

void bus_free(struct bus *bus)
{
        if (!bus)
                return;
        close(bus->fd);
        if (bus->process >= 0)
                close(bus->process);
        varlink_reader_done(&bus->reader);
        free(bus);
}

int bus_send(struct bus *bus, const char *method, json_t *parameters, bool more, uint64_t deadline)
{
        json_t *call = json_pack("{s:s, s:O*}", "method", method, "parameters", parameters);
        char *text;
        size_t size = 0;
        int result = 0;

        if (call && more)
                json_object_set_new(call, "more", json_true());
        text = call ? varlink_encode(call, &size) : NULL;
        json_decref(call);
        if (!text)
                return -ENOMEM;
        for (size_t at = 0; at < size && result >= 0; at += (size_t)result) {
                ssize_t n;

                result = local_wait_while(bus->process, bus->fd, POLLOUT, deadline);
                if (result < 0)
                        break;
                n = send(bus->fd, text + at, size - at, MSG_NOSIGNAL);
                result = n >= 0 ? (int)n : local_may_retry(errno) ? 0 : -errno;
        }
        free(text);
        return result < 0 ? result : 0;
}

/* Waits for bytes and reads them once. Returns 0 or a negative errno. */
static int bus_read(struct bus *bus, uint64_t deadline)
{
        void *room = varlink_reader_room(&bus->reader, READ_SIZE);
        ssize_t n;
        int result;

        if (!room)
                return -ENOMEM;
        result = local_wait_while(bus->process, bus->fd, POLLIN, deadline);
        if (result < 0)
                return result;
        n = recv(bus->fd, room, READ_SIZE, 0);
        if (n < 0)
                return local_may_retry(errno) ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        varlink_reader_fed(&bus->reader, (size_t)n);
        return 0;
}

int bus_receive(struct bus *bus, json_t **reply, uint64_t deadline)
{
        for (;;) {
                int result;

                switch (varlink_take(&bus->reader, reply)) {
                case VARLINK_OBJECT: return 0;
                case VARLINK_MORE: break;
                default: return -EBADMSG;
                }
                result = bus_read(bus, deadline);
                if (result < 0)
                        return result;
        }
}

int bus_follow(struct bus *bus, json_t **reply)
{
        int result;

        while ((result = bus_receive(bus, reply, 0)) == -ETIMEDOUT) {
                result = local_wait_read(bus->fd, UINT64_MAX);
                if (result < 0)
                        return result;
        }
        return result;
}

static int denied(struct ctl *ctl, const char *what, const char *path)
{
        struct group *group;
        struct passwd *user;
        struct stat st;

        if (stat(path, &st) < 0)
                return ctl_fail(ctl, CTL_DENIED,
                                "not permitted to reach the %s %s: a directory on the way to it is "
                                "closed to you; use sudo",
                                what, path);
        group = getgrgid(st.st_gid);
        user = getpwuid(st.st_uid);
        /* No advice to join the group of root. */
        if (st.st_mode & S_IWGRP && st.st_gid != 0)
                return ctl_fail(ctl, CTL_DENIED,
                                "not permitted to use the %s %s: it is for the group %s; join it "
                                "(usermod -aG %s YOU, then log in again), or use sudo",
                                what, path, group ? group->gr_name : "of that file",
                                group ? group->gr_name : "GROUP");
        return ctl_fail(ctl, CTL_DENIED, "not permitted to use the %s %s: only %s may; use sudo",
                        what, path, user ? user->pw_name : "its owner");
}

/* The end of the advice about an absent daemon: the options that choose another socket, and the
 * running instances, for a user who forgot --instance. */
static void name_instances(const struct ctl *ctl, char *text, size_t size)
{
        static const char folder[] = "/run/ftcpd/", suffix[] = ".varlink";
        glob_t found = {0};
        size_t at = 0;

        snprintf(text, size, "%s", ctl->socket ? "" : ", or say --socket PATH or --instance NAME");
        if (ctl->socket || ctl->instance || glob("/run/ftcpd/*.varlink", 0, NULL, &found) != 0)
                return;
        for (size_t i = 0; i < found.gl_pathc && i < INSTANCES_SHOWN && at < size; i++) {
                const char *name = found.gl_pathv[i] + strlen(folder);

                at += (size_t)snprintf(text + at, size - at, "%s--instance %.*s",
                                       i ? " or " : "; here is ",
                                       (int)(strlen(name) - strlen(suffix)), name);
        }
        globfree(&found);
}

/* What to do besides, where nobody can be reached by path. A mount of the socket's file leads to
 * the socket of an ftcpd that has ended. */
static const char *advise(const char *path, int error)
{
        struct statx stx;

        if (error == -ENOENT)
                return "; if ftcpd runs, its socket was removed: SIGHUP binds it anew";
        if (statx(AT_FDCWD, path, 0, STATX_TYPE, &stx) == 0 &&
            stx.stx_attributes & stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
                return "; here is a mount of the socket of an ftcpd that has ended: mount the "
                       "socket's directory instead";
        return "";
}

int bus_unreachable(struct ctl *ctl, const char *what, const char *path, int error)
{
        const char *at = ctl->instance ? "@" : "", *name = ctl->instance ? ctl->instance : "";
        char others[256];

        name_instances(ctl, others, sizeof(others));
        ctl->absence = error == -EAGAIN ? ETIMEDOUT : -error;
        switch (-error) {
        case EACCES:
        case EPERM: return denied(ctl, what, path);
        case ENOENT:
        case ECONNREFUSED:
                return ctl_fail(ctl, CTL_UNREACHABLE,
                                "ftcpd is not running, or its %s is elsewhere: tried %s, %s; see "
                                "`systemctl status ftcpd%s%s`%s%s",
                                what, path,
                                error == -ENOENT ? "which does not exist" : "where nobody listens",
                                at, name, others, advise(path, error));
        case ENAMETOOLONG:
                return ctl_fail(ctl, CTL_UNREACHABLE,
                                "the path of the %s is too long (%zu bytes, a socket's may have "
                                "107): %s",
                                what, strlen(path), path);
        case EAGAIN:
        case ETIMEDOUT:
                return ctl_fail(ctl, CTL_UNREACHABLE,
                                "ftcpd does not answer: %s %s takes no connection (is the daemon "
                                "stopped or stuck?)",
                                what, path);
        default:
                return ctl_fail(ctl, CTL_UNREACHABLE, "can't reach ftcpd at the %s %s: %s", what,
                                path, strerror(-error));
        }
}

static int owner_dead(struct ctl *ctl)
{
        return ctl_fail(ctl, CTL_FAILED, "ftcpd has ended before it answered");
}

uint64_t bus_deadline(const struct ctl *ctl)
{
        uint64_t usual = clock_deadline(CALL_USEC);

        return ctl->limit && ctl->limit < usual ? ctl->limit : usual;
}

/* Connects ctl. process may be -1; ctl->bus owns the descriptor, or the descriptor is closed. */
static int connect_ctl(struct ctl *ctl, int process, uint64_t deadline)
{
        uint64_t latest = bus_deadline(ctl);
        int error = 0;

        ctl->bus = bus_new(ctl_socket(ctl), process, deadline < latest ? deadline : latest, &error);
        if (ctl->bus)
                return CTL_DONE;
        if (process >= 0)
                close(process);
        if (error == -EOWNERDEAD)
                return owner_dead(ctl);
        return bus_unreachable(ctl, "control socket", ctl_socket(ctl), error);
}

static int open_until(struct ctl *ctl, uint64_t deadline)
{
        return ctl->bus ? CTL_DONE : connect_ctl(ctl, -1, deadline);
}

int bus_open(struct ctl *ctl)
{
        json_t *info = NULL;
        int code = open_until(ctl, UINT64_MAX);

        /* The kernel connects to a hanging daemon, too: only a reply shows that the daemon runs. */
        if (code == CTL_DONE)
                code = bus_call(ctl, "org.varlink.service.GetInfo", NULL, &info);
        json_decref(info);
        if (code != CTL_FAILED || !*ctl->error)
                return code;
        *ctl->error = *ctl->why = '\0'; /* an error is an answer, too */
        return CTL_DONE;
}

int bus_open_while(struct ctl *ctl, pid_t pid)
{
        int process = pidfd_open(pid, 0);

        if (process < 0 && errno == ESRCH)
                return owner_dead(ctl);
        return connect_ctl(ctl, process, UINT64_MAX);
}

/* True if the process that listens lives. False if unknown: in another PID namespace, or while
 * systemd listens for a daemon that has not begun. */
static bool is_served(const struct bus *bus)
{
        struct ucred peer = {0};
        socklen_t size = sizeof(peer);

        if (getsockopt(bus->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 1)
                return false;
        return kill(peer.pid, 0) == 0 || errno == EPERM;
}

/* Closes the connection after a call without a reply; leaves words and returns the exit code. */
static int broken(struct ctl *ctl, const char *method, int error)
{
        const char *path = ctl_socket(ctl);

        ctl->turned_away = (error == -EPIPE || error == -ECONNRESET) && is_served(ctl->bus);
        bus_free(ctl->bus);
        ctl->bus = NULL;
        ctl->absence = -error;
        switch (-error) {
        case EPIPE:
        case ECONNRESET:
                if (ctl->turned_away)
                        return ctl_fail(ctl, CTL_UNREACHABLE,
                                        "ftcpd runs, but closed the connection at %s before it "
                                        "answered %s (it stops, or [Control] MaxClients= is "
                                        "reached and your user has its part of the places)",
                                        path, method);
                return ctl_fail(ctl, CTL_UNREACHABLE,
                                "ftcpd closed the connection at %s before it answered %s (it "
                                "stops, it could not start, which its log explains, or [Control] "
                                "MaxClients= is reached)",
                                path, method);
        case EOWNERDEAD: return owner_dead(ctl);
        case EBADMSG:
                return ctl_fail(ctl, CTL_UNREACHABLE,
                                "what answers at %s does not speak Varlink: is it ftcpd's control "
                                "socket?",
                                path);
        case ETIMEDOUT:
                return ctl_fail(ctl, CTL_UNREACHABLE,
                                "ftcpd does not answer: no reply to %s at %s in time", method,
                                path);
        default: return ctl_fail(ctl, CTL_FAILED, "%s at %s: %s", method, path, strerror(-error));
        }
}

/* The groups of [Control] Admin=, as "a or b"; empty without any. A setting has one name. */
static void admin_groups(struct ctl *ctl, char *text, size_t size)
{
        json_t *reply = NULL, *setting;
        size_t i, at = 0;

        *text = '\0';
        if (bus_send(ctl->bus, "io.ftcpd.GetConfig", NULL, false, clock_deadline(CALL_USEC)) < 0 ||
            bus_receive(ctl->bus, &reply, clock_deadline(CALL_USEC)) < 0)
                return;
        json_array_foreach(json_object_get(json_object_get(reply, "parameters"), "settings"), i,
                           setting)
        {
                const char *value = member_text(setting, "value", "");

                if (strcmp(member_text(setting, "section", ""), "Control") != 0 ||
                    strcmp(member_text(setting, "key", ""), "Admin") != 0)
                        continue;
                if (*value == '@' && at < size)
                        at += (size_t)snprintf(text + at, size - at, "%s%s", at ? " or " : "",
                                               value + 1);
        }
        json_decref(reply);
}

/* The user of the daemon's process, as " the user NAME,"; empty if unknown or root. */
static void daemon_user(struct ctl *ctl, char *text, size_t size)
{
        json_t *reply = NULL;
        const struct passwd *user = NULL;
        struct stat process;
        char path[64];

        *text = '\0';
        local_root(ctl_socket(ctl), path, sizeof(path));
        if (*path) /* its processes and users have other numbers, and other names */
                return;
        if (bus_send(ctl->bus, "io.ftcpd.Status", NULL, false, clock_deadline(CALL_USEC)) < 0 ||
            bus_receive(ctl->bus, &reply, clock_deadline(CALL_USEC)) < 0)
                return;
        snprintf(path, sizeof(path), "/proc/%lld",
                 (long long)member_int(json_object_get(reply, "parameters"), "pid", 0));
        if (stat(path, &process) == 0 && process.st_uid != 0)
                user = getpwuid(process.st_uid);
        if (user)
                snprintf(text, size, " the user %s,", user->pw_name);
        json_decref(reply);
}

static int not_permitted(struct ctl *ctl, const char *method)
{
        const char *dot = strrchr(method, '.');
        char groups[256], user[96];

        admin_groups(ctl, groups, sizeof(groups));
        daemon_user(ctl, user, sizeof(user));
        return ctl_fail(ctl, CTL_DENIED, "not permitted: %s needs root,%s or Admin= in %s.conf%s%s",
                        dot ? dot + 1 : method, user, ctl->instance ? ctl->instance : "ftcpd",
                        *groups ? "; join the group " : ", which names no group to join; use sudo",
                        groups);
}

int bus_judge(struct ctl *ctl, const char *method, const json_t *reply)
{
        const char *error = member_text(reply, "error", NULL);
        const json_t *parameters = json_object_get(reply, "parameters");
        char *text;

        if (!error)
                return CTL_DONE;
        snprintf(ctl->error, sizeof(ctl->error), "%s", error);
        if (strcmp(error, "org.varlink.service.PermissionDenied") == 0)
                return not_permitted(ctl, method);
        if (strcmp(error, "org.varlink.service.MethodNotFound") == 0)
                return ctl_fail(ctl, CTL_FAILED, "this ftcpd has no method %s", method);
        if (strcmp(error, "org.varlink.service.InterfaceNotFound") == 0)
                return ctl_fail(ctl, CTL_FAILED, "this ftcpd has no interface for %s", method);
        text = json_object_size(parameters) ? json_dumps(parameters, JSON_ENSURE_ASCII) : NULL;
        ctl_fail(ctl, CTL_FAILED, "%s: %s%s%s", method, error, text ? " " : "", text ? text : "");
        free(text);
        return CTL_FAILED;
}

int bus_call_until(struct ctl *ctl, const char *method, json_t *parameters, json_t **result,
                   uint64_t deadline)
{
        json_t *reply = NULL;
        int code, io;

        *result = NULL;
        ctl->turned_away = false;
        code = open_until(ctl, deadline);
        if (code != CTL_DONE)
                return code;
        *ctl->error = '\0';
        ctl->absence = 0;
        io = bus_send(ctl->bus, method, parameters, false, deadline);
        if (io >= 0)
                io = bus_receive(ctl->bus, &reply, deadline);
        if (io < 0)
                return broken(ctl, method, io);
        *result = json_incref(json_object_get(reply, "parameters"));
        if (!*result)
                *result = json_object();
        code = bus_judge(ctl, method, reply);
        json_decref(reply);
        return code;
}

int bus_call(struct ctl *ctl, const char *method, json_t *parameters, json_t **result)
{
        return bus_call_until(ctl, method, parameters, result, bus_deadline(ctl));
}

int bus_ended(struct ctl *ctl, int error)
{
        if (error == -EPIPE || error == -ECONNRESET)
                return ctl_fail(ctl, CTL_FAILED,
                                "ftcpd closed the connection: it has ended, or needed the place "
                                "for another ([Control] MaxClients=)");
        if (error == -EBADMSG)
                return ctl_fail(ctl, CTL_FAILED, "what comes from %s is no Varlink",
                                ctl_socket(ctl));
        return ctl_fail(ctl, CTL_FAILED, "%s: %s", ctl_socket(ctl), strerror(-error));
}
