/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One connection to a control socket, for a program that sends a call and waits for the reply.
 * Every step has a deadline in the time of clock_usec(); UINT64_MAX: no deadline.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "wire/varlink.h"

struct ctl;

struct bus {
        int fd;
        int process; /* pidfd, owned: the end of the process ends every wait; -1: none */
        struct varlink_reader reader;
};

/* Connects to path. Returns a bus to be freed with bus_free(); the bus owns process. Or returns
 * NULL with a negative errno in *error; the caller keeps process. */
struct bus *bus_new(const char *path, int process, uint64_t deadline, int *error);

/* Closes the connection and frees bus, which may be NULL. */
void bus_free(struct bus *bus);

/* Sends a call. parameters are borrowed and may be NULL; more asks for a stream of replies. Returns
 * 0 or a negative errno. */
int bus_send(struct bus *bus, const char *method, json_t *parameters, bool more, uint64_t deadline);

/* Waits for the next reply; *reply is a new reference. Returns 0 or a negative errno: -EPIPE if the
 * daemon closed the connection, -EBADMSG if the peer does not speak Varlink. */
int bus_receive(struct bus *bus, json_t **reply, uint64_t deadline);

/* As bus_receive(), without a deadline, for replies to be printed at once: also ends, as
 * local_wait_read() does, when nobody reads standard output. */
int bus_follow(struct bus *bus, json_t **reply);

/* The deadline of one call, after which ftcpd counts as hanging: 3 seconds from now, or ctl->limit
 * if that is earlier. */
uint64_t bus_deadline(const struct ctl *ctl);

/*
 * Calls a method with bus_deadline(); connects ctl first if necessary. Returns CTL_DONE, or the
 * exit code with words left. *result is a new reference to the parameters of the reply, also of an
 * error reply; NULL without a reply.
 */
int bus_call(struct ctl *ctl, const char *method, json_t *parameters, json_t **result);

/* As bus_call(), with a deadline for connecting and the call together; UINT64_MAX: none. */
int bus_call_until(struct ctl *ctl, const char *method, json_t *parameters, json_t **result,
                   uint64_t deadline);

/* Returns CTL_DONE if reply is no error; else leaves words about the error and returns the exit
 * code. May make calls of its own over the connection, for better words. */
int bus_judge(struct ctl *ctl, const char *method, const json_t *reply);

/* Leaves words about the end of an endless stream of replies; error is the result of bus_receive().
 * Returns the exit code. */
int bus_ended(struct ctl *ctl, int error);

/*
 * Connects ctl for calls that fail as soon as the process pid ends: a socket that systemd keeps
 * stays open after the daemon, and nobody answers. Returns CTL_DONE, or the exit code with words
 * left, as the later calls do.
 */
int bus_open_while(struct ctl *ctl, pid_t pid);

/* Connects ctl if necessary, and checks that the daemon answers. Returns CTL_DONE, or the exit code
 * with words left. */
int bus_open(struct ctl *ctl);

/* Leaves words about a failed connect to path, the socket that `what` names for people, and sets
 * ctl->absence. error is a negative errno. Returns the exit code. */
int bus_unreachable(struct ctl *ctl, const char *what, const char *path, int error);
