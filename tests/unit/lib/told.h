/* SPDX-License-Identifier: MIT */
#pragma once
/* What is logged between two points of a test. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/diag.h"

static int told_stderr, told_ends[2];

/* From here on standard error is the test's, at the level. */
static inline void told_begin(int level)
{
        unsetenv("JOURNAL_STREAM");
        told_stderr = dup(STDERR_FILENO);
        if (told_stderr < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, told_ends) < 0)
                abort();
        dup2(told_ends[1], STDERR_FILENO);
        diag_open(level);
}

/* Ends what told_begin() began. Returns the lines, valid until the next call. */
static inline const char *told_end(void)
{
        static char lines[8192];
        size_t size = 0;
        ssize_t n;

        while ((n = recv(told_ends[0], lines + size, sizeof(lines) - 1 - size, MSG_DONTWAIT)) > 0)
                size += (size_t)n;
        lines[size] = '\0';
        dup2(told_stderr, STDERR_FILENO);
        close(told_stderr);
        close(told_ends[0]);
        close(told_ends[1]);
        return lines;
}
