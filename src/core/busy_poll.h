/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Busy polling: while bytes follow each other closely, the event loop looks for more bytes again
 * and again for some microseconds, before the process sleeps. Sleep and wake-up use as much CPU,
 * and cost the time of an interrupt of another processor besides.
 *
 * Passing bytes earn credit for the time awake, at most 100 us in a row. After a wait awake in
 * vain, the process sleeps in the next wait; in vain again, in the next two, and so on up to 64.
 * The process therefore sleeps for small messages with pauses, and for slow traffic. Time comes in
 * as an argument.
 */
#include <stdbool.h>
#include <stdint.h>

/* Begins as zeroes. */
struct busy_poll {
        uint64_t bytes;  /* figure of the last pass */
        uint64_t looked; /* time of the last pass */
        uint64_t credit; /* for the time awake, in bytes */
        unsigned asleep; /* waits to sleep through after the last wait in vain */
        unsigned left;   /* remainder of these waits */
        bool awake;      /* the last pass returned true */
};

/* To be called after each pass of the event loop. bytes: the sum of bytes read, or another figure
 * that changes with the sum. now: microseconds. Returns true to look again at once, without sleep.
 */
bool busy_poll_pass(struct busy_poll *poll, uint64_t bytes, uint64_t now);
