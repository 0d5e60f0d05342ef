/* SPDX-License-Identifier: MIT */
#pragma once
/* Waiting until the upstream's host has what ftcpd has accepted. */
#include <stdint.h>

struct ctl;

/*
 * Returns when all that ftcpd has accepted by now is acknowledged by the upstream's kernel or
 * dropped: CTL_DONE, or the exit code with words left. timeout_usec UINT64_MAX: waits for ever.
 * A restart that hands everything over is no reason to give up.
 */
int flush_wait(struct ctl *ctl, uint64_t timeout_usec);
