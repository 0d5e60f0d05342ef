/* SPDX-License-Identifier: MIT */
#pragma once
/* Standard input, output and error, where whoever started us has closed them. */

/*
 * To be called before anything is opened: else a socket would take the place of one of the three,
 * and what is printed would go to its other end. What stands there then can't be read (input) or
 * written (the others): the error is EBADF, as if it were closed.
 */
void std_fds_fill(void);
