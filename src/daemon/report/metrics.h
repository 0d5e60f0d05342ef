/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A snapshot of the daemon as Prometheus text, version 0.0.4: the metrics of ftcpd-metrics(7).
 * Every sample has the label `link`: the instance, or "ftcpd" without an instance. Counters and
 * histograms survive a restart, as the counters of Status do.
 */
#include "daemon/report/health.h"
#include "daemon/report/status.h"

/* Returns the text, to be freed, or NULL without memory. */
char *metrics_text(const struct status *status, const struct health *health);
