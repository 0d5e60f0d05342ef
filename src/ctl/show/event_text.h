/* SPDX-License-Identifier: MIT */
#pragma once
/* An event of the daemon as people read it, in a line of its own and on the screen. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ctl/show/show.h"

/* When it was, in local time, as strftime() says. Returns text. */
const char *event_time(const json_t *event, const char *format, char text[SHOW_SIZE]);

/* What it was: the state and the cause of an event of the link, and the text of each. */
void event_words(const json_t *event, char *text, size_t size);

/* Is the link of a Status reply one that is to be up, and is not? */
bool event_is_down(const json_t *upstream);

/*
 * Of such a link: "for 3min 4s, since 14:03:12", from the events that are kept, the oldest first,
 * and the time now (CLOCK_REALTIME). The state alone tells only for how long its last step goes on.
 * Where the beginning is not kept any more it is "for more than" what is. False, and an empty text:
 * the events don't say.
 */
bool event_down(const json_t *events, uint64_t now, char *text, size_t size);

/* Do these events, the oldest first, go on from the one of that number and time? A service that
 * could not go on with what was left of the last process counts from 1 again. */
bool event_goes_on(const json_t *events, int64_t seq, int64_t time_usec);

/* "ERROR" or "CAUSE: ERROR", which some errors begin with. Empty where there is neither. */
void event_loss(const char *cause, const char *error, char *text, size_t size);

/* Of several, the oldest first, the last few that say something, behind an empty line. The first
 * stands behind a label of `label` columns, the others below it; what is longer than `width` goes
 * on below itself. */
void event_screen(FILE *to, const json_t *events, int label, int width);
