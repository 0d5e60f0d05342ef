/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What ftcpd has to do with its service manager: words to it (sd_notify(3)), the watchdog, and the
 * sockets that it passed. Without systemd the words go nowhere and no sockets are there. A manager
 * that does not listen stops nothing: how things are it hears with the next words that it takes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Listening stream sockets that systemd passed, by the name of their unit's FileDescriptorName=;
 * non-blocking, closed on exec. Whoever takes one puts -1 in its place. */
struct service_sockets {
        int *data; /* Unix or TCP */
        size_t n_data;
        int *varlink; /* Unix */
        size_t n_varlink;
        struct service_kept {
                char *name; /* owned */
                int fd;
        } * kept; /* what the last process had kept */
        size_t n_kept;
};

/* Sorts what was passed; to be called once. What has another name or is no such socket is logged
 * and closed. Returns 0 or a negative errno; sockets is to be freed in both cases. */
int service_take_sockets(struct service_sockets *sockets);

/* Frees, and closes what nobody took. */
void service_sockets_done(struct service_sockets *sockets);

/* The sockets listen and the configuration holds, at the start and after a reload. */
void service_ready(void);

/* Is there a service manager that keeps descriptors? */
bool service_keeps(void);

/* Has a copy of the descriptor kept under this name for the next process, also after a crash; and
 * no longer. A manager that does not listen is waited for, for a second once. */
void service_keep(const char *name, int fd);
void service_forget(const char *name);

/* Waits until the service manager has heard all of it, for a second at most. */
void service_settle(void);

/* Why SIGTERM came. Without a service manager it is a stop. A bare restart is one for which fewer
 * than n_needed descriptors are kept. Takes up to a quarter of a second. */
enum service_job {
        SERVICE_JOB_UNKNOWN,
        SERVICE_JOB_STOP,
        SERVICE_JOB_RESTART,
        SERVICE_JOB_RESTART_BARE,
};
enum service_job service_job(unsigned n_needed);

/* One line about the link for "systemctl status". */
void service_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A reload begins; service_ready() ends it, whatever came of it. */
void service_reloading(void);

/* We end, and it may take so long: no TimeoutStopSec= is to cut that short. */
void service_stopping(uint64_t usec);

/* How often service_watchdog() should be called, half of what the unit allows; 0: never. */
uint64_t service_watchdog_usec(void);
void service_watchdog(void);
