/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Words to the service manager over $NOTIFY_SOCKET, as of sd_notify(3), but for one thing: a
 * manager that does not read what it is told never stops the relay. Without a manager, words go
 * nowhere. Only for daemon/service.h.
 */
#include <stdint.h>

/*
 * Sends the words, and with fd >= 0 a copy of that descriptor; waits for room not longer than so.
 * Returns 0, also where there is no manager; -EAGAIN where it does not read; or another negative
 * errno. Keeps errno.
 */
int notify_send(const char *words, int fd, uint64_t usec);

/* Returns when the manager has read all that was sent before, or after so long. */
void notify_settle(uint64_t usec);
