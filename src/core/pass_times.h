/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The longest pass of the event loop, in processor time. The processor's clock costs a system call:
 * it is read at the end of a pass only if a millisecond has passed since it was last read, and
 * nothing else is done for the shorter passes in between.
 *
 *     read     end of short passes         end of this pass: read again
 *      |---------|--|-|                    |
 *      |<- less than 1 ms ->|<- counted  ->|
 */
#include <stdbool.h>
#include <stdint.h>

struct pass_times {
        uint64_t read_at, ended_at; /* clock_usec(): the last reading, the end of the last pass */
        uint64_t cpu;               /* what the last reading said */
        uint64_t longest;           /* microseconds of processor time */
};

/* Begins before the first pass. now: clock_usec(), cpu: the processor time of the thread. */
void pass_times_begin(struct pass_times *times, uint64_t now, uint64_t cpu);

/* A pass ends. Returns true if the processor's clock is to be read for pass_times_read(). */
static inline bool pass_times_end(struct pass_times *times, uint64_t now)
{
        enum { READ_USEC = 1000 };

        if (now - times->read_at >= READ_USEC)
                return true;
        times->ended_at = now;
        return false;
}

/* Takes the processor time at the end of a pass. What the shorter passes before it may have used
 * is not counted: the length of a pass is at most a millisecond too small. */
void pass_times_read(struct pass_times *times, uint64_t now, uint64_t cpu);
