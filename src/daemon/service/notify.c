/* SPDX-License-Identifier: MIT */
#include "daemon/service/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/socket.h"

/* Returns false if `name` is no address of a Unix socket. */
static bool set_address(struct sockaddr_un *address, socklen_t *size, const char *name)
{
        size_t length = strlen(name);

        if ((*name != '/' && *name != '@') || length < 2 || length >= sizeof(address->sun_path))
                return false;
        *address = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(address->sun_path, name, length);
        if (*name == '@')
                address->sun_path[0] = '\0';
        *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*name == '/'));
        return true;
}

/* Returns a non-blocking socket, the caller's to close; 0 without a manager; or a negative errno.
 * The socket is connected, because poll() then tells when the other end has room. */
static int open_manager(void)
{
        const char *name = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address;
        socklen_t size;
        int fd, error;

        if (!name)
                return 0;
        if (!set_address(&address, &size, name))
                return -EINVAL;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, size) == 0)
                return fd < 0 ? -errno : fd;
        error = errno;
        close(fd);
        return -error;
}

static int until(uint64_t deadline)
{
        uint64_t now = clock_usec();

        return now < deadline ? (int)((deadline - now + 999) / 1000) : 0;
}

/* Lets a moment pass, for the host to find memory. False: no time is left. */
static bool pause_until(uint64_t deadline)
{
        return until(deadline) > 0 && usleep(SOCKET_RETRY_USEC) == 0;
}

static int send_once(int manager, const char *words, int fd)
{
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec bytes = {(void *)words, strlen(words)};
        struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

        if (fd >= 0) {
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(fd));
                memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
                message.msg_control = &control;
                message.msg_controllen = sizeof(control);
        }
        return sendmsg(manager, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int notify_send(const char *words, int fd, uint64_t usec)
{
        uint64_t deadline = clock_deadline(usec);
        int saved = errno, manager = open_manager(), result;

        if (manager > 0) {
                struct pollfd room = {.fd = manager, .events = POLLOUT};

                do
                        result = send_once(manager, words, fd);
                while (result == -EINTR ||
                       (result == -EAGAIN && poll(&room, 1, until(deadline)) > 0) ||
                       (socket_is_short(-result) && pause_until(deadline)));
                close(manager);
        } else {
                result = manager;
        }
        errno = saved;
        return result;
}

/* The message carries an end of a pipe; the manager closes this end when reading the message. */
void notify_settle(uint64_t usec)
{
        uint64_t deadline = clock_deadline(usec);
        struct pollfd closed = {0};
        int ends[2], sent;

        if (!getenv("NOTIFY_SOCKET") || pipe2(ends, O_CLOEXEC) < 0)
                return;
        sent = notify_send("BARRIER=1", ends[1], usec);
        close(ends[1]);
        closed.fd = ends[0];
        while (sent == 0 && poll(&closed, 1, until(deadline)) < 0 && errno == EINTR)
                ;
        close(ends[0]);
}
