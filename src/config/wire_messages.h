/* SPDX-License-Identifier: MIT */
#pragma once
/* The fixed messages of a configuration as frames, ready for the wire: heartbeats, answers and
 * greetings. */
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "wire/frame.h"

struct wire_messages {
        struct config_bytes heartbeat; /* data NULL: no heartbeat; a frame is never empty */
        struct config_bytes answer;    /* data NULL: no answer */
        struct config_bytes *received; /* the frames that count as heartbeats */
        size_t n_received;
        struct config_bytes *greetings;
        size_t n_greetings;
        struct frame_range range; /* from the smallest to the largest body of `received` */
};

/* Frames the messages of config, which are copied. Returns 0, or -ENOMEM with nothing to free.
 * config_load() has checked that the messages fit the frame. */
int wire_messages_init(struct wire_messages *wire_messages, const struct config *config);

/* Frees the frames. */
void wire_messages_done(struct wire_messages *wire_messages);
