/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One connection to a control socket, for a program that asks and waits. Every step has a
 * deadline in clock_usec(), or UINT64_MAX.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "wire/varlink.h"

struct ctl;

struct bus {
        int fd;
        int process; /* whose end ends the waiting, see bus_open_while(); -1: nobody's */
        struct varlink_reader reader;
};

/* Connects. process is taken over where that works. Returns NULL with *error, a negative errno.
 * Freed with bus_free(), which takes NULL. */
struct bus *bus_new(const char *path, int process, uint64_t deadline, int *error);
void bus_free(struct bus *bus);

/* parameters are borrowed and may be NULL. 0 or a negative errno. */
int bus_send(struct bus *bus, const char *method, json_t *parameters, bool more, uint64_t deadline);

/* The next reply, a new reference. 0, or a negative errno: -EPIPE where the daemon closed,
 * -EBADMSG where it does not speak Varlink. */
int bus_receive(struct bus *bus, json_t **reply, uint64_t deadline);

/* The same without a deadline, for replies that are printed as they come: ends as
 * local_wait_read() does. */
int bus_follow(struct bus *bus, json_t **reply);

/* By when ftcpd has to answer, or it hangs: some seconds from now, or at the verb's --timeout=. */
uint64_t bus_deadline(const struct ctl *ctl);

/*
 * Calls a method over ctl's connection, which is made when needed. Returns CTL_DONE with a new
 * reference to the reply's parameters, or the exit code, with words left.
 */
int bus_call(struct ctl *ctl, const char *method, json_t *parameters, json_t **result);

/* The same with a deadline for the whole; UINT64_MAX: none. */
int bus_call_until(struct ctl *ctl, const char *method, json_t *parameters, json_t **result,
                   uint64_t deadline);

/* Leaves words about a reply that is an error and returns the exit code; CTL_DONE if it is none. */
int bus_judge(struct ctl *ctl, const char *method, const json_t *reply);

/* Leaves words about the end of replies that were to come for ever; bus_receive() said `error`. */
int bus_ended(struct ctl *ctl, int error);

/*
 * Connects ctl, for calls that end when the process does: where systemd holds the socket, nobody
 * answers after that. CTL_DONE, or the exit code with words left, here and from the calls.
 */
int bus_open_while(struct ctl *ctl, pid_t pid);

/* Connects ctl if it is not connected yet, and sees that it is answered. CTL_DONE, or the exit code
 * with words left. */
int bus_open(struct ctl *ctl);

/* Leaves words about `path`, which could not be connected to, and returns the exit code. */
int bus_unreachable(struct ctl *ctl, const char *what, const char *path, int error);
