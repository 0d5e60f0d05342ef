/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A frame_spec from text: from the [Frame] settings of a running ftcpd, or from the options of a
 * command line. The settings and the options have the same values.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "wire/frame.h"

struct ctl;

/* Sets the member of one key, such as "LengthSize", from a value as in ftcpd.conf(5). An unknown
 * key is ignored. Returns NULL, or a static text with the expected value. */
const char *frame_args_set(struct frame_spec *spec, const char *key, const char *value);

/* The frame of a configuration without a [Frame] section. */
struct frame_spec frame_args_default(void);

/* Fills spec from the settings of io.ftcpd.GetConfig; a missing key keeps its default. Returns
 * CTL_DONE, or the exit code with words left. */
int frame_args_from_config(struct ctl *ctl, const json_t *settings, struct frame_spec *spec);

/* The values of the frame options in the option table of a verb. */
enum {
        FRAME_ARGS_TYPE = 0x180,
        FRAME_ARGS_LENGTH_SIZE,
        FRAME_ARGS_LENGTH_FORMAT,
        FRAME_ARGS_LENGTH_OFFSET,
        FRAME_ARGS_LENGTH_ADJUST,
        FRAME_ARGS_DELIMITER,
        FRAME_ARGS_MAX_SIZE,
};

/* Sets the member of one of the options above. False, with words left, if value is wrong. */
bool frame_args_option(struct ctl *ctl, struct frame_spec *spec, int option, const char *value);
