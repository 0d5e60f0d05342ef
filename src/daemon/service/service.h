/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Everything between ftcpd and the service manager: words to the manager (sd_notify(3)), the
 * watchdog, the passed sockets and the kept descriptors. Without systemd the words go nowhere and
 * there are no sockets. A manager that does not read stops nothing: the latest state and status go
 * with the next words that the manager takes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Listening stream sockets that systemd passed, by FileDescriptorName= of the socket unit;
 * non-blocking, closed on exec. A function that takes a descriptor puts -1 in its place. */
struct service_sockets {
        int *data; /* Unix or TCP */
        size_t n_data;
        int *varlink; /* Unix */
        size_t n_varlink;
        struct service_kept {
                char *name; /* owned */
                int fd;
        } * kept; /* descriptors that a predecessor had kept */
        size_t n_kept;
};

/* Sorts the passed descriptors; to be called once. A descriptor of another name or kind is logged
 * and closed. Returns 0 or a negative errno; service_sockets_done() is to follow in both cases. */
int service_take_sockets(struct service_sockets *sockets);

/* Frees, and closes the descriptors that nobody took. */
void service_sockets_done(struct service_sockets *sockets);

/* Says that the sockets listen and the configuration is in force: at start and after a reload. */
void service_ready(void);

/* True if a service manager is there to keep descriptors. */
bool service_keeps(void);

/* Has the manager keep a copy of fd under `name` for a successor, also after a crash. Waits a
 * second for a manager that does not read, but not again until the manager reads. */
void service_keep(const char *name, int fd);

/* Has the manager close the copies kept under `name`. Waits as service_keep() does. */
void service_forget(const char *name);

/* Waits until the manager has read all words, for a second at most. */
void service_settle(void);

/* Why SIGTERM came. A bare restart is a restart for which the manager keeps too few descriptors. */
enum service_job {
        SERVICE_JOB_UNKNOWN,
        SERVICE_JOB_STOP,
        SERVICE_JOB_RESTART,
        SERVICE_JOB_RESTART_BARE,
};

/* Asks the manager over the bus, for up to a quarter of a second. n_needed: descriptors below which
 * a restart is bare. Returns SERVICE_JOB_STOP without a manager. */
enum service_job service_job(unsigned n_needed);

/* Sets the line about the link in "systemctl status". */
void service_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says that a reload begins; service_ready() is to follow, also if the reload fails. */
void service_reloading(void);

/* Says that ftcpd ends, which may take up to usec: TimeoutStopSec= must not cut the stop short. */
void service_stopping(uint64_t usec);

/* The time between two calls of service_watchdog(), half of WatchdogSec=; 0: no watchdog. */
uint64_t service_watchdog_usec(void);

/* Says that ftcpd is alive. */
void service_watchdog(void);
