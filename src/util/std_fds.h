/* SPDX-License-Identifier: MIT */
#pragma once
/* Standard input, output and error, for a parent process that has closed some. */

/*
 * Opens /dev/null in place of each closed descriptor from 0 to 2. To be called before any other
 * descriptor is opened: a socket could become descriptor 1 or 2, and printed text would go to the
 * socket's other end. Input can't be read, and output and error can't be written: the error is
 * EBADF, as for a closed descriptor. Ends the program on failure.
 */
void std_fds_fill(void);
