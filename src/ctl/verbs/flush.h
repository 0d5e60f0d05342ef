/* SPDX-License-Identifier: MIT */
#pragma once
/* Waiting until the upstream's kernel has everything that ftcpd has accepted. */
#include <stdint.h>

struct ctl;

/*
 * Returns CTL_DONE when every message that ftcpd has accepted by now is acknowledged by the
 * upstream's kernel or dropped; otherwise the exit code, with words left. Waits for at most
 * timeout_usec, UINT64_MAX: for ever. The waiting goes on over a restart if the successor recovers
 * the state.
 */
int flush_wait(struct ctl *ctl, uint64_t timeout_usec);

/* Sets *dropped to the number of messages to the upstream that were dropped so far. Returns
 * CTL_DONE, or the exit code, with words left. */
int flush_dropped(struct ctl *ctl, uint64_t *dropped);

/* Tells on stderr how many messages were dropped since flush_dropped() said `before`. */
void flush_tell_dropped(struct ctl *ctl, uint64_t before);
