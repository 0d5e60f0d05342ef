/* SPDX-License-Identifier: MIT */
/* The verb `tap`: the messages that pass, a line each, or in a file for Wireshark. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/show/capture.h"
#include "ctl/show/event_text.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/talk/whole_file.h"
#include "ctl/verbs/verbs.h"
#include "util/base64.h"

enum { BUFFER = 256 * 1024, SHOWN_TEXT = 64, SHOWN_HEX = 24 };

enum form { FORM_SHORT, FORM_LINES, FORM_HEX, FORM_PCAP, FORM_JSON };

enum { OPTION_IN = CTL_OPTION, OPTION_OUT, OPTION_CLIENT, OPTION_FORM };

const struct verb_option verb_tap_options[] = {
        {OPTION_IN, "in", NULL, "only what comes from the upstream", NULL},
        {OPTION_OUT, "out", NULL, "only what goes to it", NULL},
        {OPTION_CLIENT, "client", "ID", "only what this client sends, and what it gets", "@client"},
        {'n', NULL, "N", "end after N messages", NULL},
        {OPTION_FORM + FORM_LINES, "lines", NULL, "each message as it is, and a newline", NULL},
        {OPTION_FORM + FORM_HEX, "hex", NULL, "each message as a line of hexadecimal digits", NULL},
        {OPTION_FORM + FORM_PCAP, "pcap", "FILE",
         "a file for Wireshark, a packet a message; - is stdout", "@file"},
        {0},
};

const char verb_tap_more[] =
        "Without a form: the local time, the direction, the client (- for all), the\n"
        "size, and the beginning as text, or as digits behind 0x. With -j an object\n"
        "each. Heartbeats and greetings are not shown. Who watches is no client and\n"
        "delays nobody: what it is too slow for, it misses, and is told how much on\n"
        "stderr. Until interrupted, then exits with 0; with 1 when ftcpd ends, or the\n"
        "client of --client.\n";

struct tapper {
        struct ctl *ctl;
        enum form form;
        bool in, out;
        uint64_t client_id, want, got, missed;
        uint64_t untold; /* missed messages that no message of the file tells yet */
        const char *path;
        struct capture capture;
        int signals;
        unsigned char *bytes; /* of the last message, owned */
        size_t room;
};

/* ---- one message ---- */

static void print_short(const json_t *parameters, const struct capture_message *message)
{
        char when[SHOW_SIZE], client[24] = "-";

        if (message->client_id)
                snprintf(client, sizeof(client), "%" PRIu64, message->client_id);
        printf("%s.%06d %-3s %4s %7zu  ", event_time(parameters, "%H:%M:%S", when),
               (int)(message->time_usec % 1000000), message->out ? "out" : "in", client,
               message->size);
        if (show_is_text(message->data, message->size < SHOWN_TEXT ? message->size : SHOWN_TEXT)) {
                show_safe(stdout, message->data, message->size, SHOWN_TEXT);
        } else {
                fputs("0x", stdout);
                show_hex(stdout, message->data,
                         message->size < SHOWN_HEX ? message->size : SHOWN_HEX);
                if (message->size > SHOWN_HEX)
                        printf("... (%zu bytes)", message->size);
        }
        putchar('\n');
}

static int print(struct tapper *tapper, const json_t *parameters,
                 const struct capture_message *message)
{
        switch (tapper->form) {
        case FORM_PCAP: return capture_write(&tapper->capture, message);
        case FORM_JSON:
                json_dumpf(parameters, stdout,
                           (tapper->ctl->json == CTL_JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT) |
                                   JSON_ENSURE_ASCII);
                putchar('\n');
                break;
        case FORM_HEX:
                show_hex(stdout, message->data, message->size);
                putchar('\n');
                break;
        case FORM_LINES:
                fwrite(message->data, 1, message->size, stdout);
                putchar('\n');
                break;
        case FORM_SHORT: print_short(parameters, message);
        }
        return ferror(stdout) ? -errno : 0;
}

static void tell_missed(struct tapper *tapper, uint64_t missed)
{
        tapper->missed += missed;
        if (!missed || tapper->form == FORM_JSON)
                return;
        fflush(stdout);
        fprintf(stderr, "ftcpctl: %" PRIu64 " message%s missed here\n", missed,
                missed == 1 ? "" : "s");
}

/* Decodes the message of parameters from base64 into tapper->bytes. Returns false if the text is no
 * base64, or without memory. */
