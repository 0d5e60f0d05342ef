/* SPDX-License-Identifier: MIT */
#pragma once
/* The verb `peer`: a framed TCP server to try and test an ftcpd with. What its connections share.
 */
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
        unsigned char *heartbeat; /* the frame, owned */
        size_t heartbeat_size;
        const unsigned char *beat; /* the message in it */
        size_t beat_size;
};

/* From the command line; peer_options_done() is due in any case. The exit code, with words left. */
int peer_options_read(struct peer_options *options, struct ctl *ctl, int argc, char **argv);
void peer_options_done(struct peer_options *options);

/* What the connections tell the program. */
struct peer_result {
        bool failed; /* something was not as a script expected */
        bool exit;   /* a script ended the program */
        int code;
};
