/* SPDX-License-Identifier: MIT */
#pragma once
/* The fixed messages of a configuration as they stand on the wire: heartbeats, answers and
 * greetings, framed once. */
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "wire/frame.h"

struct wire_messages {
        struct config_bytes heartbeat; /* data NULL: none to send; a frame is never empty */
        struct config_bytes answer;    /* likewise */
        struct config_bytes *received; /* what counts as a heartbeat */
        size_t n_received;
        struct config_bytes *greetings;
        size_t n_greetings;
        struct frame_range range; /* sizes of the bodies of `received` */
};

/* Returns 0 or -ENOMEM (nothing to free then). The configuration was checked: its messages fit its
 * frame. */
int wire_messages_init(struct wire_messages *wire_messages, const struct config *config);
void wire_messages_done(struct wire_messages *wire_messages);
