/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Busy polling: where bytes follow each other closely, whether more are there is looked at again
 * and again for some microseconds before the process sleeps. To sleep and to be woken takes it as
 * much CPU, and costs the time of an interrupt of another processor.
 *
 * What may be spent awake is earned by the bytes that pass, and is at most 100 us at a time. Where
 * that was in vain, the next wait is slept through, then the next two, and so on up to 64. So small
 * messages that come one at a time are waited for asleep, as is what comes slowly. Time comes in.
 */
#include <stdbool.h>
#include <stdint.h>

/* Begins as zeroes. */
struct busy_poll {
        uint64_t bytes;  /* that have passed, */
        uint64_t looked; /* when that was last looked at */
        uint64_t credit; /* in bytes, too */
        unsigned asleep; /* so many waits were to be slept through after the last in vain, */
        unsigned left;   /* and so many still are */
        bool awake;      /* since the last look */
};

/* After each turn of the event loop. bytes: read so far in all, or any other figure that changes
 * with it. True: look again at once. */
bool busy_poll_pass(struct busy_poll *poll, uint64_t bytes, uint64_t now);
