/* SPDX-License-Identifier: MIT */
#pragma once
/* Unix stream sockets, for a program that waits. Every step has a deadline in the time of
 * clock_usec(); UINT64_MAX: no deadline. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connects; waits until the deadline for a place in the listening socket's queue. Returns a
 * non-blocking descriptor, or a negative errno (-ENAMETOOLONG, -ETIMEDOUT, those of connect()). */
int local_connect(const char *path, uint64_t deadline);

/* Copies the part of path that leads to the root directory of another process, "/proc/PID/root";
 * root, of size bytes, is empty if path has no such part, or a longer one. */
void local_root(const char *path, char *root, size_t size);

/* Opens the socket at `path` as seen from the directory root; "": from /. Does not connect. Returns
 * a descriptor for fstat() and local_connect_found(), the caller's to close, or a negative errno.
 */
int local_find(const char *root, const char *path);

/* As local_connect(), to the socket that local_find() has opened, whatever is at its path now.
 * Where /proc is missing, connects to path. */
int local_connect_found(int found, const char *path, uint64_t deadline);

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
