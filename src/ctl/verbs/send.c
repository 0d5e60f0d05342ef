/* SPDX-License-Identifier: MIT */
/* The verb `send`: messages from the command line or stdin to the upstream, through the data socket
 * as from any client. */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/talk/ctl.h"
#include "ctl/talk/data.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/flush.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"

enum {
        BUFFER = 256 * 1024,
        TAKEN_POLL_MIN_USEC = 50,
        TAKEN_POLL_MAX_USEC = 5000,
        OPTION_LINES = CTL_OPTION,
        OPTION_FLUSH,
        OPTION_TIMEOUT,
};

const struct verb_option verb_send_options[] = {
        {OPTION_LINES, "lines", NULL, "one message a line instead of one of all", NULL},
        {OPTION_FLUSH, "flush", NULL,
         "return when the upstream's kernel has it, as `ftcpctl flush`", NULL},
        {OPTION_TIMEOUT, "timeout", "T", "of --flush: give up after this time [never]", NULL},
        {0},
};

const char verb_send_more[] =
        "The message is TEXT, or all of stdin where there is none or it is `-`. It is\n"
        "any bytes: the frame is added. (Where the frame has a LengthOffset=, it is the\n"
        "whole frame.) A line ends at its newline: of one that ends in CR LF, the CR is\n"
        "part of the message. Returns when ftcpd has taken it; while its queue is full,\n"
        "that lasts.\n";

struct sender {
        struct ctl *ctl;
        struct data data;
        char *out; /* BUFFER bytes */
        size_t out_size;
        bool lines;
        uint64_t line;     /* number of the last line sent */
        uint64_t patience; /* --timeout= */
};

static int sender_lost(struct sender *sender, int error)
{
        char why[512];

        data_why_closed(sender->ctl, &sender->data, why, sizeof(why));
        return ctl_fail(sender->ctl, CTL_FAILED,
                        "ftcpd closed the connection before it had taken everything (%s)%s",
                        strerror(error), *why ? why : ": its log says why");
}

/* Fails because one wait took longer than --timeout=, which limits each wait by itself. */
static int sender_late(struct sender *sender)
{
        return ctl_fail(sender->ctl, CTL_FAILED,
                        "ftcpd has not taken everything within the time (its queue is full, or it "
                        "hangs): what it has taken stays in its queue");
}

static int sender_flush(struct sender *sender)
{
        size_t at = 0;

        while (at < sender->out_size) {
                ssize_t n = send(sender->data.fd, sender->out + at, sender->out_size - at,
                                 MSG_NOSIGNAL);

                if (n >= 0)
                        at += (size_t)n;
                else if (errno == EAGAIN) {
                        if (local_wait(sender->data.fd, POLLOUT,
                                       clock_deadline(sender->patience)) == -ETIMEDOUT)
                                return sender_late(sender);
                } else if (!local_may_retry(errno))
                        return sender_lost(sender, errno);
        }
        sender->out_size = 0;
        return CTL_DONE;
}

static int sender_append(struct sender *sender, const void *bytes, size_t size)
{
        const char *p = bytes;
        int code = CTL_DONE;

        while (size && code == CTL_DONE) {
                size_t room = BUFFER - sender->out_size, n = size < room ? size : room;

                memcpy(sender->out + sender->out_size, p, n);
                sender->out_size += n;
                p += n;
                size -= n;
                if (sender->out_size == BUFFER)
                        code = sender_flush(sender);
        }
        return code;
}

static int sender_message(struct sender *sender, const void *message, size_t size)
{
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];
        size_t head_size = 0, tail_size = 0;
        const char *error =
                frame_wrap(&sender->data.spec, message, size, head, &head_size, tail, &tail_size);
        int code;

        sender->line++;
        if (error && sender->lines)
                return ctl_fail(sender->ctl, CTL_FAILED,
                                "line %llu can't be sent: %s; the lines before it were",
                                (unsigned long long)sender->line, error);
        if (error)
                return ctl_fail(sender->ctl, CTL_FAILED, "this message can't be sent: %s", error);
        code = sender_append(sender, head, head_size);
        if (code == CTL_DONE)
                code = sender_append(sender, message, size);
        if (code == CTL_DONE)
                code = sender_append(sender, tail, tail_size);
        return code;
}

/* Sends every whole line of *text; *text and *size are then the remainder behind the newline. */
static int sender_lines(struct sender *sender, const char **text, size_t *size)
{
        const char *end;

        while ((end = memchr(*text, '\n', *size))) {
                int code = sender_message(sender, *text, (size_t)(end - *text));

                if (code != CTL_DONE)
                        return code;
                *size -= (size_t)(end + 1 - *text);
                *text = end + 1;
        }
        return CTL_DONE;
}

