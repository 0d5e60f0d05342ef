/* SPDX-License-Identifier: MIT */
#include "daemon/doors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/diag.h"
#include "util/room.h"
#include "util/socket.h"

void doors_init(struct doors *doors)
{
        *doors = (struct doors){0};
}

void doors_done(struct doors *doors)
{
        for (size_t i = 0; i < doors->n; i++)
                socket_path_done(&doors->items[i].own);
        free(doors->items);
        doors_init(doors);
}

/* Returns NULL without memory. */
static struct door *add_door(struct doors *doors, enum door_kind kind)
{
        struct door *items = room_for_one(doors->items, doors->n, sizeof(*items)), *door;

        if (!items)
                return NULL;
        doors->items = items;
        door = &items[doors->n++];
        *door = (struct door){.kind = kind};
        socket_path_init(&door->own);
        return door;
}

const struct door_place *doors_place(const struct doors *doors, enum door_kind kind)
{
        static const struct door_place none;

        for (size_t i = 0; i < doors->n; i++)
                if (doors->items[i].kind == kind)
                        return &doors->items[i].place;
        return &none;
}

/* Has relay or control serve fd, which is theirs from here on. */
static int serve(struct doors *doors, enum door_kind kind, int fd)
{
        return kind == DOOR_DATA ? relay_listen(doors->relay, fd)
                                 : control_listen(doors->control, fd);
}

/* ---- our own sockets ---- */

/* An own socket as the configuration wants it. */
struct wanted {
        const char *section, *path, *group;
        mode_t mode;
        gid_t gid;
};

static struct wanted wanted_of(const struct config *config, enum door_kind kind)
{
        if (kind == DOOR_DATA)
                return (struct wanted){"Local", config->local_socket, config->local_socket_group,
                                       config->local_socket_mode, config->local_socket_gid};
        return (struct wanted){"Control", config->control_socket, config->control_socket_group,
                               config->control_socket_mode, config->control_socket_gid};
}

/* Opens or mends a socket of our own, as socket_path_mend() does. Where the socket's group is
 * unknown yet, the daemon's own group has the socket until doors_give(), and must not come in by
 * the mode that is meant for the other group. */
static int bind_own(struct door *door, const struct wanted *wanted, char *text, size_t size)
{
        static const char of_instances[] = "/run/ftcpd/";
        bool waits = wanted->group && wanted->gid == SOCKET_NO_GID, is_bound = door->own.path;
        mode_t mode = waits ? wanted->mode & ~(mode_t)S_IRWXG : wanted->mode;
        int result;

        /* The default folder for the sockets of instances, made by a unit but not by a shell. */
        if (strncmp(wanted->path, of_instances, sizeof(of_instances) - 1) == 0)
                mkdir("/run/ftcpd", 0755);
        if (is_bound)
                result = socket_path_mend(&door->own, mode, wanted->gid, text, size);
        else
                result =
                        socket_path_listen(&door->own, wanted->path, mode, wanted->gid, text, size);
        if (result == -ENOMEM)
                snprintf(text, size, "no memory");
        if (result < 0 || (result == 0 && is_bound))
                return result;
        door->waits = waits;
        return 1;
}

/* As bind_own(), and serves what was bound. */
static int open_own(struct doors *doors, struct door *door, const struct wanted *wanted, char *text,
                    size_t size)
{
        int result = bind_own(door, wanted, text, size), served;

        if (result <= 0)
                return result;
        socket_local_text(door->own.fd, door->place.text, sizeof(door->place.text));
        door->place.device = door->own.device;
        door->place.inode = door->own.inode;
        served = serve(doors, door->kind, door->own.fd);
        door->own.fd = -1;
        if (served < 0)
                snprintf(text, size, "no memory");
        return served < 0 ? served : result;
}

