/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/diag.h"
#include "util/text.h"

static int saved_stderr, ends[2];

/* Standard error becomes a socket that keeps each write() apart. */
static int catch_stderr(void **state)
{
        (void)state;
        saved_stderr = dup(STDERR_FILENO);
        assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), errno);
        dup2(ends[1], STDERR_FILENO);
        unsetenv("JOURNAL_STREAM");
        journal_path = "/nowhere/socket"; /* not this machine's */
        return 0;
}

static int release_stderr(void **state)
{
        (void)state;
        dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        close(ends[0]);
        close(ends[1]);
        return 0;
}

static const char *caught(void)
{
        static char line[8192];
        ssize_t n = recv(ends[0], line, sizeof(line) - 1, 0);

        line[n > 0 ? n : 0] = '\0';
        return line;
}

static void name_journal(void)
{
        char stream[64];
        struct stat st;

        fstat(STDERR_FILENO, &st);
        snprintf(stream, sizeof(stream), "%lu:%lu", (unsigned long)st.st_dev,
                 (unsigned long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
}

static void a_line_is_plain_and_one_write(void **state)
{
        (void)state;
        diag_open(LOG_INFO);
        errno = ENOENT;
        diag_info("%s: %d and %m", "link", 7);
        assert_int_equal(errno, ENOENT);
        assert_string_equal(caught(), "link: 7 and No such file or directory\n");
        assert_string_equal(caught(), "");
}

/* Listens where the journal would; the path and the socket last until forget_journal(). */
static char folder[] = "/tmp/ftcpd-diag-XXXXXX";
static struct sockaddr_un journal = {.sun_family = AF_UNIX};

static int play_journal(void)
{
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

        memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
        assert_non_null(mkdtemp(folder));
        snprintf(journal.sun_path, sizeof(journal.sun_path), "%s/socket", folder);
        assert_return_code(bind(fd, (struct sockaddr *)&journal, sizeof(journal)), errno);
        journal_path = journal.sun_path;
        return fd;
}

static void forget_journal(int fd)
{
        close(fd);
        unlink(journal.sun_path);
        rmdir(folder);
        journal_path = "/nowhere/socket";
}

static const char *entry(int fd)
{
        static char text[8192];
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

static void the_journal_gets_level_class_and_fields(void **state)
{
        int fd = play_journal();

        (void)state;
        name_journal();
        diag_open(LOG_INFO);
        diag_err("bad\nPRIORITY=0");
        assert_string_equal(entry(fd), "MESSAGE=bad\\nPRIORITY=0\nPRIORITY=3\n"
                                       "SYSLOG_IDENTIFIER=ftcpd\n");
        diag_event(LOG_NOTICE,
                   diag_facts(.id = "abc", .cause = "reset", .client = 7, .messages = 8),
                   "link: %s", "lost");
        assert_string_equal(entry(fd), "MESSAGE=link: lost\nPRIORITY=5\nSYSLOG_IDENTIFIER=ftcpd\n"
                                       "MESSAGE_ID=abc\nFTCPD_CAUSE=reset\nFTCPD_CLIENT=7\n"
                                       "FTCPD_MESSAGES=8\n");
        assert_string_equal(caught(), "");
        forget_journal(fd);
}

static void at_the_end_the_journal_is_waited_for_but_not_for_ever(void **state)
{
        int fd = play_journal();
        pid_t child;

        (void)state;
        name_journal();
        diag_open(LOG_INFO);
        diag_err("last words");
        diag_settle(1000); /* nobody reads */
        child = fork();
        if (child == 0) {
                /* One of the words, and two of those who wait. */
                for (int i = 0; i < 3; i++)
                        while (recv(fd, NULL, 0, 0) < 0)
                                ;
                _exit(0);
        }
        diag_settle(UINT64_C(60000000));
        assert_true(recv(fd, NULL, 0, MSG_DONTWAIT) < 0); /* nothing is left unread */
        assert_return_code(waitpid(child, NULL, 0), errno);
        forget_journal(fd);
}

static void a_journal_that_was_restarted_is_found_again(void **state)
{
        int fd = play_journal();

        (void)state;
        name_journal();
        diag_open(LOG_INFO);
        forget_journal(fd);
        diag_err("meanwhile");
        assert_string_equal(caught(), "<3>meanwhile\n");
        fd = play_journal();
        diag_err("again");
        assert_non_null(strstr(entry(fd), "MESSAGE=again\n"));
        assert_string_equal(caught(), "");
        forget_journal(fd);
}

static void a_journal_without_its_socket_gets_the_level(void **state)
{
        (void)state;
        name_journal();
        journal_path = "/nowhere/socket";
        diag_open(LOG_INFO);
        diag_err("bad");
        assert_string_equal(caught(), "<3>bad\n");
        diag_event(LOG_NOTICE, diag_facts(.id = "abc"), "good");
        assert_string_equal(caught(), "<5>good\n");
}

/* What became of the lines that were said: each ends in a dot, unless it got through in part. */
struct reader {
        int fd; /* does not block */
        unsigned long said, got, told;
        size_t size;
        char text[8 << 20];
};

static void read_lines(struct reader *reader)
{
        size_t room = sizeof(reader->text) - 1;
        char *p;
        ssize_t n;

        while ((n = read(reader->fd, reader->text + reader->size, room - reader->size)) > 0)
                reader->size += (size_t)n;
        reader->text[reader->size] = '\0';
        reader->got = reader->told = 0;
        for (p = reader->text; (p = strstr(p, ".\n")) != NULL; p++)
                reader->got++;
        for (p = reader->text; (p = strstr(p, "nobody took ")) != NULL; p++)
                reader->told += strtoul(p + 12, NULL, 10);
}

/* More than any of them takes, without waiting for who reads. Each line that is lost is told. */
static void overflow(int fd, const char *want)
{
        static struct reader reader;

        reader = (struct reader){.fd = fd};
        alarm(60); /* for a line that waits */
        for (reader.said = 0; reader.said < 20000; reader.said++)
                diag_info("a line of the log that is about as long as most: %lu.", reader.said);
        read_lines(&reader);
        assert_in_range(reader.got, 10, reader.said - 1);
        while (reader.got + reader.told != reader.said) {
                struct pollfd pollfd = {.fd = fd, .events = POLLIN};

                if (reader.told == 0 || poll(&pollfd, 1, 100) == 0) {
                        diag_info("again.");
                        reader.said++;
                }
                read_lines(&reader);
        }
        alarm(0);
        assert_non_null(strstr(reader.text, want));
        assert_non_null(strstr(reader.text, "again.\n"));
}

/* Standard error is this, until release_stderr(). What it shares with others stays as it was. */
static void become_stderr(int fd)
{
        int flags;

        dup2(fd, STDERR_FILENO);
        flags = fcntl(STDERR_FILENO, F_GETFL);
        diag_open(LOG_INFO);
        assert_int_equal(fcntl(STDERR_FILENO, F_GETFL), flags);
}

static void a_pipe_that_nobody_reads_does_not_stop_us(void **state)
{
        int pipe_ends[2];

        (void)state;
        assert_return_code(pipe(pipe_ends), errno);
        fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
        become_stderr(pipe_ends[1]);
        overflow(pipe_ends[0], "\nlog: nobody took ");
        close(pipe_ends[0]);
        close(pipe_ends[1]);
}

/* As where /proc is not there, or the pipe is another user's. */
static void a_pipe_that_cant_be_opened_anew_does_not_stop_us_either(void **state)
{
        int pipe_ends[2];

        (void)state;
        diag_open(LOG_INFO); /* the socket, of which there is only the one */
        assert_return_code(pipe(pipe_ends), errno);
        fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
        dup2(pipe_ends[1], STDERR_FILENO);
        overflow(pipe_ends[0], "\nlog: nobody took ");
        close(pipe_ends[0]);
        close(pipe_ends[1]);
}

static void a_terminal_that_nobody_reads_does_not_stop_us(void **state)
{
        struct termios raw;
        int terminal, screen = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);

        (void)state;
        assert_return_code(screen, errno);
        assert_return_code(grantpt(screen), errno);
        assert_return_code(unlockpt(screen), errno);
        terminal = open(ptsname(screen), O_RDWR | O_NOCTTY);
        assert_return_code(terminal, errno);
        assert_return_code(tcgetattr(terminal, &raw), errno);
        cfmakeraw(&raw);
        assert_return_code(tcsetattr(terminal, TCSANOW, &raw), errno);
        become_stderr(terminal);
        overflow(screen, "\nlog: nobody took ");
        close(terminal);
        close(screen);
}

static void a_journal_that_hangs_does_not_stop_us(void **state)
{
        int fd = play_journal(), stream[2];
        char text[4096];

        (void)state;
        assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), errno);
        fcntl(stream[0], F_SETFL, O_NONBLOCK);
        dup2(stream[1], STDERR_FILENO);
        name_journal();
        become_stderr(stream[1]);
        while (journal_send(LOG_INFO, diag_facts(.id = NULL), "full"))
                ;
        overflow(stream[0], "\n<4>log: nobody took ");
        /* At the end it is told too. */
        for (int i = 0; i < 20000; i++)
                diag_info("nobody reads");
        while (recv(stream[0], text, sizeof(text), 0) > 0)
                ;
        diag_settle(1000);
        assert_true(recv(stream[0], text, sizeof(text), 0) > 0);
        assert_memory_equal(text, "<4>log: nobody took ", 20);
        close(stream[0]);
        close(stream[1]);
        forget_journal(fd);
}

