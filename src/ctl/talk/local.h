/* SPDX-License-Identifier: MIT */
#pragma once
/* Unix stream sockets, for a program that waits. Every step has a deadline in the time of
 * clock_usec(); UINT64_MAX: no deadline. */
#include <stdbool.h>
#include <stdint.h>

/* Connects; waits until the deadline for a place in the listening socket's queue. Returns a
 * non-blocking descriptor, or a negative errno (-ENAMETOOLONG, -ETIMEDOUT, those of connect()). */
int local_connect(const char *path, uint64_t deadline);

/* Waits for poll() events. Returns 0, -ETIMEDOUT, or another negative errno. */
int local_wait(int fd, short events, uint64_t deadline);

/* As local_connect(), but returns -EOWNERDEAD as soon as a wait finds that the process of the
 * pidfd_open() descriptor `process` has ended; -1: no process. */
int local_connect_while(int process, const char *path, uint64_t deadline);

/* As local_wait(), but returns -EOWNERDEAD at once if the process has ended and no event is there;
 * -1: no process. */
int local_wait_while(int process, int fd, short events, uint64_t deadline);

/* As local_wait() for POLLIN, for bytes to be printed. If nobody reads standard output any more,
 * raises SIGPIPE at once, as a write would; returns -ECANCELED if the signal is ignored. */
int local_wait_read(int fd, uint64_t deadline);

/* True if events, the result of poll() for standard output, says that nobody reads any more. */
bool local_is_unread(short events);

/* For poll(): milliseconds to the deadline, rounded up; -1 for UINT64_MAX. */
int local_poll_msec(uint64_t deadline);

/* Sleeps for usec, or until a signal. */
void local_sleep(uint64_t usec);

/* True for an error of a send or receive that is tried again. Where the host has no memory, sleeps
 * a moment before. */
bool local_may_retry(int error);
