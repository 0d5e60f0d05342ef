/* SPDX-License-Identifier: MIT */
#pragma once
/* The screen of `ftcpctl status`: what a person wants to know at three in the morning, in at most
 * 80 columns of text. */
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum { SCREEN_WIDTH = 80 };

/* A reply to io.ftcpd.Status; the clients and the events that go with it, the oldest first, or
 * NULL. */
void screen_status(FILE *to, const json_t *status, const json_t *clients, const json_t *events,
                   bool colour);
