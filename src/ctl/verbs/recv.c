/* SPDX-License-Identifier: MIT */
/* The verb `recv`: messages of the upstream on stdout, received as any client receives. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/show/show.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/data.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/verbs.h"
#include "util/clock.h"
#include "util/units.h"

enum { BUFFER = 256 * 1024 };

enum form { FORM_SAFE, FORM_LINES, FORM_HEX, FORM_RAW };

enum { STEAL = CTL_OPTION, TIMEOUT, FORM };

const struct verb_option verb_recv_options[] = {
        {'n', NULL, "N", "end after N messages", NULL},
        {TIMEOUT, "timeout", "T",
         "end after this time; exits with 1 if fewer than N messages came, or without -n, none",
         NULL},
        {FORM + FORM_LINES, "lines", NULL,
         "each message as it is, and a newline; the default where stdout is no terminal, which "
         "else gets unprintable bytes as escapes",
         NULL},
        {FORM + FORM_HEX, "hex", NULL, "each message as a line of hexadecimal digits", NULL},
        {FORM + FORM_RAW, "raw", NULL, "the bytes of the messages and nothing else", NULL},
        {STEAL, "steal", NULL,
         "also with ToClients=balance, where what is received here is taken from the other clients",
         NULL},
        {0},
};

const char verb_recv_more[] = "Heartbeats are not shown. Until interrupted, or ftcpd ends.\n";

struct receiver {
        struct ctl *ctl;
        struct data data;
        enum form form;
        bool steal;
        uint64_t want, got;
        uint64_t deadline;
        unsigned char *in;
        size_t size, room;
};

static void print_message(enum form form, const unsigned char *message, size_t size)
{
        switch (form) {
        case FORM_SAFE: show_safe(stdout, message, size, SIZE_MAX); break;
        case FORM_HEX: show_hex(stdout, message, size); break;
        default: fwrite_unlocked(message, 1, size, stdout);
        }
        if (form != FORM_RAW)
                putc_unlocked('\n', stdout);
}

/* Prints the whole messages of the buffer and keeps the remainder. Returns false if the remainder
 * is no beginning of a message. */
static bool receiver_print(struct receiver *receiver)
{
        enum frame_result result = FRAME_MORE;
        size_t at = 0;
        uint64_t total;

        while (receiver->got < receiver->want) {
                const unsigned char *frame = receiver->in + at, *message;
                size_t size;

                result = frame_next(&receiver->data.spec, frame, receiver->size - at, &total);
                if (result != FRAME_WHOLE)
                        break;
                frame_message(&receiver->data.spec, frame, total, &message, &size);
                at += total;
                if (data_is_heartbeat(&receiver->data, message, size))
                        continue;
                print_message(receiver->form, message, size);
                receiver->got++;
        }
        memmove(receiver->in, receiver->in + at, receiver->size - at);
        receiver->size -= at;
        return result == FRAME_WHOLE || result == FRAME_MORE;
}

/* Makes room for a read. The buffer grows with the bytes received, not with a length field. */
static bool receiver_room(struct receiver *receiver)
{
        unsigned char *in;

        if (receiver->room - receiver->size >= BUFFER / 2)
                return true;
        in = realloc(receiver->in, receiver->room * 2 + BUFFER);
        if (!in)
                return false;
        receiver->in = in;
        receiver->room = receiver->room * 2 + BUFFER;
        return true;
}

/* Leaves words and returns CTL_FAILED. why is ": REASON", or empty. */
static int receiver_ended(struct receiver *receiver, const char *how, const char *why)
{
        return ctl_fail(receiver->ctl, CTL_FAILED, "%s after %s%s%s", how,
                        units_messages(receiver->got).text,
                        receiver->size ? " and the beginning of another" : "", why);
}

static int receiver_closed(struct receiver *receiver)
{
        char why[512];

        data_why_closed(receiver->ctl, &receiver->data, why, sizeof(why));
        return receiver_ended(receiver, "ftcpd closed the connection", why);
}

static int receiver_timeout(struct receiver *receiver)
{
        if (receiver->want == UINT64_MAX && receiver->got > 0)
                return CTL_DONE;
        return receiver_ended(receiver, "the time is over", "");
}

/* Waits for one read and prints. Returns 1 to go on, or 0, with the exit code in *code. */
static int receiver_step(struct receiver *receiver, int *code)
{
        int result = local_wait_read(receiver->data.fd, receiver->deadline);

        *code = CTL_DONE;
        if (result == -ETIMEDOUT)
                *code = receiver_timeout(receiver);
        else if (!receiver_room(receiver))
                *code = ctl_fail(receiver->ctl, CTL_FAILED, "no memory");
        else {
                ssize_t n = recv(receiver->data.fd, receiver->in + receiver->size,
                                 receiver->room - receiver->size, 0);

                if (n < 0 && local_may_retry(errno))
                        return 1;
                if (n > 0) {
                        receiver->size += (size_t)n;
                        if (receiver_print(receiver) && fflush(stdout) == 0)
                                return receiver->got < receiver->want;
                        *code = ferror(stdout) ? ctl_fail(receiver->ctl, CTL_FAILED, "stdout: %s",
                                                          strerror(errno))
                                               : receiver_ended(receiver,
                                                                "what comes is no message of "
                                                                "this frame",
                                                                "");
                        return 0;
                }
                *code = receiver_closed(receiver);
        }
        return 0;
}

static int receiver_options(struct receiver *receiver, int argc, char **argv)
{
        struct ctl *ctl = receiver->ctl;
        uint64_t timeout = UINT64_MAX;
        int option, given = 0;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option >= FORM && given && option != given)
                        return ctl_usage(ctl, "--lines, --hex and --raw: only one of them");
                if (option >= FORM)
                        receiver->form = (enum form)((given = option) - FORM);
                else if (option == STEAL)
                        receiver->steal = true;
                else if (option == '?' ||
                         (option == 'n' && !ctl_number(ctl, "-n", optarg, &receiver->want)) ||
                         (option == TIMEOUT && !ctl_span(ctl, "--timeout", optarg, &timeout)))
                        return ctl_usage(ctl, NULL);
        }
        if (optind < argc)
                return ctl_usage(ctl, "recv takes no argument");
        receiver->deadline = clock_deadline(timeout);
        ctl_limit(ctl, timeout);
        return CTL_DONE;
}

int verb_recv(struct ctl *ctl, int argc, char **argv)
{
        struct receiver receiver = {.ctl = ctl, .want = UINT64_MAX};
        int code;

        receiver.form = isatty(STDOUT_FILENO) ? FORM_SAFE : FORM_LINES;
        code = receiver_options(&receiver, argc, argv);
        if (code != CTL_DONE)
                return code;
        code = data_open(ctl, &receiver.data, receiver.steal ? DATA_STEAL : DATA_RECEIVE);
        if (code != CTL_DONE)
                return code;
        setvbuf(stdout, NULL, _IOFBF, BUFFER);
        while (receiver.got < receiver.want && receiver_step(&receiver, &code) > 0)
                ;
        data_close(&receiver.data);
        free(receiver.in);
        return code;
}
