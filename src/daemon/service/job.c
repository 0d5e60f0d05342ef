/* SPDX-License-Identifier: MIT */
/* Asks systemd over the bus whether SIGTERM means a stop or a restart. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "daemon/service/service.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/host_error.h"

#define MANAGER "org.freedesktop.systemd1"

enum { ASK_MSEC = 200, AGAIN_USEC = 5000 };

/* Returns the type of the job of our unit, to be freed; NULL: no job, or no answer. */
static char *ask_once(sd_bus *bus, const char *path)
{
        sd_bus_message *reply = NULL;
        const char *job = NULL;
        char *type = NULL;
        uint32_t id;

        if (sd_bus_get_property(bus, MANAGER, path, MANAGER ".Unit", "Job", NULL, &reply, "(uo)") >=
                    0 &&
            sd_bus_message_read(reply, "(uo)", &id, &job) >= 0 && id)
                sd_bus_get_property_string(bus, MANAGER, job, MANAGER ".Job", "JobType", NULL,
                                           &type);
        sd_bus_message_unref(reply);
        return type;
}

/* True if systemd keeps n_needed descriptors, or does not answer. */
static bool is_kept(sd_bus *bus, const char *path, unsigned n_needed)
{
        uint32_t n;

        return sd_bus_get_property_trivial(bus, MANAGER, path, MANAGER ".Service",
                                           "NFileDescriptorStore", NULL, 'u', &n) < 0 ||
               n >= n_needed;
}

static enum service_job judge(char *type, bool kept)
{
        enum service_job job = SERVICE_JOB_UNKNOWN;

        if (type && (strcmp(type, "restart") == 0 || strcmp(type, "try-restart") == 0))
                job = kept ? SERVICE_JOB_RESTART : SERVICE_JOB_RESTART_BARE;
        else if (type && strcmp(type, "stop") == 0)
                job = SERVICE_JOB_STOP;
        free(type);
        return job;
}

/* Returns the bus path of our unit, to be freed; NULL: no answer. The control group would tell the
 * unit, too, but not where /proc hides process 1. */
static char *find_unit(sd_bus *bus)
{
        sd_bus_message *reply = NULL;
        const char *path = NULL;
        char *unit = NULL;

        if (sd_bus_call_method(bus, MANAGER, "/org/freedesktop/systemd1", MANAGER ".Manager",
                               "GetUnitByPID", NULL, &reply, "u", (uint32_t)getpid()) >= 0 &&
            sd_bus_message_read(reply, "o", &path) >= 0)
                unit = strdup(path);
        sd_bus_message_unref(reply);
        return unit;
}

static enum service_job ask_bus(unsigned n_needed)
{
        enum service_job job = SERVICE_JOB_UNKNOWN;
        char *path = NULL;
        sd_bus *bus = NULL;
        uint64_t until = clock_usec() + ASK_MSEC * 1000;

        if (sd_bus_open_system(&bus) >= 0 && (path = find_unit(bus)) != NULL)
                /* The first answer came without a job one time in eight. */
                while ((job = judge(ask_once(bus, path), is_kept(bus, path, n_needed))) ==
                               SERVICE_JOB_UNKNOWN &&
                       clock_usec() < until)
                        usleep(AGAIN_USEC);
        sd_bus_unref(bus);
        free(path);
        return job;
}

struct question {
        int fd; /* where the answer goes */
        unsigned n_needed;
};

static void *ask(void *arg)
{
        const struct question *question = arg;
        char answer = (char)ask_bus(question->n_needed);
        int fd = question->fd;

        if (write(fd, &answer, 1) < 0)
                return NULL;
        return NULL;
}

static enum service_job cannot_ask(int error)
{
        diag_warning("systemd can't be asked whether this is a restart: %s",
                     host_error_words(HOST_CALL_THREAD, error));
        return SERVICE_JOB_UNKNOWN;
}

/* A thread asks, and is left behind if the bus hangs. */
enum service_job service_job(unsigned n_needed)
{
        static struct question question;
        int ends[2];
        struct pollfd poll_end;
        pthread_t thread;
        char answer = SERVICE_JOB_UNKNOWN;
        int error;

        if (!service_keeps())
                return SERVICE_JOB_STOP;
        if (pipe(ends) < 0)
                return cannot_ask(errno);
        question = (struct question){ends[1], n_needed};
        error = pthread_create(&thread, NULL, ask, &question);
        if (error)
                return cannot_ask(error);
        pthread_detach(thread);
        poll_end = (struct pollfd){.fd = ends[0], .events = POLLIN};
        if (poll(&poll_end, 1, ASK_MSEC + 50) <= 0 || read(ends[0], &answer, 1) != 1)
                return SERVICE_JOB_UNKNOWN;
        return (enum service_job)answer;
}
