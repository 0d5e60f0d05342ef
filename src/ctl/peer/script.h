/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The line language of `ftcpctl peer --script`. A script is parsed whole before the peer listens.
 * Each `accept` begins a *part*: the steps that one connection plays.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wire/frame.h"

enum script_op {
        SCRIPT_EXPECT, /* data is the message; SCRIPT_EXPECT_ANY: any message */
        SCRIPT_EXPECT_ANY,
        SCRIPT_SEND,        /* data is the frame */
        SCRIPT_SEND_BROKEN, /* data are bytes that may be no whole frame */
        SCRIPT_WAIT,        /* number is microseconds, here and in the next two */
        SCRIPT_STALL,
        SCRIPT_HEARTBEAT, /* 0: none */
        SCRIPT_ECHO,
        SCRIPT_CLOSE,
        SCRIPT_RESET,
        SCRIPT_LOOP,
        SCRIPT_EXIT, /* number is the exit code */
};

struct script_step {
        enum script_op op;
        unsigned line;
        uint64_t repeat; /* 1 or more */
        uint64_t number;
        unsigned char *data;
        size_t size;
        uint64_t *pieces; /* sizes of the first writes of a send */
        size_t n_pieces;
};

struct script_part {
        size_t first, n; /* of the steps */
};

struct script {
        struct script_step *steps;
        size_t n_steps;
        struct script_part *parts; /* at least one after a parse without error */
        size_t n_parts;
};

/* Parses `from` to its end. Returns NULL, or the error as "line N: ERROR" in words, which has room
 * for `size` bytes. The caller frees script with script_done() in both cases. */
const char *script_parse(struct script *script, FILE *from, const struct frame_spec *spec,
                         char *words, size_t size);

/* Frees the steps and parts. */
void script_done(struct script *script);