static int too_large(struct sender *sender)
{
        return ctl_fail(sender->ctl, CTL_FAILED,
                        "stdin has more than MaxMessageSize (%llu bytes) %s: it can't be sent",
                        (unsigned long long)sender->data.spec.max_message_size,
                        sender->lines ? "in one line" : "(--lines sends one message a line)");
}

/* Sends the whole lines of text, and moves the remainder to the beginning for the next read. */
static int sender_read(struct sender *sender, char *text, size_t *size)
{
        const char *rest = text;
        int code = sender_lines(sender, &rest, size), flushed;

        memmove(text, rest, *size);
        /* The lines of a slow writer do not wait for its next line. After an error, the lines
         * before the bad line still go. */
        flushed = sender_flush(sender);
        return code != CTL_DONE ? code : flushed;
}

static int sender_stdin(struct sender *sender)
{
        size_t room = BUFFER, size = 0;
        char *text = malloc(room);
        int code = text ? CTL_DONE : ctl_fail(sender->ctl, CTL_FAILED, "no memory");

        while (code == CTL_DONE) {
                ssize_t n = read(STDIN_FILENO, text + size, room - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        code = ctl_fail(sender->ctl, CTL_FAILED, "stdin: %s", strerror(errno));
                if (n <= 0)
                        break;
                size += (size_t)n;
                if (sender->lines)
                        code = sender_read(sender, text, &size);
                if (code == CTL_DONE &&
                    size > sender->data.spec.max_message_size + FRAME_HEADER_MAX)
                        code = too_large(sender);
                if (code == CTL_DONE && size > room / 2) {
                        char *more = realloc(text, room *= 2);

                        if (!more)
                                code = ctl_fail(sender->ctl, CTL_FAILED, "no memory");
                        else
                                text = more;
                }
        }
        if (code == CTL_DONE && (size || !sender->lines))
                code = sender_message(sender, text, size);
        free(text);
        return code;
}

/*
 * Waits until ftcpd has read every byte. A Unix socket has no event for "all is read", only the
 * count of unread bytes, which is polled. The socket's error tells if ftcpd closed instead of
 * reading.
 */
static int sender_taken(struct sender *sender)
{
        uint64_t pause = TAKEN_POLL_MIN_USEC, deadline = clock_deadline(sender->patience);
        int unread = 0, error = 0;
        socklen_t size = sizeof(error);

        shutdown(sender->data.fd, SHUT_WR);
        while (ioctl(sender->data.fd, SIOCOUTQ, &unread) == 0 && unread > 0) {
                if (clock_usec() >= deadline)
                        return sender_late(sender);
                local_sleep(pause);
                pause = pause * 2 < TAKEN_POLL_MAX_USEC ? pause * 2 : TAKEN_POLL_MAX_USEC;
        }
        if (getsockopt(sender->data.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error)
                return sender_lost(sender, error);
        return CTL_DONE;
}

static int sender_run(struct sender *sender, const char *text)
{
        int code;

        if (!text)
                code = sender_stdin(sender);
        else if (!sender->lines)
                code = sender_message(sender, text, strlen(text));
        else {
                size_t size = strlen(text);

                code = sender_lines(sender, &text, &size);
                if (code == CTL_DONE && size)
                        code = sender_message(sender, text, size);
        }
        if (code == CTL_DONE)
                code = sender_flush(sender);
        if (code == CTL_DONE)
                code = sender_taken(sender);
        return code;
}

int verb_send(struct ctl *ctl, int argc, char **argv)
{
        struct sender sender = {.ctl = ctl};
        uint64_t timeout = UINT64_MAX, dropped = 0;
        const char *text;
        bool flush = false;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?' ||
                    (option == OPTION_TIMEOUT && !ctl_span(ctl, "--timeout", optarg, &timeout)))
                        return ctl_usage(ctl, NULL);
                sender.lines = sender.lines || option == OPTION_LINES;
                flush = flush || option == OPTION_FLUSH;
        }
        if (timeout != UINT64_MAX && !flush)
                return ctl_usage(ctl, "--timeout goes with --flush");
        if (argc - optind > 1)
                return ctl_usage(ctl, "send takes one TEXT: quote it where it has blanks");
        text = optind < argc && strcmp(argv[optind], "-") != 0 ? argv[optind] : NULL;
        sender.patience = timeout;
        sender.out = malloc(BUFFER);
        if (!sender.out)
                return ctl_fail(ctl, CTL_FAILED, "no memory");
        code = flush ? flush_dropped(ctl, &dropped) : CTL_DONE;
        if (code == CTL_DONE)
                code = data_open(ctl, &sender.data, DATA_SEND);
        if (code == CTL_DONE) {
                code = sender_run(&sender, text);
                data_close(&sender.data);
        }
        if (code == CTL_DONE && flush)
                code = flush_wait(ctl, timeout);
        if (code == CTL_DONE && flush)
                flush_tell_dropped(ctl, dropped);
        free(sender.out);
        return code;
}
