/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A file of messages for Wireshark, in the format pcapng: one packet for each message, without any
 * header. Each client is an interface; a message of the upstream for all clients is on the
 * interface "upstream". Each packet has its direction and the number of missed messages before it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Wireshark reads no file with a larger packet: a larger message is cut. */
enum { CAPTURE_MAX = 256 * 1024 };

struct capture {
        FILE *to;
        uint64_t *clients; /* the client of each interface; 0: the upstream. Owned. */
        size_t n, room;
};

struct capture_message {
        bool out;                      /* to the upstream */
        uint64_t client_id, time_usec; /* client_id 0: the interface "upstream" */
        uint64_t missed;               /* messages before this message that are not in the file */
        const void *data;
        size_t size;
};

/* Begins a capture in the empty file `to`, which capture_close() closes, unless the file is stdout.
 * Returns 0 or a negative errno; capture_close() follows in either case. */
int capture_begin(struct capture *capture, FILE *to);

/* Writes a message through to the file. Returns 0 or a negative errno. */
int capture_write(struct capture *capture, const struct capture_message *message);

/* Closes the file, unless the file is stdout, and frees the memory. Returns 0 or a negative errno.
 */
int capture_close(struct capture *capture);
