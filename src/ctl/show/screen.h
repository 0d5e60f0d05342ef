/* SPDX-License-Identifier: MIT */
#pragma once
/* The screen of `ftcpctl status`: what a person wants to know at three in the morning, in at most
 * 80 columns of text. */
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum { SCREEN_WIDTH = 80 };

/* Replies to io.ftcpd.Status, and what goes with the later one. All but that may be NULL. */
struct screen {
        const json_t *status;
        const json_t *before;  /* an earlier one, for the rates between them */
        const json_t *clients; /* what ListClients says */
        const json_t *events;  /* the oldest first */
        bool colour;
};

void screen_status(FILE *to, const struct screen *screen);

/* A state of the link as people say it; one that is not known, as it is. */
const char *screen_state(const char *state);
