/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Time for protocol decisions: microseconds of CLOCK_BOOTTIME, which never goes back. The clock
 * runs on while the machine sleeps, so a peer counts as silent during a suspend. The wall clock is
 * only for times that are shown to people.
 */
#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)

/* Returns the time of CLOCK_BOOTTIME. */
uint64_t clock_usec(void);

/* Returns the time since 1970, only to be shown: the wall clock jumps. */
uint64_t clock_wall_usec(void);

/* Returns the processor time of the thread, which stands still while the thread is stalled. */
uint64_t clock_cpu_usec(void);

/* Returns the clock_usec() time `usec` from now; UINT64_MAX (never) if the sum is too large. */
uint64_t clock_deadline(uint64_t usec);

/* Returns a random factor from 0.5 to 1, for delays of many programs that must not be in step. */
double clock_jitter(void);
