/* SPDX-License-Identifier: MIT */
#pragma once
/* The verb `peer`: a framed TCP server for trying and testing an ftcpd. The options and the result,
 * which all connections of the server share. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl/peer/script.h"
#include "wire/frame.h"

struct ctl;

struct peer_options {
        struct frame_spec spec;
        const char *listen;
        const char *script_path; /* NULL: none */
        struct script script;    /* without parts where there is none */
        bool echo, quiet;
        bool generate;
        uint64_t rate;            /* messages per second; 0: as fast as the other side takes them */
        uint64_t size;            /* of a generated message */
        uint64_t heartbeat_usec;  /* 0: none */
        unsigned char *heartbeat; /* the frame, owned; NULL: none */
        size_t heartbeat_size;
        const unsigned char *beat; /* the message inside heartbeat */
        size_t beat_size;
};

/* Reads the command line and the script. Returns CTL_DONE, or the exit code with words left. The
 * caller calls peer_options_done() in both cases. */
int peer_options_read(struct peer_options *options, struct ctl *ctl, int argc, char **argv);

/* Frees the script and the heartbeat. */
void peer_options_done(struct peer_options *options);

/* Set by the connections, read by the loop. */
struct peer_result {
        bool failed; /* something was not as a script expected */
        bool exit;   /* a script ended the program */
        int code;
};
