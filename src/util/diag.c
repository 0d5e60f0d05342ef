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
        if (to_journal)
                journal_open();
        diag_set_level(level);
}

void diag_settle(uint64_t usec)
{
        if (to_journal)
                journal_settle(usec);
}

void diag_set_level(int level)
{
        threshold = level;
}

bool diag_enabled(int level)
{
        return level <= threshold;
}

/* Ends in "..." where it did not fit. The line has room for the newline that is not there yet. */
static size_t put_line(char *line, const char *text, size_t whole, bool cut)
{
        size_t used = text_escape(line, LINE_MAX_BYTES, text, whole);

        if (cut || used > LINE_MAX_BYTES - 16)
                used += (size_t)sprintf(line + used, "...");
        return used;
}

static void write_stream(int level, char *line, size_t used)
{
        char all[LINE_MAX_BYTES + 32];
        int prefix = to_journal ? sprintf(all, "<%d>", level) : 0;

        memcpy(all + prefix, line, used);
        used += (size_t)prefix;
        all[used++] = '\n';
        while (write(STDERR_FILENO, all, used) < 0 && errno == EINTR)
                ;
}

void diag_write(int level, const struct diag_event *event, const char *format, ...)
{
        static const struct diag_event none;
        char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 16];
        int saved = errno, length;
        size_t whole, used;
        va_list args;

        va_start(args, format);
        length = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (length >= 0) {
                whole = strlen(text);
                used = put_line(line, text, whole, (size_t)length > whole);
                if (!to_journal || !journal_send(level, event ? event : &none, line))
                        write_stream(level, line, used);
        }
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