static void a_journal_stream_of_somebody_else_is_no_journal(void **state)
{
        (void)state;
        setenv("JOURNAL_STREAM", "1:2", 1);
        diag_open(LOG_INFO);
        diag_err("bad");
        assert_string_equal(caught(), "bad\n");
        setenv("JOURNAL_STREAM", "garbage", 1);
        diag_open(LOG_INFO);
        diag_err("bad");
        assert_string_equal(caught(), "bad\n");
}

static void what_is_below_the_level_is_not_even_evaluated(void **state)
{
        int evaluated = 0;

        (void)state;
        diag_open(LOG_WARNING);
        diag_info("%d", ++evaluated);
        assert_int_equal(evaluated, 0);
        assert_string_equal(caught(), "");
        diag_set_level(LOG_DEBUG);
        diag_debug("%d", ++evaluated);
        assert_string_equal(caught(), "1\n");
}

static void a_peer_cannot_begin_a_line_or_steer_a_terminal(void **state)
{
        (void)state;
        diag_open(LOG_INFO);
        diag_info("%s", "a\n<0>forged\r\x1b[2J\x7f\xc2\x9b"
                        "2J\xff\xe2\x80\xa8z");
        assert_string_equal(caught(), "a\\n<0>forged\\r\\x1b[2J\\x7f\\xc2\\x9b2J\\xff"
                                      "\\xe2\\x80\\xa8z\n");
}