static void give(struct door *door, const struct wanted *wanted)
{
        char text[512];

        if (!door->waits || wanted->gid == SOCKET_NO_GID || !door->own.path)
                return;
        door->waits = false;
        if (socket_path_give(&door->own, wanted->mode, wanted->gid, text, sizeof(text)) < 0)
                diag_err("[%s] Socket: %s", wanted->section, text);
        else
                diag_notice("[%s] Socket: %s is for the group %s now", wanted->section,
                            door->own.path, wanted->group);
}

void doors_give(struct doors *doors, const struct config *config)
{
        for (size_t i = 0; i < doors->n; i++) {
                struct wanted wanted = wanted_of(config, doors->items[i].kind);

                if (doors->items[i].gone[0] == '\0')
                        give(&doors->items[i], &wanted);
        }
}

/* ---- open ---- */

static int open_passed(struct doors *doors, enum door_kind kind, int *fds, size_t n)
{
        int result = 0;

        for (size_t i = 0; i < n && result == 0; i++) {
                struct door *door = add_door(doors, kind);

                if (!door)
                        return -ENOMEM;
                door->passed = true;
                socket_local_text(fds[i], door->place.text, sizeof(door->place.text));
                if (*door->place.text == '/')
                        socket_path_place(door->place.text, &door->place.device,
                                          &door->place.inode);
                result = serve(doors, kind, fds[i]);
                fds[i] = -1;
        }
        return result;
}

static int open_first(struct doors *doors, const struct config *config, enum door_kind kind)
{
        struct wanted wanted = wanted_of(config, kind);
        char text[512];
        struct door *door = add_door(doors, kind);
        int result = door ? open_own(doors, door, &wanted, text, sizeof(text)) : -ENOMEM;

        if (!door)
                snprintf(text, sizeof(text), "%s", strerror(ENOMEM));

        if (result < 0)
                diag_err("[%s] Socket: %s", wanted.section, text);
        else if (*text)
                diag_warning("[%s] Socket: %s", wanted.section, text);
        return result < 0 ? result : 0;
}

int doors_open(struct doors *doors, const struct config *config, struct service_sockets *passed,
               struct relay *relay, struct control *control)
{
        int data, varlink;

        doors->relay = relay;
        doors->control = control;
        if (passed->n_varlink && !passed->n_data)
                diag_warning("systemd passed no socket named data (FileDescriptorName=): [Local] "
                             "Socket= stands for it");
        data = passed->n_data ? open_passed(doors, DOOR_DATA, passed->data, passed->n_data)
                              : open_first(doors, config, DOOR_DATA);
        varlink = passed->n_varlink
                          ? open_passed(doors, DOOR_VARLINK, passed->varlink, passed->n_varlink)
                          : open_first(doors, config, DOOR_VARLINK);
        return data < 0 ? data : varlink;
}

/* ---- paths that are gone ---- */

/* True if the unit of ftcpd hides this directory from ftcpd (PrivateTmp=), as the packaged one. */
static bool is_private(const char *path)
{
        return strncmp(path, "/tmp/", 5) == 0 || strncmp(path, "/var/tmp/", 9) == 0;
}

static enum socket_path_state look(const struct door *door)
{
        const char *path = door->own.path ? door->own.path : door->place.text;
        enum socket_path_state state;

        if (!door->own.path && *path != '/')
                return SOCKET_PATH_OURS;
        state = socket_path_look(path, door->place.device, door->place.inode);
        if (door->place.inode == 0 && (state == SOCKET_PATH_SOCKET || is_private(path)))
                return SOCKET_PATH_OURS;
        return state;
}

/* What to do about a path that is gone. */
static void advise(const struct door *door, const struct config *config,
                   enum socket_path_state state, char *text, size_t size)
{
        const char *at = config->instance ? "@" : "";
        const char *instance = config->instance ? config->instance : "";
        const char *reload = door->kind == DOOR_DATA ? "a reload" : "SIGHUP";

        if (door->passed)
                snprintf(text, size,
                         "the socket unit binds it anew: systemctl restart ftcpd%s%s%s.socket",
                         door->kind == DOOR_DATA ? "" : "-varlink", at, instance);
        else if (state == SOCKET_PATH_EMPTY)
                snprintf(text, size, "%s binds it anew", reload);
        else if (state == SOCKET_PATH_SOCKET)
                snprintf(text, size, "%s binds it anew once nobody listens there", reload);
        else
                snprintf(text, size, "once it is removed, %s binds the socket anew", reload);
}

