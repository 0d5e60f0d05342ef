/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Is this daemon well? A verdict of three words, with every reason for it, from one snapshot of the
 * status and the [Health] limits. Pure: same input, same verdict; what the daemon and its
 * monitoring say can't differ.
 */
#include <stddef.h>

#include "config/config.h"
#include "daemon/report/status.h"

enum { HEALTH_REASONS_MAX = 12, HEALTH_TEXT_MAX = 256 };

struct health_reason {
        enum severity severity;
        char text[HEALTH_TEXT_MAX]; /* a clause for people */
};

struct health {
        enum severity severity; /* the worst of the reasons, SEVERITY_OK without any */
        size_t n_reasons;
        struct health_reason reasons[HEALTH_REASONS_MAX]; /* the link's own first */
};

/* Judges status by the limits of config and fills health, which owns nothing. */
void health_judge(const struct status *status, const struct config *config, struct health *health);
