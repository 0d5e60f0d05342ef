/* SPDX-License-Identifier: MIT */
#pragma once
/* The screen of `ftcpctl status`: the facts for a person at three in the morning, in at most 80
 * columns of text. */
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum { SCREEN_WIDTH = 80 };

/* The contents of the screen, borrowed. All except status may be NULL. */
struct screen {
        const json_t *status;  /* a reply to io.ftcpd.Status */
        const json_t *before;  /* an earlier reply, for the rates */
        const json_t *clients; /* the clients of ListClients */
        const json_t *events;  /* the oldest first */
        bool colour;
};

/* Prints the screen. */
void screen_status(FILE *to, const struct screen *screen);

/* The words for a state of the link, a static string; an unknown state is returned unchanged. */
const char *screen_state(const char *state);