static bool decode(struct tapper *tapper, const json_t *parameters, size_t *size)
{
        const json_t *text = json_object_get(parameters, "message");
        size_t need = json_string_length(text) / 4 * 3 + 1;
        ssize_t n;

        if (!json_is_string(text))
                return false;
        if (need > tapper->room) {
                unsigned char *more = realloc(tapper->bytes, need);

                if (!more)
                        return false;
                tapper->bytes = more;
                tapper->room = need;
        }
        n = base64_decode(tapper->bytes, json_string_value(text), json_string_length(text));
        *size = n < 0 ? 0 : (size_t)n;
        return n >= 0;
}

static int print_checked(struct tapper *tapper, const json_t *parameters,
                         const struct capture_message *message)
{
        bool to_file = tapper->path && strcmp(tapper->path, "-") != 0;
        int result = print(tapper, parameters, message);

        return result < 0 ? ctl_fail(tapper->ctl, CTL_FAILED, "%s: %s",
                                     to_file ? tapper->path : "stdout", strerror(-result))
                          : CTL_DONE;
}

/* Takes a notice of missed messages that comes without a message. A file can tell the number only
 * with the next message. */
static int take_notice(struct tapper *tapper, const json_t *parameters,
                       const struct capture_message *message)
{
        tapper->untold += message->missed;
        return tapper->form == FORM_JSON ? print_checked(tapper, parameters, message) : CTL_DONE;
}

static int take(struct tapper *tapper, const json_t *reply)
{
        const json_t *parameters = json_object_get(reply, "parameters");
        struct capture_message message = {
                .out = strcmp(member_text(parameters, "direction", ""), "out") == 0,
                .client_id = (uint64_t)member_int(parameters, "clientId", 0),
                .time_usec = (uint64_t)member_int(parameters, "timeUsec", 0),
                .missed = (uint64_t)member_int(parameters, "missed", 0),
        };
        int code = bus_judge(tapper->ctl, "io.ftcpd.Tap", reply);

        if (code != CTL_DONE && strcmp(tapper->ctl->error, "io.ftcpd.NoSuchClient") == 0)
                return ctl_fail(tapper->ctl, code, "there is no client %" PRIu64 "%s",
                                tapper->client_id, tapper->got ? " any more" : "");
        if (code != CTL_DONE)
                return code;
        tell_missed(tapper, message.missed);
        if (message.missed && !*member_text(parameters, "message", "-"))
                return take_notice(tapper, parameters, &message);
        if (!decode(tapper, parameters, &message.size))
                return ctl_fail(tapper->ctl, CTL_FAILED, "what comes from %s is no message",
                                ctl_socket(tapper->ctl));
        message.data = tapper->bytes;
        message.missed += tapper->untold;
        tapper->untold = 0;
        tapper->got++;
        return print_checked(tapper, parameters, &message);
}

/* ---- until the end ---- */

/* Returns a signalfd, or -1. SIGINT and SIGTERM end the tap in an orderly way, also if they were
 * ignored before: a blocked signal is queued. */
