/* SPDX-License-Identifier: MIT */
#include "edge/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/timer.h"
#include "store/store.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/host_error.h"
#include "util/socket.h"

enum {
        ACCEPTS = 64, /* in a row; then clients are served, however many connections come */
        REST_USEC = 100000,
};

#define TELL_USEC (60 * USEC_PER_SEC)

struct listener {
        int fd;
        struct event *readable, *pause_end;
        listener_accepted *accepted;
        void *context;
        struct budget *budget; /* borrowed; NULL: none */
        uint64_t *mark;        /* a word of the image, borrowed; NULL: none */
        uint64_t told_at;      /* when a fault was last logged; 0: never */
        bool told;             /* the present fault was logged */
        char fault[320];       /* of the last accept; empty: none */
};

void listener_pause(struct listener *listener, uint64_t usec)
{
        event_del(listener->readable);
        timer_arm(listener->pause_end, usec);
}

/* An accept failed. The fault stays in listener_fault() until an accept finds none. */
static void rest(struct listener *listener, int error)
{
        uint64_t now = clock_usec();
        char at[128];

        socket_local_text(listener->fd, at, sizeof(at));
        snprintf(listener->fault, sizeof(listener->fault), "at %s: %s", at,
                 host_error_words(HOST_CALL_ACCEPT, error));
        if (!listener->told_at || now - listener->told_at >= TELL_USEC) {
                diag_err("can't accept clients for now: %s, at %s; told once a minute at most",
                         host_error_words(HOST_CALL_ACCEPT, error), at);
                listener->told_at = now;
                listener->told = true;
        }
        listener_pause(listener, REST_USEC);
}

/* An accept brought a connection, or found none waiting. */
static void end_fault(struct listener *listener)
{
        listener->fault[0] = '\0';
        if (listener->told)
                diag_notice("clients are accepted again");
        listener->told = false;
}

static void on_pause_end(evutil_socket_t fd, short what, void *arg)
{
        struct listener *listener = arg;

        (void)fd;
        (void)what;
        event_add(listener->readable, NULL);
}

/* A crash in accept4() may lose a connection unknown to the successor: only the mark tells. */
static int accept_one(struct listener *listener)
{
        int client, error;

        if (listener->mark)
                store_set(listener->mark, 1);
        client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        error = errno;
        if (client < 0 && listener->mark)
                store_set(listener->mark, 0);
        errno = error;
        return client;
}

/* Returns the time until another connection may be accepted; 0: now. */
static uint64_t must_wait(const struct listener *listener)
{
        return listener->budget ? budget_wait(listener->budget, clock_usec()) : 0;
}

/* Accepts a connection. Returns false if no more can be accepted now. */
static bool accept_next(struct listener *listener)
{
        int client = accept_one(listener);

        if (client < 0 && (errno == ECONNABORTED || errno == EINTR))
                return true; /* of one connection, or of none: the next may wait */
        if (client < 0 && errno != EAGAIN) {
                rest(listener, errno);
                return false;
        }
        if (listener->fault[0])
                end_fault(listener);
        if (client >= 0)
                listener->accepted(listener->context, client);
        return client >= 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
        struct listener *listener = arg;
        bool more = true;

        (void)fd;
        (void)what;
        for (int i = 0; more && i < ACCEPTS && event_pending(listener->readable, EV_READ, NULL);
             i++) {
                uint64_t wait = must_wait(listener), begin = clock_cpu_usec();

                if (wait) {
                        listener_pause(listener, wait);
                        return;
                }
                more = accept_next(listener);
                if (listener->budget)
                        budget_spend(listener->budget, clock_cpu_usec() - begin + 1, clock_usec());
        }
}

struct listener *listener_new(struct event_base *base, int fd, listener_accepted *accepted,
                              void *context)
{
        struct listener *listener = calloc(1, sizeof(*listener));

        if (!listener) {
                close(fd);
                return NULL;
        }
        *listener = (struct listener){.fd = fd, .accepted = accepted, .context = context};
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        socket_keep_in_line(fd);
        listener->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, listener);
        listener->pause_end = evtimer_new(base, on_pause_end, listener);
        if (!listener->readable || !listener->pause_end ||
            event_add(listener->readable, NULL) < 0) {
                listener_free(listener);
                return NULL;
        }
        return listener;
}

void listener_limit(struct listener *listener, struct budget *budget)
{
        listener->budget = budget;
}

void listener_mark(struct listener *listener, uint64_t *word)
{
        listener->mark = word;
}

const char *listener_fault(const struct listener *listener)
{
        return listener->fault[0] ? listener->fault : NULL;
}

void listener_free(struct listener *listener)
{
        if (!listener)
                return;
        if (listener->readable)
                event_free(listener->readable);
        if (listener->pause_end)
                event_free(listener->pause_end);
        close(listener->fd);
        free(listener);
}
