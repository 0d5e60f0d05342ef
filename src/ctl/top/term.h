/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A terminal that is taken over for a live screen, and given back as it was: the other screen, no
 * cursor, no echo, keys one by one. The signals that would end or stop the program come as bytes
 * of a descriptor meanwhile, so that none can end it with the terminal in that state.
 */
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct term {
        struct termios before;
        int signals; /* a signalfd: SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH */
        int rows, columns;
};

/* Can stdin and stdout do this? */
bool term_fits(void);

/* 0 or a negative errno; then nothing was changed. */
int term_begin(struct term *term);
void term_end(struct term *term);

/* Gives the terminal back, stops the program as a ^Z does, and takes it over anew. */
int term_suspend(struct term *term);

/* Looks how large it is now. */
void term_measure(struct term *term);

/* Writes all of it to stdout. 0 or a negative errno. */
int term_write(const char *text, size_t size);
