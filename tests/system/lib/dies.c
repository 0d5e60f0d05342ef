/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into ftcpd: a crash at an instant that random ones hardly ever meet. FTCPD_DIES says
 * when it gets SIGKILL: "call" when it is about to accept a client, "accept" when it has, "keep"
 * when a client's descriptor went where the next process finds it, "send" when much went to a
 * client, "take" when much came from one, "read" when much came from the upstream, "write" when
 * much went there, "ready" when it is about to say so. "send:7" is the seventh time, and
 * "send:7:100" that of 100 bytes and more.
 */
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { MUCH = 20000 };

/* So many bytes went or came. */
static void die_after(const char *instant, ssize_t bytes)
{
        static int times;
        const char *when = getenv("FTCPD_DIES");
        char asked[16] = "";
        int number = 1, much = MUCH;

        if (!when || sscanf(when, "%15[a-z]:%d:%d", asked, &number, &much) < 1)
                return;
        if (strcmp(asked, instant) == 0 && bytes >= much && ++times >= number)
                raise(SIGKILL);
}

static void die_at(const char *instant)
{
        die_after(instant, INT_MAX);
}

static int option_of(int fd, int option)
{
        int value = 0;
        socklen_t size = sizeof(value);

        getsockopt(fd, SOL_SOCKET, option, &value, &size);
        return value;
}

static int is_data(int fd)
{
        struct sockaddr_un address = {0};
        socklen_t size = sizeof(address);
        const char *name;

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
            address.sun_family != AF_UNIX)
                return 0;
        name = strrchr(address.sun_path, '/');
        return name && strcmp(name, "/data") == 0;
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
        static int (*real)(int, struct sockaddr *, socklen_t *, int);
        int result;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "accept4");
        if (is_data(fd))
                die_at("call");
        result = real(fd, address, size, flags);
        if (result >= 0 && is_data(fd))
                die_at("accept");
        return result;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        static ssize_t (*real)(int, const struct msghdr *, int);
        ssize_t result;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
        if (message->msg_iovlen && memmem(message->msg_iov->iov_base, message->msg_iov->iov_len,
                                          "READY=1", strlen("READY=1")))
                die_at("ready");
        result = real(fd, message, flags);
        if (message->msg_controllen && option_of(fd, SO_TYPE) == SOCK_SEQPACKET)
                die_at("keep");
        if (result > 0 && is_data(fd))
                die_after("send", result);
        else if (result > 0 && option_of(fd, SO_DOMAIN) == AF_INET)
                die_after("write", result);
        return result;
}

ssize_t sendfile(int fd, int from, off_t *at, size_t size)
{
        static ssize_t (*real)(int, int, off_t *, size_t);
        ssize_t result;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "sendfile");
        result = real(fd, from, at, size);
        if (result > 0 && is_data(fd))
                die_after("send", result);
        return result;
}

ssize_t readv(int fd, const struct iovec *iov, int n)
{
        static ssize_t (*real)(int, const struct iovec *, int);
        ssize_t result;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "readv");
        result = real(fd, iov, n);
        if (result > 0 && option_of(fd, SO_DOMAIN) == AF_INET)
                die_after("read", result);
        else if (result > 0 && is_data(fd))
                die_after("take", result);
        return result;
}
