/* SPDX-License-Identifier: MIT */
#pragma once
/* The events of the daemon as text for people, in a line of output and on a screen. Arrays of
 * events have the oldest event first. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ctl/show/show.h"

/* Formats the local time of event with strftime(). Returns text. */
const char *event_time(const json_t *event, const char *format, char text[SHOW_SIZE]);

/* Writes the words of event: state and cause, for an event of the link, and the daemon's text. */
void event_words(const json_t *event, char *text, size_t size);

/* True if the link of a Status reply, or an event of the link, is in a state on the way up. False
 * for up, held and stopping. */
bool event_is_down(const json_t *upstream);

/*
 * For a link that is down, writes "for 3min 4s, since 14:03:12", from the events and from the time
 * now (CLOCK_REALTIME, microseconds): the link's state alone tells only the age of the last step.
 * The text is "for more than ..." if the daemon keeps no event from before the loss. Returns false,
 * with an empty text, if the events do not tell.
 */
bool event_down_text(const json_t *events, uint64_t now, char *text, size_t size);

/* True if events continue from the event with number seq and time time_usec. A daemon that could
 * not recover the state of its predecessor counts its events from 1 again. */
bool event_goes_on(const json_t *events, int64_t seq, int64_t time_usec);

/* Writes "CAUSE: ERROR", or "ERROR" if the error begins with the cause. error may be NULL. Empty
 * without cause and error. */
void event_loss(const char *cause, const char *error, char *text, size_t size);

/* Prints an empty line and the last few events, without the steps on the way to a state. The first
 * event has a label of `label` columns, the others are indented; lines are wrapped at width. */
void event_screen(FILE *to, const json_t *events, int label, int width);