static void a_line_too_long_is_cut_visibly(void **state)
{
        static char text[10000];

        (void)state;
        name_journal();
        diag_open(LOG_INFO);
        for (int escaped = 0; escaped < 2; escaped++) {
                const char *line;
                size_t size;

                memset(text, escaped ? '\x01' : 'x', sizeof(text) - 1);
                diag_info("%s", text);
                line = caught();
                size = strlen(line);
                assert_in_range(size, 2000, 2100);
                assert_string_equal(line + size - 4, "...\n");
        }
}

static void every_level_has_its_name(void **state)
{
        (void)state;
        for (int level = LOG_EMERG; level <= LOG_DEBUG; level++)
                assert_int_equal(diag_level_parse(diag_level_name(level)), level);
        assert_int_equal(diag_level_parse("loud"), -1);
}

static void escape(const char *text, size_t room, const char *want)
{
        char out[64];

        memset(out, 'X', sizeof(out));
        assert_int_equal(text_escape(out, room, text, strlen(text)), strlen(want));
        assert_string_equal(out, want);
}

static void text_is_cut_between_characters_and_escapes(void **state)
{
        (void)state;
        escape("abc", 4, "abc");
        escape("abc", 3, "ab");
        escape("a\xc3\xa9", 4, "a\xc3\xa9");
        escape("a\xc3\xa9", 3, "a");
        escape("a\x01", 6, "a\\x01");
        escape("a\x01", 5, "a");
        escape("", 1, "");
}

static void only_valid_utf8_passes(void **state)
{
        (void)state;
        escape("\xe2\x82\xac\xf0\x9f\x98\x80", 64, "\xe2\x82\xac\xf0\x9f\x98\x80");
        escape("\xc0\xaf", 64, "\\xc0\\xaf");                   /* overlong */
        escape("\xe0\x80\xaf", 64, "\\xe0\\x80\\xaf");          /* overlong */
        escape("\xed\xa0\x80", 64, "\\xed\\xa0\\x80");          /* a surrogate */
        escape("\xf4\x90\x80\x80", 64, "\\xf4\\x90\\x80\\x80"); /* above the last */
        escape("\xe2\x82", 64, "\\xe2\\x82");                   /* cut off */
        escape("\x80", 64, "\\x80");
        escape("\xe2\x80\xae", 64, "\\xe2\\x80\\xae"); /* what follows is written backwards */
        escape("\xe2\x80\x8d", 64, "\xe2\x80\x8d");    /* a joiner, which letters need */
        escape("\\", 64, "\\");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, catch_stderr, release_stderr)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_line_is_plain_and_one_write),
                TEST(the_journal_gets_level_class_and_fields),
                TEST(at_the_end_the_journal_is_waited_for_but_not_for_ever),
                TEST(a_journal_that_was_restarted_is_found_again),
                TEST(a_journal_without_its_socket_gets_the_level),
                TEST(a_pipe_that_nobody_reads_does_not_stop_us),
                TEST(a_pipe_that_cant_be_opened_anew_does_not_stop_us_either),
                TEST(a_terminal_that_nobody_reads_does_not_stop_us),
                TEST(a_journal_that_hangs_does_not_stop_us),
                TEST(a_journal_stream_of_somebody_else_is_no_journal),
                TEST(what_is_below_the_level_is_not_even_evaluated),
                TEST(a_peer_cannot_begin_a_line_or_steer_a_terminal),
                TEST(a_line_too_long_is_cut_visibly),
                cmocka_unit_test(every_level_has_its_name),
                cmocka_unit_test(text_is_cut_between_characters_and_escapes),
                cmocka_unit_test(only_valid_utf8_passes),
        };

        return cmocka_run_group_tests_name("diag", tests, NULL, NULL);
}
