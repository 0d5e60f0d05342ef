/* SPDX-License-Identifier: MIT */
#include "daemon/doors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/diag.h"
#include "util/socket.h"

void doors_init(struct doors *doors)
{
        *doors = (struct doors){.data = {.fd = -1, .lock = -1}, .varlink = {.fd = -1, .lock = -1}};
}

void doors_done(struct doors *doors)
{
        socket_path_done(&doors->data);
        socket_path_done(&doors->varlink);
}

/* An own socket as the configuration wants it. */
struct wanted {
        const char *section, *path, *group;
        mode_t mode;
        gid_t gid;
};

static struct wanted want_data(const struct config *config)
{
        return (struct wanted){"Local", config->local_socket, config->local_socket_group,
                               config->local_socket_mode, config->local_socket_gid};
}

static struct wanted want_varlink(const struct config *config)
{
        return (struct wanted){"Control", config->control_socket, config->control_socket_group,
                               config->control_socket_mode, config->control_socket_gid};
}

static void find_place(struct doors_place *place, int fd)
{
        struct stat st;

        socket_local_text(fd, place->text, sizeof(place->text));
        if (*place->text == '/' && stat(place->text, &st) == 0 && S_ISSOCK(st.st_mode)) {
                place->device = st.st_dev;
                place->inode = st.st_ino;
        }
}

/* Sets *waits if the socket's group is unknown yet: until doors_give() the daemon's own group,
 * which has the socket, must not come in by the mode that is meant for the other group. */
static int own_socket(struct socket_path *own, const struct wanted *wanted, bool *waits)
{
        static const char of_instances[] = "/run/ftcpd/";
        char text[512];
        int result;

        /* The default folder for the sockets of instances, made by a unit but not by a shell. */
        if (strncmp(wanted->path, of_instances, sizeof(of_instances) - 1) == 0)
                mkdir("/run/ftcpd", 0755);
        *waits = wanted->group && wanted->gid == SOCKET_NO_GID;
        result = socket_path_listen(own, wanted->path,
                                    *waits ? wanted->mode & ~(mode_t)S_IRWXG : wanted->mode,
                                    wanted->gid, text, sizeof(text));

        if (result < 0)
                diag_err("[%s] Socket: %s", wanted->section,
                         result == -ENOMEM ? "no memory" : text);
        else if (*text)
                diag_warning("[%s] Socket: %s", wanted->section, text);
        return result;
}

static void give(const struct socket_path *own, const struct wanted *wanted, bool *waits)
{
        char text[512];

        if (!*waits || wanted->gid == SOCKET_NO_GID || !own->path)
                return;
        *waits = false;
        if (socket_path_give(own, wanted->mode, wanted->gid, text, sizeof(text)) < 0)
                diag_err("[%s] Socket: %s", wanted->section, text);
        else
                diag_notice("[%s] Socket: %s is for the group %s now", wanted->section, own->path,
                            wanted->group);
}

void doors_give(struct doors *doors, const struct config *config)
{
        struct wanted data = want_data(config), varlink = want_varlink(config);

        give(&doors->data, &data, &doors->data_waits);
        give(&doors->varlink, &varlink, &doors->varlink_waits);
}

static int listen_data(struct doors *doors, const struct config *config,
                       struct service_sockets *passed, struct relay *relay)
{
        struct wanted wanted = want_data(config);
        int result = 0;

        for (size_t i = 0; i < passed->n_data && result == 0; i++) {
                if (i == 0)
                        find_place(&doors->at_data, passed->data[i]);
                result = relay_listen(relay, passed->data[i]);
                passed->data[i] = -1;
        }
        if (passed->n_data || result < 0)
                return result;
        if (passed->n_varlink)
                diag_warning("systemd passed no socket named data (FileDescriptorName=): [Local] "
                             "Socket= stands for it");
        result = own_socket(&doors->data, &wanted, &doors->data_waits);
        if (result < 0)
                return result;
        find_place(&doors->at_data, doors->data.fd);
        result = relay_listen(relay, doors->data.fd);
        doors->data.fd = -1;
        return result;
}

static int listen_control(struct doors *doors, const struct config *config,
                          struct service_sockets *passed, struct control *control)
{
        struct wanted wanted = want_varlink(config);
        int result = 0;

        for (size_t i = 0; i < passed->n_varlink && result == 0; i++) {
                if (i == 0)
                        find_place(&doors->at_varlink, passed->varlink[i]);
                result = control_listen(control, passed->varlink[i]);
                passed->varlink[i] = -1;
        }
        if (passed->n_varlink || result < 0)
                return result;
        result = own_socket(&doors->varlink, &wanted, &doors->varlink_waits);
        if (result < 0)
                return result;
        find_place(&doors->at_varlink, doors->varlink.fd);
        result = control_listen(control, doors->varlink.fd);
        doors->varlink.fd = -1;
        return result;
}

int doors_open(struct doors *doors, const struct config *config, struct service_sockets *passed,
               struct relay *relay, struct control *control)
{
        int data = listen_data(doors, config, passed, relay);
        int varlink = listen_control(doors, config, passed, control);

        return data < 0 ? data : varlink;
}

static size_t turn_away(const int *listeners, size_t n)
{
        size_t turned = 0;

        for (size_t i = 0; i < n; i++) {
                int fd;

                while ((fd = accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
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
