/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into ftcpd by short_memory_test.py: while the file FTCPD_SHORT is there, the host has
 * no memory for any send to a stream socket, or receive from one. Each failure adds a byte to the
 * file FTCPD_SHORT.count.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_short(int fd)
{
        const char *name = getenv("FTCPD_SHORT");
        int type = 0, count, before = errno;
        socklen_t size = sizeof(type);
        static unsigned failures;
        char path[256];

        if (!name || access(name, F_OK) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM) {
                errno = before;
                return 0;
        }
        snprintf(path, sizeof(path), "%s.count", name);
        count = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (write(count, "", 1) < 0)
                abort();
        close(count);
        errno = failures++ % 2 ? ENOMEM : ENOBUFS;
        return 1;
}

#define CALL(type, name, parameters, arguments)                                                    \
        type name parameters                                                                       \
        {                                                                                          \
                static type(*real) parameters;                                                     \
                                                                                                   \
                if (!real)                                                                         \
                        *(void **)&real = dlsym(RTLD_NEXT, #name);                                 \
                return is_short(fd) ? -1 : real arguments;                                         \
        }

CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
CALL(ssize_t, sendfile, (int fd, int from, off_t *at, size_t size), (fd, from, at, size))
CALL(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags))
CALL(ssize_t, readv, (int fd, const struct iovec *iov, int n), (fd, iov, n))
