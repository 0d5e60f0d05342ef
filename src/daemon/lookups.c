/* SPDX-License-Identifier: MIT */
#include "daemon/lookups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/resolver.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/host_error.h"

struct lookups {
        lookups_found *found;
        void *context;
        struct config_names names;
        struct timeval every;
        int pipe[2];
        struct event *timer, *readable;
        bool under_way; /* a thread has not answered yet */
        bool told;      /* that the last round could not be asked for */
};

/* Owned by the thread until the thread sends the pointer through the pipe. */
struct round {
        int to; /* the thread's own copy of the pipe's end: freed lookups do no harm */
        struct config_names names;
};

static void round_free(struct round *round)
{
        config_names_done(&round->names);
        free(round);
}

static void *look_up(void *arg)
{
        struct round *round = arg;
        int to = round->to;

        for (size_t i = 0; i < round->names.n; i++)
                config_name_find(round->names.items[i].who, &round->names.items[i].id);
        if (write(to, &round, sizeof(struct round *)) != sizeof(struct round *))
                round_free(round);
        close(to);
        return NULL;
}

static bool has_found(const struct config_names *names)
{
        for (size_t i = 0; i < names->n; i++)
                if (names->items[i].id != CONFIG_NO_ID)
                        return true;
        return false;
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
        struct lookups *lookups = arg;
        struct round *round;

        (void)what;
        if (read(fd, &round, sizeof(struct round *)) != sizeof(struct round *))
                return;
        lookups->under_way = false;
        if (has_found(&round->names))
                lookups->found(lookups->context, &round->names);
        round_free(round);
}

/* NULL: no memory. */
static struct round *round_new(const struct lookups *lookups)
{
        struct round *round = calloc(1, sizeof(*round));

        for (size_t i = 0; round && i < lookups->names.n; i++) {
                if (config_names_add(&round->names, lookups->names.items[i].who) < 0) {
                        round_free(round);
                        round = NULL;
                }
        }
        return round;
}

/* Tells once that a round can't be asked for. The timer tries again. */
static void cannot_ask(struct lookups *lookups, struct round *round, int error)
{
        if (!lookups->told)
                diag_warning("users and groups that are unknown can't be looked up for now: %s",
                             host_error_words(HOST_CALL_THREAD, error));
        lookups->told = true;
        if (round->to >= 0)
                close(round->to);
        round_free(round);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct lookups *lookups = arg;
        struct round *round;
        int error;

        (void)fd;
        (void)what;
        if (lookups->under_way) /* a slow directory */
                return;
        round = round_new(lookups);
        if (!round) {
                diag_debug("no memory to look up users and groups");
                return;
        }
        round->to = fcntl(lookups->pipe[1], F_DUPFD_CLOEXEC, 3);
        error = round->to < 0 ? errno : -resolver_thread(look_up, round);
        lookups->under_way = error == 0;
        if (error)
                cannot_ask(lookups, round, error);
        else
                lookups->told = false;
}

struct lookups *lookups_new(struct event_base *base, lookups_found *found, void *context)
{
        struct lookups *lookups = calloc(1, sizeof(*lookups));

        if (!lookups)
                return NULL;
        *lookups = (struct lookups){.found = found, .context = context};
        if (pipe2(lookups->pipe, O_CLOEXEC) < 0) {
                free(lookups);
                return NULL;
        }
        fcntl(lookups->pipe[0], F_SETFL, O_NONBLOCK);
        lookups->timer = event_new(base, -1, EV_PERSIST, on_timer, lookups);
        lookups->readable =
                event_new(base, lookups->pipe[0], EV_READ | EV_PERSIST, on_answer, lookups);
        if (!lookups->timer || !lookups->readable || event_add(lookups->readable, NULL) < 0) {
                lookups_free(lookups);
                return NULL;
        }
        return lookups;
}

void lookups_set(struct lookups *lookups, struct config_names *names, uint64_t every)
{
        struct timeval interval = {(time_t)(every / USEC_PER_SEC),
                                   (suseconds_t)(every % USEC_PER_SEC)};

        config_names_done(&lookups->names);
        lookups->names = *names;
        *names = (struct config_names){0};
        event_del(lookups->timer);
        if (lookups->names.n)
                event_add(lookups->timer, &interval);
}

void lookups_free(struct lookups *lookups)
{
        if (!lookups)
                return;
        if (lookups->timer)
                event_free(lookups->timer);
        if (lookups->readable)
                event_free(lookups->readable);
        close(lookups->pipe[0]);
        close(lookups->pipe[1]);
        config_names_done(&lookups->names);
        free(lookups);
}
