/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The terminal during a live screen: the alternate screen, no cursor, no echo, keys one by one; and
 * the way back to its first state. The signals that end or stop the program come through a signalfd
 * meanwhile: no signal ends the program with the terminal in the live state.
 */
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct term {
        struct termios before;
        int signals; /* a signalfd: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH */
        int rows, columns;
};

/* True if stdin and stdout are a terminal that can show a live screen. */
bool term_fits(void);

/* Brings the terminal into the live state and blocks the signals. Returns 0, or a negative errno
 * with terminal and signals as before. */
int term_begin(struct term *term);

/* Restores the terminal and unblocks the signals. */
void term_end(struct term *term);

/* Restores the terminal, stops the program as ^Z does, and, once continued, brings the terminal
 * into the live state again. Returns 0 or a negative errno. */
int term_suspend(struct term *term);

/* Reads the size of the terminal into rows and columns. */
void term_measure(struct term *term);

/* Writes size bytes to stdout, waiting for room. Returns 0 or a negative errno. */
int term_write(const char *text, size_t size);
