/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The names of other processes' programs.
 *
 * Where the service manager hides other processes, $FTCPD_PROC is the folder of a proc file system
 * that shows them. All of that is more than a name, such as everybody's command lines. So a second
 * process, the teller, keeps the sight of the folder, and this process gives it up for good:
 *
 *      ftcpd ---- pid ----> teller ---- open ----> $FTCPD_PROC/PID/comm
 *            <-- pid, name --
 */
#include <stddef.h>
#include <sys/types.h>

enum { PROGRAM_MAX = 16 }; /* room for a program's name in the kernel, with NUL */

/*
 * Starts the teller and gives up the sight of $FTCPD_PROC, by Landlock. To be called once, before
 * any thread is there. Does nothing without $FTCPD_PROC. Returns 0 or a negative errno: where this
 * kernel has no Landlock, -EOPNOTSUPP or -ENOSYS, program_name() reads the folder itself.
 */
int program_start(void);

/* Writes the name of the process's program to name; empty: unknown. */
void program_name(pid_t pid, char name[PROGRAM_MAX]);