/* Sets door->gone to the reason why nobody can connect, or to "". */
static void judge(struct door *door, const struct config *config)
{
        static const char *const holders[] = {
                [SOCKET_PATH_EMPTY] = "gone: nothing",
                [SOCKET_PATH_SOCKET] = "taken: another socket",
                [SOCKET_PATH_FILE] = "taken: a file that is no socket",
        };
        enum socket_path_state state = look(door);
        char advice[160];

        door->gone[0] = '\0';
        if (state == SOCKET_PATH_OURS || !door->place.text[0])
                return;
        advise(door, config, state, advice, sizeof(advice));
        snprintf(door->gone, sizeof(door->gone), "%s path is %s stands at %s; %s",
                 door->kind == DOOR_DATA ? "nobody can connect: the socket's"
                                         : "nobody can ask or steer: the control socket's",
                 holders[state], door->place.text, advice);
}

static void __attribute__((format(printf, 3, 4)))
tell(struct doors *doors, int level, const char *format, ...)
{
        char text[512];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        diag_line(level, "%s", text);
        relay_tell(doors->relay, EVENT_SERVICE, "%s", text);
}

void doors_look(struct doors *doors, const struct config *config)
{
        for (size_t i = 0; i < doors->n; i++) {
                struct door *door = &doors->items[i];
                bool was_gone = door->gone[0] != '\0';

                judge(door, config);
                if (door->gone[0] && !was_gone)
                        tell(doors, LOG_WARNING, "%s", door->gone);
                else if (!door->gone[0] && was_gone)
                        tell(doors, LOG_NOTICE, "the socket's path is back: %s", door->place.text);
        }
}

void doors_status(const struct doors *doors, struct status *status)
{
        for (size_t i = 0; i < doors->n && status->n_gone < STATUS_GONE_MAX; i++)
                if (doors->items[i].gone[0])
                        status->gone[status->n_gone++] = doors->items[i].gone;
}

static void mend(struct doors *doors, struct door *door, const struct config *config,
                 doors_told *told, void *context)
{
        struct wanted wanted = wanted_of(config, door->kind);
        char text[512], line[600];
        int result = open_own(doors, door, &wanted, text, sizeof(text));

        if (*text) {
                snprintf(line, sizeof(line), "[%s] Socket: %s", wanted.section, text);
                told(context, false, line);
        }
        if (result > 0) {
                snprintf(line, sizeof(line), "[%s] Socket: %s is bound anew", wanted.section,
                         door->place.text);
                tell(doors, LOG_NOTICE, "%s", line);
                told(context, true, line);
        } else if (result == 0) {
                give(door, &wanted); /* the group may have been found while the path was away */
        }
}

bool doors_mend(struct doors *doors, const struct config *config, doors_told *told, void *context)
{
        bool complete = true;

        doors_look(doors, config);
        for (size_t i = 0; i < doors->n; i++) {
                struct door *door = &doors->items[i];

                if (door->passed && door->gone[0])
                        told(context, false, door->gone);
                else if (!door->passed)
                        mend(doors, door, config, told, context);
                judge(door, config);
                complete = complete && door->place.text[0];
        }
        return complete;
}

/* ---- no service ---- */

static size_t turn_away(const int *listeners, size_t n)
{
        size_t turned = 0;

        for (size_t i = 0; i < n; i++) {
                int fd;

                while ((fd = accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC)) >= 0 ||
                       errno == ECONNABORTED || errno == EINTR) {
                        if (fd < 0)
                                continue;
                        close(fd);
                        turned++;
                }
        }
        return turned;
}

size_t doors_turn_away(const struct service_sockets *passed)
{
        return turn_away(passed->data, passed->n_data) +
               turn_away(passed->varlink, passed->n_varlink);
}
