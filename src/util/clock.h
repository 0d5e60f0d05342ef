/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Time for protocol decisions: microseconds of CLOCK_BOOTTIME, which goes on while the machine
 * sleeps, so that a peer that was not heard of during a suspend counts as silent. Never set back,
 * and no wall clock: that one is for people, who want to know when something was.
 */
#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)

uint64_t clock_usec(void);

/* Since 1970, to be shown and nothing else: it jumps. */
uint64_t clock_wall_usec(void);

/* What this thread has had of a processor: it stands still while we do. */
uint64_t clock_cpu_usec(void);

/* So long from now; UINT64_MAX stays what it is: never. */
uint64_t clock_deadline(uint64_t usec);

/* A random factor from 0.5 to 1, for delays that must not come in step. */
double clock_jitter(void);
