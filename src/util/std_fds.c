/* SPDX-License-Identifier: MIT */
#include "util/std_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* open() returns the lowest free descriptor, which is fd in each round. */
void std_fds_fill(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 &&
                    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
                        abort();
}
