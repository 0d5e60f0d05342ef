/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Snapshots of the daemon as the JSON of the interface io.ftcpd: the same members by the same
 * names, absent ones left out. Text that is not UTF-8 is escaped; a number above 2^63 - 1
 * (infinity) is that. All return a new reference, or NULL without memory.
 */
#include <jansson.h>

#include "config/config.h"
#include "daemon/report/health.h"
#include "daemon/report/status.h"
#include "store/image.h"

/* Text of any origin as a JSON string. */
json_t *status_json_text(const char *value);

/* The reply of Status. */
json_t *status_json(const struct status *status, const struct health *health);

/* The reply of Health. */
json_t *status_json_health(const struct health *health);

/* One Event; and the one of kind gap that stands for `missed` events from `first` on. */
json_t *status_json_event(const struct image_event *event);
json_t *status_json_gap(uint64_t first, uint64_t missed, uint64_t time_usec);

/* One Count. */
json_t *status_json_count(struct count count);

/* One Client. */
json_t *status_json_client(const struct status_client *client);

/* The histograms of GetLatency: an array, by enum latency_kind. */
json_t *status_json_latency(const struct image_histogram *latency);

/* One Setting. value and file stand in place of the setting's own; file may be NULL. */
json_t *status_json_setting(const struct config_setting *setting, const char *value,
                            const char *file);
