/* SPDX-License-Identifier: MIT */
/* Whether we are to stop or to be started anew: systemd knows, and says so over the bus. */
#include "daemon/service.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include "util/clock.h"

#define MANAGER "org.freedesktop.systemd1"

enum { ASK_MSEC = 200, AGAIN_USEC = 5000 };

/* The type of our unit's job, to be freed; NULL: none, or no answer. */
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

static enum service_job judge(char *type)
{
        enum service_job job = SERVICE_JOB_UNKNOWN;

        if (type && (strcmp(type, "restart") == 0 || strcmp(type, "try-restart") == 0))
                job = SERVICE_JOB_RESTART;
        else if (type && strcmp(type, "stop") == 0)
                job = SERVICE_JOB_STOP;
        free(type);
        return job;
}

static enum service_job ask_bus(void)
{
        enum service_job job = SERVICE_JOB_UNKNOWN;
        char *unit = NULL, *path = NULL;
        sd_bus *bus = NULL;
        uint64_t until = clock_usec() + ASK_MSEC * 1000;

        if (sd_pid_get_unit(0, &unit) >= 0 &&
            sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) >= 0 &&
            sd_bus_open_system(&bus) >= 0)
                /* One first question in eight came back empty. */
                while ((job = judge(ask_once(bus, path))) == SERVICE_JOB_UNKNOWN &&
                       clock_usec() < until)
                        usleep(AGAIN_USEC);
        sd_bus_unref(bus);
        free(path);
        free(unit);
        return job;
}

static void *ask(void *arg)
{
        char answer = (char)ask_bus();
        int fd = *(int *)arg;

        if (write(fd, &answer, 1) < 0)
                return NULL;
        return NULL;
}

/* A bus that hangs must not hold us up: who asks it is left behind. */
enum service_job service_job(void)
{
        static int ends[2];
        struct pollfd poll_end;
        pthread_t thread;
        char answer = SERVICE_JOB_UNKNOWN;

        if (!service_keeps())
                return SERVICE_JOB_STOP;
        if (pipe(ends) < 0)
                return SERVICE_JOB_UNKNOWN;
        if (pthread_create(&thread, NULL, ask, &ends[1]) != 0)
                return SERVICE_JOB_UNKNOWN;
        pthread_detach(thread);
        poll_end = (struct pollfd){.fd = ends[0], .events = POLLIN};
        if (poll(&poll_end, 1, ASK_MSEC + 50) <= 0 || read(ends[0], &answer, 1) != 1)
                return SERVICE_JOB_UNKNOWN;
        return (enum service_job)answer;
}
