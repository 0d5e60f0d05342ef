/* SPDX-License-Identifier: MIT */
#include "ctl/top/term.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/talk/local.h"

/* Escapes for: the alternate screen, no cursor, no automatic wrap; and back. */
static const char take[] = "\033[?1049h\033[?25l\033[?7l", give[] = "\033[?7h\033[?25h\033[?1049l";

enum { ROWS = 24, COLUMNS = 80, COLUMNS_MAX = 500, ROWS_MAX = 500 };

static void signal_set(sigset_t *set)
{
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

        sigemptyset(set);
        for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
                sigaddset(set, signals[i]);
}

bool term_fits(void)
{
        const char *name = getenv("TERM");

        return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && name && *name &&
               strcmp(name, "dumb") != 0;
}

int term_write(const char *text, size_t size)
{
        while (size) {
                ssize_t n = write(STDOUT_FILENO, text, size);

                if (n < 0 && errno == EAGAIN)
                        local_wait(STDOUT_FILENO, POLLOUT, UINT64_MAX);
                else if (n < 0 && errno != EINTR)
                        return -errno;
                if (n < 0)
                        continue;
                text += n;
                size -= (size_t)n;
        }
        return 0;
}

void term_measure(struct term *term)
{
        struct winsize size = {0};

        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        term->rows = size.ws_row ? size.ws_row : ROWS;
        term->columns = size.ws_col ? size.ws_col : COLUMNS;
        if (term->rows > ROWS_MAX)
                term->rows = ROWS_MAX;
        if (term->columns > COLUMNS_MAX)
                term->columns = COLUMNS_MAX;
}

static int set_raw(const struct term *term)
{
        struct termios raw = term->before;

        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
                return -errno;
        return term_write(take, strlen(take));
}

static void give_back(const struct term *term)
{
        /* Before the screen: TCSAFLUSH drops keys, and keys typed on the old screen must stay. */
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &term->before);
        term_write(give, strlen(give));
}

int term_begin(struct term *term)
{
        sigset_t set;
        int result;

        signal_set(&set);
        if (tcgetattr(STDIN_FILENO, &term->before) < 0)
                return -errno;
        term->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (term->signals < 0)
                return -errno;
        sigprocmask(SIG_BLOCK, &set, NULL);
        term_measure(term);
        result = set_raw(term);
        if (result < 0)
                term_end(term);
        return result;
}

void term_end(struct term *term)
{
        sigset_t set;

        give_back(term);
        close(term->signals);
        signal_set(&set);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int term_suspend(struct term *term)
{
        give_back(term);
        raise(SIGSTOP);
        term_measure(term);
        return set_raw(term);
}
