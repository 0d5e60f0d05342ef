/* SPDX-License-Identifier: MIT */
#include "util/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/text.h"

/* A line with the prefix stays below PIPE_BUF: a pipe takes such a line whole as well. */
enum { LINE_MAX_BYTES = 2048 };

static int threshold = LOG_INFO;
static bool to_journal;
static int stream = -1; /* standard error, opened again without blocking; -1: not possible */
static uint64_t lost;   /* lost lines, not reported yet */
static bool torn;       /* the last line got through in part */

static const char *const names[] = {
        [LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",     [LOG_CRIT] = "crit",
        [LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
        [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

/* True if standard error is the journal's stream. $JOURNAL_STREAM alone is no proof, because the
 * variable is inherited: the device and the inode must be equal. */
static bool stderr_is_journal(void)
{
        const char *name = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        return name && sscanf(name, "%llu:%llu", &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* Opens standard error again with O_NONBLOCK, because all sharers of an open file, such as the
 * shell on the same terminal, share O_NONBLOCK as well. Returns -1 without a pipe or terminal: a
 * socket can't be opened and need not, and a file always takes a line. */
static int reopen_stderr(void)
{
        struct stat st;

        if (fstat(STDERR_FILENO, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
                return -1;
        return open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void diag_open(int level)
{
        if (stream >= 0)
                close(stream);
        stream = reopen_stderr();
        torn = false;
        lost = 0;
        to_journal = stderr_is_journal();
        if (to_journal)
                journal_open();
        diag_set_level(level);
}

void diag_set_level(int level)
{
        threshold = level;
}

int diag_level(void)
{
        return threshold;
}

bool diag_enabled(int level)
{
        return level <= threshold;
}

/* Writes the escaped text to line, with "..." at the end if the text was cut or does not fit.
 * Returns the length. The line has no newline yet, but room for a newline. */
static size_t put_line(char *line, const char *text, size_t whole, bool cut)
{
        size_t used = text_escape(line, LINE_MAX_BYTES, text, whole);

        if (cut || used > LINE_MAX_BYTES - 16)
                used += (size_t)sprintf(line + used, "...");
        return used;
}

/* Writes without waiting: no diag line is worth a stalled relay. */
static ssize_t write_some(const char *text, size_t size)
{
        struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
        ssize_t n;

        if (stream >= 0)
                return write(stream, text, size);
        n = send(STDERR_FILENO, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0 || errno != ENOTSOCK)
                return n;
        /* A pipe with any room has room for a whole line. */
        if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) {
                errno = EAGAIN;
                return -1;
        }
        return write(STDERR_FILENO, text, size);
}

/* Returns false if the stream did not take the line, or only a part. */
static bool write_stream(int level, const char *line, size_t used)
{
        char all[LINE_MAX_BYTES + 32];
        size_t size = torn ? 1 : 0;
        ssize_t n;

        all[0] = '\n';
        if (to_journal)
                size += (size_t)sprintf(all + size, "<%d>", level);
        memcpy(all + size, line, used);
        size += used;
        all[size++] = '\n';
        do
                n = write_some(all, size);
        while (n < 0 && errno == EINTR);
        if (n > 0)
                torn = (size_t)n < size;
        return n == (ssize_t)size;
}

/* Writes a line to the journal or to the stream. Returns false if neither took the line. */
static bool put(int level, const struct diag_event *event, const char *line, size_t used)
{
        static const struct diag_event none;

        return (to_journal && journal_send(level, event ? event : &none, line)) ||
               write_stream(level, line, used);
}

/* Writes a line with the number of lost lines, if any. Returns false if no line gets through. */
static bool tell_lost(void)
{
        char line[96];
        int used;

        if (!lost)
                return true;
        used = snprintf(line, sizeof(line),
                        "log: nobody took %" PRIu64 " lines, which are lost here", lost);
        if (!put(LOG_WARNING, NULL, line, (size_t)used))
                return false;
        lost = 0;
        return true;
}

void diag_write(int level, const struct diag_event *event, const char *format, ...)
{
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
                if (!tell_lost() || !put(level, event, line, used))
                        lost++;
        }
        errno = saved;
}

void diag_settle(uint64_t usec)
{
        int saved = errno;

        tell_lost();
        if (to_journal)
                journal_settle(usec);
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
