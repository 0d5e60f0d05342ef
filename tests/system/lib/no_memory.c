/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into ftcpd: while the file $FTCPD_TEST_NO_MEMORY is there, the next attempt to watch a
 * new connection fails for lack of memory, and the file is removed. The file holds the family of
 * the socket: "tcp" (an event to read from the upstream) or "unix" (a client in an epoll set).
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

static int fails(int fd, int family, const char *word)
{
        const char *path = getenv("FTCPD_TEST_NO_MEMORY");
        char asked[16] = "";
        socklen_t size = sizeof(int);
        int domain = 0, listens = 0;
        FILE *file;

        if (!path || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != family)
                return 0;
        size = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || listens)
                return 0;
        file = fopen(path, "r");
        if (!file)
                return 0;
        if (!fgets(asked, sizeof(asked), file))
                asked[0] = '\0';
        fclose(file);
        return strcmp(asked, word) == 0 && unlink(path) == 0;
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what,
                        event_callback_fn call, void *context)
{
        static struct event *(*real)(struct event_base *, evutil_socket_t, short, event_callback_fn,
                                     void *);

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "event_new");
        if (what & EV_READ && fails(fd, AF_INET, "tcp"))
                return NULL;
        return real(base, fd, what, call, context);
}

int epoll_ctl(int epoll, int order, int fd, struct epoll_event *event)
{
        static int (*real)(int, int, int, struct epoll_event *);

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
        if (order == EPOLL_CTL_ADD && fails(fd, AF_UNIX, "unix")) {
                errno = ENOMEM;
                return -1;
        }
        return real(epoll, order, fd, event);
}
