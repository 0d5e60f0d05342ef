/* SPDX-License-Identifier: MIT */
#pragma once
/* Unix stream sockets, for a program that waits: every step has a deadline in clock_usec(), or
 * UINT64_MAX. */
#include <stdbool.h>
#include <stdint.h>

/* Connects, without blocking on a full backlog for longer than the deadline. A non-blocking
 * descriptor, or a negative errno (-ENAMETOOLONG, -ETIMEDOUT, what connect() says). */
int local_connect(const char *path, uint64_t deadline);

/* Waits for poll() events. 0, -ETIMEDOUT, or another negative errno. */
int local_wait(int fd, short events, uint64_t deadline);

/* The same, but -EOWNERDEAD at once when the process of this pidfd_open() descriptor has ended and
 * what is waited for is not there. */
int local_connect_while(int process, const char *path, uint64_t deadline);
int local_wait_while(int process, int fd, short events, uint64_t deadline);

/* Waits for what there is to print, for ever or to the deadline. Who reads our standard output may
 * be gone before that comes: then the program ends as by writing to it, by SIGPIPE, or returns
 * -ECANCELED where that is ignored. */
int local_wait_read(int fd, uint64_t deadline);

/* What poll() says of standard output: does nobody read it any more? */
bool local_is_unread(short events);

/* For poll(): milliseconds to the deadline, rounded up; -1 for UINT64_MAX. */
int local_poll_msec(uint64_t deadline);

void local_sleep(uint64_t usec);