static int catch_signals(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Waits at most `timeout` ms for a signal or a reply. True if a signal came. */
static bool interrupted(const struct tapper *tapper, int timeout)
{
        struct pollfd fds[3] = {{.fd = tapper->signals, .events = POLLIN},
                                {.fd = tapper->ctl->bus->fd, .events = POLLIN},
                                {.fd = tapper->form == FORM_PCAP ? -1 : STDOUT_FILENO}};
        int n = poll(fds, 3, timeout);

        if (n > 0 && local_is_unread(fds[2].revents))
                raise(SIGPIPE); /* without a reader the next message is not waited for */
        return n > 0 && fds[0].revents;
}

static int follow(struct tapper *tapper)
{
        struct ctl *ctl = tapper->ctl;
        int code = CTL_DONE;

        while (code == CTL_DONE && tapper->got < tapper->want) {
                json_t *reply = NULL;
                int result = bus_receive(ctl->bus, &reply, 0);

                if (result == 0)
                        code = take(tapper, reply);
                else if (result != -ETIMEDOUT)
                        code = bus_ended(ctl, result);
                else if (fflush(stdout) != 0)
                        code = ctl_fail(ctl, CTL_FAILED, "stdout: %s", strerror(errno));
                json_decref(reply);
                if (interrupted(tapper, result == -ETIMEDOUT && code == CTL_DONE ? -1 : 0))
                        break;
        }
        return code;
}

static int ask(struct tapper *tapper)
{
        const char *way = tapper->in == tapper->out ? NULL : tapper->in ? "in" : "out";
        json_t *parameters = json_object();
        int code = bus_open(tapper->ctl), result;

        if (way)
                json_object_set_new(parameters, "direction", json_string(way));
        if (tapper->client_id)
                json_object_set_new(parameters, "clientId",
                                    json_integer((json_int_t)tapper->client_id));
        if (code == CTL_DONE) {
                result = bus_send(tapper->ctl->bus, "io.ftcpd.Tap", parameters, true,
                                  bus_deadline(tapper->ctl));
                if (result < 0)
                        code = bus_ended(tapper->ctl, result);
        }
        json_decref(parameters);
        return code;
}

/* Puts a new file at path, for the caller's eyes only: messages are others' secrets. Returns 0, or
 * a negative errno without a file. */
static int create_capture(struct capture *capture, const char *path)
{
        struct whole_file file;
        int result = whole_file_open(&file, path, WHOLE_FILE_SECRET), fd;
        FILE *to = NULL;

        if (result < 0)
                return result;
        fd = fcntl(file.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fd >= 0)
                to = fdopen(fd, "wb");
        result = to ? capture_begin(capture, to) : -errno;
        if (result == 0)
                result = whole_file_commit(&file);
        if (result < 0 && to)
                capture_close(capture);
        else if (!to && fd >= 0)
                close(fd);
        whole_file_done(&file);
        return result;
}

/* Opens the file before the tap begins, so that no message is lost if the file cannot be opened. */
static int open_capture(struct tapper *tapper)
{
        bool is_stdout;
        int result;

        if (tapper->form != FORM_PCAP)
                return CTL_DONE;
        is_stdout = strcmp(tapper->path, "-") == 0;
        if (is_stdout && isatty(STDOUT_FILENO))
                return ctl_usage(tapper->ctl, "--pcap - is not for a terminal");
        result = is_stdout ? capture_begin(&tapper->capture, stdout)
                           : create_capture(&tapper->capture, tapper->path);
        if (result < 0)
                return ctl_fail(tapper->ctl, CTL_FAILED, "%s: %s", tapper->path,
                                whole_file_error(result));
        return CTL_DONE;
}

static int close_capture(struct tapper *tapper, int code)
{
        int result = tapper->form == FORM_PCAP ? capture_close(&tapper->capture) : 0;

        if (result < 0 && code == CTL_DONE)
                code = ctl_fail(tapper->ctl, CTL_FAILED, "%s: %s", tapper->path, strerror(-result));
        return code;
}

static int tap(struct tapper *tapper)
{
        int code = open_capture(tapper);

        if (code != CTL_DONE)
                return code;
        tapper->signals = catch_signals();
        if (tapper->signals < 0)
                code = ctl_fail(tapper->ctl, CTL_FAILED, "signalfd: %s", strerror(errno));
        if (code == CTL_DONE)
                code = ask(tapper);
        if (code == CTL_DONE)
                code = follow(tapper);
        if (tapper->signals >= 0)
                close(tapper->signals);
        code = close_capture(tapper, code);
        if (tapper->missed) {
                fflush(stdout);
                fprintf(stderr, "ftcpctl: %" PRIu64 " message%s shown, %" PRIu64 " missed\n",
                        tapper->got, tapper->got == 1 ? " was" : "s were", tapper->missed);
        }
        free(tapper->bytes);
        return code;
}

/* ---- the command line ---- */

static bool set_form(struct tapper *tapper, enum form form)
{
        if (tapper->form != FORM_SHORT && tapper->form != form) {
                ctl_usage(tapper->ctl, "only one of --lines, --hex, --pcap and -j");
                return false;
        }
        tapper->form = form;
        if (form == FORM_PCAP)
                tapper->path = optarg;
        return true;
}

static bool set_client(struct tapper *tapper)
{
        if (!ctl_number(tapper->ctl, "--client", optarg, &tapper->client_id))
                return false;
        if (tapper->client_id > 0 && tapper->client_id <= INT64_MAX)
                return true;
        ctl_usage(tapper->ctl, "--client needs a number of `ftcpctl clients`");
        return false;
}

static bool set_option(struct tapper *tapper, int option)
{
        if (option >= OPTION_FORM)
                return set_form(tapper, (enum form)(option - OPTION_FORM));
        switch (option) {
        case OPTION_IN: return tapper->in = true;
        case OPTION_OUT: return tapper->out = true;
        case OPTION_CLIENT: return set_client(tapper);
        case 'n': return ctl_number(tapper->ctl, "-n", optarg, &tapper->want);
        default: return false;
        }
}

int verb_tap(struct ctl *ctl, int argc, char **argv)
{
        struct tapper tapper = {.ctl = ctl, .want = UINT64_MAX};
        int option;

        while ((option = ctl_option(ctl, argc, argv)) != -1)
                if (!set_option(&tapper, option))
                        return ctl_usage(ctl, NULL);
        if (optind < argc)
                return ctl_usage(ctl, "tap takes no argument");
        if (ctl->json != CTL_JSON_OFF && !set_form(&tapper, FORM_JSON))
                return ctl_usage(ctl, NULL);
        setvbuf(stdout, NULL, _IOFBF, BUFFER);
        return tap(&tapper);
}
