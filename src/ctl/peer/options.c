/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/peer/encode.h"
#include "ctl/peer/peer.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/frame_args.h"
#include "ctl/verbs/verbs.h"
#include "util/units.h"

enum { LISTEN = CTL_OPTION, ECHO, QUIET, GENERATE, SIZE, SCRIPT, HEARTBEAT, HEARTBEAT_MESSAGE };

const struct verb_option verb_peer_options[] = {
        {LISTEN, "listen", "ADDR",
         "HOST:PORT, [V6]:PORT or PORT [127.0.0.1:7000]; 0 is any port: the first line printed "
         "says which",
         NULL},
        {ECHO, "echo", NULL, "send back whatever comes", NULL},
        {GENERATE, "generate", "RATE", "send RATE messages per second, or `max`", "max"},
        {SIZE, "size", "N", "bytes of each of them [64]", NULL},
        {SCRIPT, "script", "FILE", "play faults, as below; - is stdin", "@file"},
        {HEARTBEAT, "heartbeat", "T", "send a heartbeat at this interval, 0: none [1s]", NULL},
        {HEARTBEAT_MESSAGE, "heartbeat-message", "TEXT", "instead of the empty message", NULL},
        {QUIET, "quiet", NULL, "do not print the messages that come", NULL},
        {FRAME_ARGS_TYPE, "frame-type", "TYPE", "the frame, as in [Frame] of ftcpd.conf(5)",
         "length delimiter"},
        {FRAME_ARGS_LENGTH_SIZE, "length-size", "N", "LengthSize= there", "1 2 3 4"},
        {FRAME_ARGS_LENGTH_FORMAT, "length-format", "F", "LengthFormat= there",
         "big little decimal hex"},
        {FRAME_ARGS_LENGTH_OFFSET, "length-offset", "N", "LengthOffset= there", NULL},
        {FRAME_ARGS_LENGTH_ADJUST, "length-adjust", "N", "LengthAdjust= there", NULL},
        {FRAME_ARGS_DELIMITER, "delimiter", "D", "Delimiter= there", NULL},
        {FRAME_ARGS_MAX_SIZE, "max-message-size", "SIZE", "MaxMessageSize= there", NULL},
        {0},
};

const char verb_peer_more[] =
        "Script, one command a line; blank lines and lines that begin with # are ignored:\n"
        "  accept            the next connection plays what follows; those after the last\n"
        "                    part play that one; a script without it is played by each\n"
        "  expect [TEXT]     wait for a message that is no heartbeat; TEXT if given\n"
        "  send TEXT         send a message\n"
        "  send-hex HEX      send these bytes, as on the wire\n"
        "  length N [TEXT]   send a length field that says N, and TEXT behind it\n"
        "  split N...        the next of these three is written in pieces of N bytes, and\n"
        "                    what is left, 20ms apart\n"
        "  wait T            go on after this time\n"
        "  stall T           read nothing for this time\n"
        "  heartbeat T       send heartbeats at this interval from now on; 0: none\n"
        "  echo              send back whatever comes, from now on\n"
        "  close             close the connection (FIN)\n"
        "  reset             reset the connection (RST)\n"
        "  repeat N COMMAND  the command N times\n"
        "  loop              begin this connection's part anew\n"
        "  exit [N]          end the program\n"
        "TEXT takes escapes as in C, \"\" is the empty message. After its part a connection\n"
        "stays open, as without a script. No heartbeat is sent behind send-hex and length\n"
        "until the next `heartbeat`, and none between the pieces of a split. A message\n"
        "that was not expected resets the connection, and the exit code becomes 1.\n";

enum { RATE_MAX = 1000000000 };

struct given {
        const char *heartbeat_message; /* NULL: the empty message */
        bool heartbeat;
};

static bool set_rate(struct ctl *ctl, struct peer_options *options, const char *text)
{
        options->generate = true;
        if (strcmp(text, "max") == 0)
                return true;
        if (units_number_parse(text, &options->rate) >= 0 && options->rate > 0 &&
            options->rate <= RATE_MAX)
                return true;
        ctl_fail(ctl, 0, "--generate %s: expected messages per second, or max", text);
        return false;
}

