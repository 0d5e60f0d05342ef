/* SPDX-License-Identifier: MIT */
#include "daemon/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "daemon/service/notify.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/socket.h"
#include "util/text.h"

#define STOP_SLACK_USEC (5 * USEC_PER_SEC) /* for the stop besides the flush */
#define SURELY_USEC     USEC_PER_SEC       /* wait for a manager that does not read */

enum { STATE_BYTES = 96, STATUS_BYTES = 512 };

static bool is_loopback(int fd)
{
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);

        return getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
               socket_is_loopback((struct sockaddr *)&address);
}

/* Returns the fault of a passed socket, static, or NULL. */
static const char *find_fault(int fd, const char *name)
{
        bool data = strcmp(name, "data") == 0;

        if (!data && strcmp(name, "varlink") != 0)
                return "its name is neither data nor varlink (FileDescriptorName=)";
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
                return "it is no listening stream socket";
        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
                return NULL;
        if (!data)
                return "the control socket must be a Unix socket";
        if (sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) <= 0 &&
            sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) <= 0)
                return "it is neither a Unix nor a TCP socket";
        if (!is_loopback(fd))
                diag_warning("systemd passed a data socket that is not on loopback: whoever "
                             "reaches it receives every message");
        return NULL;
}

/* True if the name is of a kept descriptor, not of a listening socket. */
static bool is_kept(const char *name)
{
        return strcmp(name, "state") == 0 || strcmp(name, "config") == 0 ||
               strncmp(name, "bag-", 4) == 0 || strncmp(name, "upstream-", 9) == 0;
}

/* Takes fd. For a kept descriptor takes the name, too, and sets *name_ to NULL. */
static void sort_socket(struct service_sockets *sockets, int fd, char **name_)
{
        const char *name = *name_;

        const char *fault;
        int flags;

        if (is_kept(name)) {
                sockets->kept[sockets->n_kept++] = (struct service_kept){*name_, fd};
                *name_ = NULL;
                return;
        }
        fault = find_fault(fd, name);
        flags = fcntl(fd, F_GETFL);
        if (fault) {
                diag_warning("systemd passed the socket \"%s\", which is not used: %s", name,
                             fault);
                close(fd);
                return;
        }
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        if (strcmp(name, "data") == 0)
                sockets->data[sockets->n_data++] = fd;
        else
                sockets->varlink[sockets->n_varlink++] = fd;
}

int service_take_sockets(struct service_sockets *sockets)
{
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names);

        *sockets = (struct service_sockets){0};
        if (n <= 0)
                return n;
        sockets->data = calloc((size_t)n, sizeof(int));
        sockets->varlink = calloc((size_t)n, sizeof(int));
        sockets->kept = calloc((size_t)n, sizeof(*sockets->kept));
        for (int i = 0; i < n; i++) {
                if (sockets->data && sockets->varlink && sockets->kept)
                        sort_socket(sockets, SD_LISTEN_FDS_START + i, &names[i]);
                free(names[i]);
        }
        free(names);
        return sockets->data && sockets->varlink && sockets->kept ? 0 : -ENOMEM;
}

static void close_all(int *fds, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        free(fds);
}

void service_sockets_done(struct service_sockets *sockets)
{
        close_all(sockets->data, sockets->n_data);
        close_all(sockets->varlink, sockets->n_varlink);
        for (size_t i = 0; i < sockets->n_kept; i++) {
                if (sockets->kept[i].fd >= 0)
                        close(sockets->kept[i].fd);
                free(sockets->kept[i].name);
        }
        free(sockets->kept);
        *sockets = (struct service_sockets){0};
}

bool service_keeps(void)
{
        return getenv("NOTIFY_SOCKET") != NULL;
}

/* Sends words that must not get lost: waits for a manager that does not read, but only once. */
static int tell_surely(const char *words, int fd)
{
        static bool deaf;
        int result = notify_send(words, fd, deaf ? 0 : SURELY_USEC);

        deaf = result == -EAGAIN;
        return result;
}

/* Without FDPOLL=0 systemd would close the copy as soon as the other end is gone, with the bytes
 * still unread. */
void service_keep(const char *name, int fd)
{
        char words[128];

        snprintf(words, sizeof(words), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
        if (tell_surely(words, fd) < 0)
                diag_warning("the service manager can't be told to keep \"%s\"", name);
}

void service_forget(const char *name)
{
        char words[128];

        snprintf(words, sizeof(words), "FDSTOREREMOVE=1\nFDNAME=%s", name);
        tell_surely(words, -1);
}

void service_settle(void)
{
        notify_settle(SURELY_USEC);
}

/* The latest state and the latest status that the manager has not taken: both go with the next
 * words. */
static struct {
        char state[STATE_BYTES], status[STATUS_BYTES];
} owed;

static void tell(const char *words)
{
        const char *parts[] = {words, owed.state, owed.status};
        char all[STATE_BYTES + STATUS_BYTES + 32];
        size_t used = 0;

        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
                if (*parts[i])
                        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
                                                 used ? "\n" : "", parts[i]);
        if (notify_send(all, -1, 0) == 0)
                *owed.state = *owed.status = '\0';
}

void service_ready(void)
{
        snprintf(owed.state, sizeof(owed.state), "READY=1");
        tell("");
}

void service_status(const char *format, ...)
{
        char text[STATUS_BYTES], line[STATUS_BYTES - sizeof("STATUS=")];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        text_escape(line, sizeof(line), text, strlen(text));
        snprintf(owed.status, sizeof(owed.status), "STATUS=%s", line);
        tell("");
}

void service_reloading(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(owed.state, sizeof(owed.state), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
        tell("");
}

void service_stopping(uint64_t usec)
{
        const uint64_t most = UINT64_C(30) * 24 * 3600 * USEC_PER_SEC;

        snprintf(owed.state, sizeof(owed.state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                 (usec < most ? usec : most) + STOP_SLACK_USEC);
        tell("");
}

uint64_t service_watchdog_usec(void)
{
        uint64_t usec;

        return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2 : 0;
}

void service_watchdog(void)
{
        tell("WATCHDOG=1");
}
