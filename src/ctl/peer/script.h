/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The line language of `ftcpctl peer --script`: parsed whole before anything listens. Each `accept`
 * begins the part that the next connection plays.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wire/frame.h"

enum script_op {
        SCRIPT_EXPECT, /* data is the message; any: whatever comes */
        SCRIPT_EXPECT_ANY,
        SCRIPT_SEND,        /* data is what goes on the wire */
        SCRIPT_SEND_BROKEN, /* the same, but it may be no whole frames */
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
        struct script_part *parts; /* at least one */
        size_t n_parts;
};

/* Reads all of `from`. Returns NULL, or what is wrong in words of `size` bytes as "line N: what";
 * the script is freed with script_done() in both cases. */
const char *script_parse(struct script *script, FILE *from, const struct frame_spec *spec,
                         char *words, size_t size);
void script_done(struct script *script);
