/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Words to the service manager over $NOTIFY_SOCKET, as in sd_notify(3), with one difference: a
 * manager that does not read the words never stops the relay. Without a manager, words go nowhere.
 * Only for the functions of service.h.
 */
#include <stdint.h>

/*
 * Sends the words, and with fd >= 0 a copy of descriptor fd; waits for room for at most usec.
 * Returns 0, also without a manager; -EAGAIN if the manager does not read; or another negative
 * errno. Keeps errno.
 */
int notify_send(const char *words, int fd, uint64_t usec);

/* Returns when the manager has read all words sent before, or after usec. */
void notify_settle(uint64_t usec);
