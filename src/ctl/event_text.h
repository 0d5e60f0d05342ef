/* SPDX-License-Identifier: MIT */
#pragma once
/* An event of the daemon as people read it, in a line of its own and on the screen. */
#include "ctl/show.h"

#include <stddef.h>

#include <jansson.h>

/* When it was, in local time, as strftime() says. Returns text. */
const char *event_time(const json_t *event, const char *format, char text[SHOW_SIZE]);

/* What it was: the state and the cause of an event of the link, and the text of each. */
void event_words(const json_t *event, char *text, size_t size);

/* Of several, the oldest first, the last few that say something: a line of at most `width` columns
 * each, behind an empty one. The first stands behind a label of `label` columns, the others below
 * it. */
void event_screen(FILE *to, const json_t *events, int label, int width);
