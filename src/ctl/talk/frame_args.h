/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A frame from words: from the [Frame] settings that a running ftcpd tells, or from the options of
 * a command line, which have the same names and values.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "wire/frame.h"

struct ctl;

/* One setting: "LengthSize", "2". A name of no concern is ignored. NULL, or a static text that says
 * what was expected; the value is as in ftcpd.conf(5). */
const char *frame_args_set(struct frame_spec *spec, const char *key, const char *value);

/* The frame of a configuration that says nothing about it. */
struct frame_spec frame_args_default(void);

/* From the settings of io.ftcpd.GetConfig. A member that is missing keeps the default. Returns the
 * exit code, with words left. */
int frame_args_from_config(struct ctl *ctl, const json_t *settings, struct frame_spec *spec);

/* The values of these options in the table of a verb that takes them. */
enum {
        FRAME_ARGS_TYPE = 0x180,
        FRAME_ARGS_LENGTH_SIZE,
        FRAME_ARGS_LENGTH_FORMAT,
        FRAME_ARGS_LENGTH_OFFSET,
        FRAME_ARGS_LENGTH_ADJUST,
        FRAME_ARGS_DELIMITER,
        FRAME_ARGS_MAX_SIZE,
};

/* Takes one of these options; false where its argument is wrong, with words left. */
bool frame_args_option(struct ctl *ctl, struct frame_spec *spec, int option, const char *value);
