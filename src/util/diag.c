/* SPDX-License-Identifier: MIT */
#include "util/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/text.h"

/* A line with its prefix stays below PIPE_BUF, so that a pipe takes it whole as well. */
enum { LINE_MAX_BYTES = 2048 };

static int threshold = LOG_INFO;
static bool to_journal;

static const char *const names[] = {
        [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",     [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

/* $JOURNAL_STREAM is inherited; only where it names our standard error is the journal behind it. */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void diag_open(int level)
{
        to_journal = stderr_is_journal();
        diag_set_level(level);
}

void diag_set_level(int level)
{
        threshold = level;
}

bool diag_enabled(int level)
{
        return level <= threshold;
}

void diag_write(int level, const char *format, ...)
{
        char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 16];
        int saved = errno, prefix = 0, length;
        size_t used, whole;
        va_list args;

        va_start(args, format);
        length = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (length < 0)
                goto out;
        whole = strlen(text);
        if (to_journal)
                prefix = sprintf(line, "<%d>", level);
        used = text_escape(line + prefix, LINE_MAX_BYTES, text, whole) + (size_t)prefix;
        if ((size_t)length > whole || used > LINE_MAX_BYTES - 16)
                used += (size_t)sprintf(line + used, "...");
        line[used++] = '\n';
        while (write(STDERR_FILENO, line, used) < 0 && errno == EINTR)
                ;
out:
        errno = saved;
}

int diag_level_parse(const char *name)
{
        for (int i = 0; i < (int)(sizeof(names) / sizeof(*names)); i++)
                if (strcmp(names[i], name) == 0)
                        return i;
        return -1;
}

const char *diag_level_name(int level)
{
        return names[level];
}
