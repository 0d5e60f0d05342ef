/* SPDX-License-Identifier: MIT */
/*
 * Preloaded: a host on which a call fails. While the file FTCPD_FAILS is there and says "CALL
 * ERRNO", the call fails with this errno; with "CALL ERRNO once", it fails once, and the file is
 * removed. CALL is
 *   accept     of a connection to a Unix socket, or to a TCP one
 *   connect    of a TCP socket
 *   socket     that makes a TCP socket
 *   send       to a TCP connection
 *   thread     that is made
 *   watch-tcp  an event to read from a TCP connection, which libevent cannot make, without errno
 *   watch      of a Unix client in the epoll set of all clients
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* Returns the errno with which the call is to fail; 0: it does not. */
static int failure_of(const char *call)
{
        const char *path = getenv("FTCPD_FAILS");
        char asked[16] = "", times[8] = "";
        int before = errno, error = 0, n;
        FILE *file = path ? fopen(path, "re") : NULL;

        n = file ? fscanf(file, "%15s %d %7s", asked, &error, times) : 0;
        if (file)
                fclose(file);
        if (n < 2 || strcmp(asked, call) != 0 || (n == 3 && unlink(path) < 0))
                error = 0;
        errno = before;
        return error;
}

static int option_of(int fd, int option)
{
        int value = -1, before = errno;
        socklen_t size = sizeof(value);

        getsockopt(fd, SOL_SOCKET, option, &value, &size);
        errno = before;
        return value;
}

static int is_tcp(int fd)
{
        int family = option_of(fd, SO_DOMAIN);

        return (family == AF_INET || family == AF_INET6) && option_of(fd, SO_TYPE) == SOCK_STREAM;
}

/* Sets errno. True: the call fails. */
static int fails(const char *call)
{
        int error = failure_of(call);

        if (error)
                errno = error;
        return error != 0;
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
        return fails("accept") ? -1 : REAL(accept4)(fd, address, size, flags);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
        return is_tcp(fd) && fails("connect") ? -1 : REAL(connect)(fd, address, size);
}

int socket(int family, int type, int protocol)
{
        return (family == AF_INET || family == AF_INET6) && (type & 0xf) == SOCK_STREAM &&
                               fails("socket")
                       ? -1
                       : REAL(socket)(family, type, protocol);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        return is_tcp(fd) && fails("send") ? -1 : REAL(sendmsg)(fd, message, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
        int error = failure_of("thread");

        return error ? error : REAL(pthread_create)(thread, attr, run, arg);
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn call, void *context)
{
        if (what & EV_READ && fd >= 0 && is_tcp(fd) && option_of(fd, SO_ACCEPTCONN) == 0 &&
            failure_of("watch-tcp"))
                return NULL;
        return REAL(event_new)(base, fd, what, call, context);
}

int epoll_ctl(int epoll, int order, int fd, struct epoll_event *event)
{
        int is_libevent = event && event->data.u64 == (unsigned)fd; /* of control connections */

        if (order == EPOLL_CTL_ADD && !is_libevent && option_of(fd, SO_DOMAIN) == AF_UNIX &&
            option_of(fd, SO_ACCEPTCONN) == 0 && fails("watch"))
                return -1;
        return REAL(epoll_ctl)(epoll, order, fd, event);
}
