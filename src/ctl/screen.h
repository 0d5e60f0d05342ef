/* SPDX-License-Identifier: MIT */
#pragma once
/* The screen of `ftcpctl status`: a reply to io.ftcpd.Status as at most 80 columns of text. */
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum { SCREEN_WIDTH = 80 };

void screen_status(FILE *to, const json_t *status, bool colour);
