/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The health of the daemon: a verdict of three words, with every reason for the verdict, from one
 * snapshot of the status and the [Health] limits. Pure: the same input gives the same verdict, and
 * the daemon and its monitoring can't report different verdicts.
 */
#include <stddef.h>

#include "config/config.h"
#include "daemon/report/status.h"

enum { HEALTH_REASONS_MAX = 24, HEALTH_TEXT_MAX = 256 };

struct health_reason {
        enum severity severity;
        char text[HEALTH_TEXT_MAX]; /* a clause for people */
};

struct health {
        enum severity severity; /* the worst of the reasons, SEVERITY_OK without reasons */
        size_t n_reasons;
        struct health_reason reasons[HEALTH_REASONS_MAX]; /* reasons of the link first */
};

/* Judges status by the limits of config. Fills health, which owns nothing. */
void health_judge(const struct status *status, const struct config *config, struct health *health);
