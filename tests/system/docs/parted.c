/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a client by programs_test.py: connect() to a Unix socket returns when the other
 * side has closed, so that whatever the client sends next meets a closed socket.
 */
#include <dlfcn.h>
#include <poll.h>
#include <sys/socket.h>

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
        static int (*real)(int, const struct sockaddr *, socklen_t);
        struct pollfd closed = {.fd = fd};
        int result;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "connect");
        result = real(fd, address, size);
        if (result == 0 && address->sa_family == AF_UNIX)
                poll(&closed, 1, 30000);
        return result;
}
