/* SPDX-License-Identifier: MIT */
#include "ctl/talk/local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ctl/talk/ctl.h"
#include "util/clock.h"
#include "util/socket.h"

/* A wait for a place in the listening socket's queue ends after one of these, to look whether the
 * process lives, and begins anew behind all others that wait. */
enum { PLACE_USEC = 1000 * 1000, PLACE_BESIDE_PROCESS_USEC = 200 * 1000 };

int local_poll_msec(uint64_t deadline)
{
        uint64_t now = clock_usec(), msec;

        if (deadline == UINT64_MAX)
                return -1;
        if (deadline <= now)
                return 0;
        msec = (deadline - now + 999) / 1000;
        return msec > INT_MAX ? INT_MAX : (int)msec;
}

int local_wait_while(int process, int fd, short events, uint64_t deadline)
{
        struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = process, .events = POLLIN}};

        for (;;) {
                int n = poll(fds, 2, local_poll_msec(deadline));

                if (n > 0)
                        return fds[0].revents ? 0 : -EOWNERDEAD;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && clock_usec() >= deadline)
                        return -ETIMEDOUT;
        }
}

int local_wait(int fd, short events, uint64_t deadline)
{
        return local_wait_while(-1, fd, events, deadline);
}

bool local_is_unread(short events)
{
        struct stat st;

        /* POLLHUP of a terminal does not count: a hang-up comes as a signal. */
        return events & POLLERR ||
               (events & POLLHUP && fstat(STDOUT_FILENO, &st) == 0 && S_ISSOCK(st.st_mode));
}

int local_wait_read(int fd, uint64_t deadline)
{
        /* Without requested events, poll() reports of stdout only that nobody reads. */
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};

        for (;;) {
                int n = poll(fds, 2, local_poll_msec(deadline));

                if (n > 0 && local_is_unread(fds[1].revents)) {
                        raise(SIGPIPE);
                        return -ECANCELED;
                }
                if (n > 0 && fds[0].revents)
                        return 0;
                if (n > 0)
                        fds[1].fd = -1;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0 && clock_usec() >= deadline)
                        return -ETIMEDOUT;
        }
}

void local_sleep(uint64_t usec)
{
        struct timespec span = {(time_t)(usec / 1000000), (long)(usec % 1000000) * 1000};

        nanosleep(&span, NULL);
}

bool local_may_retry(int error)
{
        if (socket_is_short(error))
                local_sleep(SOCKET_RETRY_USEC);
        return socket_is_short(error) || error == EAGAIN || error == EINTR;
}

/* Connects a blocking socket: who waits for a place gets one in turn, who only tries again and
 * again must be lucky. Returns 0, -EAGAIN if no place was free in the time of one wait, or another
 * negative errno. */
static int connect_once(int fd, const struct sockaddr_un *address, int process, uint64_t deadline)
{
        uint64_t now = clock_usec(), usec = process < 0 ? PLACE_USEC : PLACE_BESIDE_PROCESS_USEC;
        struct timeval wait;

        if (deadline < now + usec)
                usec = deadline > now ? deadline - now : 1;
        wait = (struct timeval){(time_t)(usec / USEC_PER_SEC), (suseconds_t)(usec % USEC_PER_SEC)};
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
        if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
                return 0;
        return errno == EINTR ? -EAGAIN : -errno;
}

int local_connect_while(int process, const char *path, uint64_t deadline)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd, result;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        while ((result = connect_once(fd, &address, process, deadline)) == -EAGAIN) {
                if (clock_usec() >= deadline)
                        result = -ETIMEDOUT;
                else
                        result = local_wait_while(process, -1, 0, clock_usec());
                if (result != -ETIMEDOUT || clock_usec() >= deadline)
                        break;
        }
        if (result == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
                return fd;
        result = result < 0 ? result : -errno;
        close(fd);
        return result;
}

/* The size of a leading "/proc/PID/root" of path, or 0. */
static size_t root_size(const char *path)
{
        static const char proc[] = "/proc/", root[] = "/root/";
        size_t size = strlen(proc), digits;

        if (strncmp(path, proc, size) != 0)
                return 0;
        digits = strspn(path + size, "0123456789");
        if (!digits && strncmp(path + size, "self/", 5) == 0)
                digits = 4;
        size += digits;
        return digits && strncmp(path + size, root, strlen(root)) == 0 ? size + strlen(root) - 1
                                                                       : 0;
}

void local_root(const char *path, char *root, size_t size)
{
        size_t used = 0, more;

        while ((more = root_size(path + used)))
                used += more;
        if (used >= size)
                used = 0;
        memcpy(root, path, used);
        root[used] = '\0';
}

/* Opens path below the directory `dir`, where symbolic links lead as for a process with that root.
 */
static int find_below(int dir, const char *path)
{
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

        return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int local_find(const char *root, const char *path)
{
        int dir, fd, error;

        if (!*root) {
                fd = open(path, O_PATH | O_CLOEXEC);
                return fd < 0 ? -errno : fd;
        }
        dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        fd = find_below(dir, path);
        error = errno;
        close(dir);
        return fd < 0 ? -error : fd;
}

int local_connect_found(int found, const char *path, uint64_t deadline)
{
        char link[64];
        int fd;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", found);
        fd = local_connect(link, deadline);
        return fd == -ENOENT ? local_connect(path, deadline) : fd;
}

int local_connect(const char *path, uint64_t deadline)
{
        return local_connect_while(-1, path, deadline);
}
