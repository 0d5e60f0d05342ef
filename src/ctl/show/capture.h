/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A file of messages for Wireshark: pcapng, a packet a message and nothing else in it. Each client
 * is an interface, so is the upstream, where a message from it was for all. Also direction and what
 * was missed are told.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Wireshark reads no file with a larger packet: of a larger message, the beginning is kept. */
enum { CAPTURE_MAX = 256 * 1024 };

struct capture {
        FILE *to;
        uint64_t *clients; /* of each interface; 0: the upstream. Owned. */
        size_t n, room;
};

struct capture_message {
        bool out; /* to the upstream */
        uint64_t client_id, time_usec;
        uint64_t missed; /* messages before it that are not in the file */
        const void *data;
        size_t size;
};

/* The file is written anew; "-" is stdout. Returns 0 or a negative errno, and takes nothing then.
 */
int capture_open(struct capture *capture, const char *path);

/* The message stands in the file when this returns 0, and not a negative errno. */
int capture_write(struct capture *capture, const struct capture_message *message);

/* Returns 0 or a negative errno. */
int capture_close(struct capture *capture);
