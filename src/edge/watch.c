/* SPDX-License-Identifier: MIT */
#include "edge/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

struct watch {
        int epoll;
        struct event *readable;
        void (*gone)(void *subject);
        struct pair {
                int fd;
                void *subject;
        } * pairs; /* by descriptor */
        size_t room;
};

static void look(evutil_socket_t fd, short what, void *arg)
{
        struct watch *watch = arg;
        struct epoll_event events[64];
        int n = epoll_wait(fd, events, 64, 0);

        (void)what;
        for (int i = 0; i < n; i++) {
                int of = events[i].data.fd;
                void *subject = watch->pairs[of].subject;

                if (!subject)
                        continue; /* removed by an earlier one's end */
                watch_remove(watch, of);
                watch->gone(subject);
        }
}

struct watch *watch_new(struct event_base *base, void (*gone)(void *subject))
{
        struct watch *watch = calloc(1, sizeof(*watch));

        if (!watch)
                return NULL;
        watch->gone = gone;
        watch->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (watch->epoll >= 0)
                watch->readable = event_new(base, watch->epoll, EV_READ | EV_PERSIST, look, watch);
        if (!watch->readable || event_add(watch->readable, NULL) < 0) {
                watch_free(watch);
                return NULL;
        }
        return watch;
}

void watch_free(struct watch *watch)
{
        if (!watch)
                return;
        if (watch->readable)
                event_free(watch->readable);
        if (watch->epoll >= 0)
                close(watch->epoll);
        free(watch->pairs);
        free(watch);
}

int watch_add(struct watch *watch, int fd, void *subject)
{
        struct epoll_event event = {.data.fd = fd};

        if ((size_t)fd >= watch->room) {
                size_t room = (size_t)fd * 2 + 64;
                struct pair *pairs = reallocarray(watch->pairs, room, sizeof(*pairs));

                if (!pairs)
                        return -ENOMEM;
                for (size_t i = watch->room; i < room; i++)
                        pairs[i] = (struct pair){-1, NULL};
                watch->pairs = pairs;
                watch->room = room;
        }
        if (epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;
        watch->pairs[fd] = (struct pair){fd, subject};
        return 0;
}

void watch_remove(struct watch *watch, int fd)
{
        if ((size_t)fd >= watch->room || !watch->pairs[fd].subject)
                return;
        watch->pairs[fd].subject = NULL;
        epoll_ctl(watch->epoll, EPOLL_CTL_DEL, fd, NULL);
}