static bool set_option(struct ctl *ctl, struct peer_options *options, struct given *given,
                       int option)
{
        switch (option) {
        case '?': return false;
        case LISTEN: options->listen = optarg; return true;
        case ECHO: options->echo = true; return true;
        case QUIET: options->quiet = true; return true;
        case GENERATE: return set_rate(ctl, options, optarg);
        case SIZE: return ctl_size(ctl, "--size", optarg, &options->size);
        case SCRIPT: options->script_path = optarg; return true;
        case HEARTBEAT:
                given->heartbeat = true;
                return ctl_span(ctl, "--heartbeat", optarg, &options->heartbeat_usec);
        case HEARTBEAT_MESSAGE: given->heartbeat_message = optarg; return true;
        default: return frame_args_option(ctl, &options->spec, option, optarg);
        }
}

/* Builds the frame of the heartbeat. A frame type without an empty message has no heartbeat, unless
 * an option asks for a heartbeat: then the missing message is an error. */
static int make_heartbeat(struct ctl *ctl, struct peer_options *options, const struct given *given)
{
        const char *text = given->heartbeat_message ? given->heartbeat_message : "", *error;
        unsigned char *message = malloc(strlen(text) + 1);
        ssize_t n = message ? units_unescape(text, message) : -1;

        error = n < 0 ? "an escape that is none"
                      : encode_message(&options->spec, message, (size_t)n, &options->heartbeat,
                                       &options->heartbeat_size);
        free(message);
        if (!error) {
                frame_message(&options->spec, options->heartbeat, options->heartbeat_size,
                              &options->beat, &options->beat_size);
                return CTL_DONE;
        }
        options->heartbeat = NULL;
        if (!given->heartbeat_message && (!given->heartbeat || !options->heartbeat_usec)) {
                options->heartbeat_usec = 0;
                return CTL_DONE;
        }
        ctl_fail(ctl, 0, "--heartbeat-message \"%s\": %s", text, error);
        return ctl_usage(ctl, NULL);
}

static int check_size(struct ctl *ctl, const struct peer_options *options)
{
        size_t whole = encode_numbered_size(&options->spec, options->size);
        unsigned char *frame;
        bool good = false;
        uint64_t total;

        if (!options->generate)
                return CTL_DONE;
        frame = options->size <= options->spec.max_message_size ? malloc(whole) : NULL;
        if (frame) {
                encode_numbered(&options->spec, 1234567890, options->size, frame);
                good = frame_next(&options->spec, frame, whole, &total) == FRAME_WHOLE &&
                       total == whole;
        }
        free(frame);
        if (!good)
                return ctl_usage(ctl, "--size: this frame can't hold a generated message of that "
                                      "size");
        return CTL_DONE;
}

static int read_script(struct ctl *ctl, struct peer_options *options)
{
        const char *error;
        char words[256];
        bool standard;
        FILE *from;

        if (!options->script_path)
                return CTL_DONE;
        standard = strcmp(options->script_path, "-") == 0;
        from = standard ? stdin : fopen(options->script_path, "re");
        if (!from)
                return ctl_fail(ctl, CTL_FAILED, "--script %s: %s", options->script_path,
                                strerror(errno));
        error = script_parse(&options->script, from, &options->spec, words, sizeof(words));
        if (!standard)
                fclose(from);
        if (error)
                return ctl_fail(ctl, CTL_USAGE, "--script %s: %s", options->script_path, error);
        return CTL_DONE;
}

int peer_options_read(struct peer_options *options, struct ctl *ctl, int argc, char **argv)
{
        struct given given = {0};
        int option, code;

        *options = (struct peer_options){
                .spec = frame_args_default(),
                .listen = "127.0.0.1:7000",
                .size = 64,
                .heartbeat_usec = 1000000,
        };
        while ((option = ctl_option(ctl, argc, argv)) != -1)
                if (!set_option(ctl, options, &given, option))
                        return ctl_usage(ctl, NULL);
        if (optind < argc)
                return ctl_usage(ctl, "peer takes options only");
        code = make_heartbeat(ctl, options, &given);
        if (code == CTL_DONE)
                code = check_size(ctl, options);
        if (code == CTL_DONE)
                code = read_script(ctl, options);
        return code;
}

void peer_options_done(struct peer_options *options)
{
        script_done(&options->script);
        free(options->heartbeat);
}
