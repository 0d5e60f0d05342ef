/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Snapshots of the daemon as the JSON of the interface io.ftcpd: the same members by the same
 * names, without absent members. Text that is not UTF-8 is escaped; a number above 2^63 - 1, such
 * as infinity, becomes 2^63 - 1. All functions return a new reference, or NULL without memory.
 */
#include <jansson.h>

#include "config/config.h"
#include "daemon/report/health.h"
#include "daemon/report/status.h"
#include "store/image.h"

/* Returns text of any origin as a JSON string; this and all below: NULL without memory. */
json_t *status_json_text(const char *value);

/* Appends value to *list, and takes the reference to value. If value is NULL, or without memory,
 * *list becomes NULL: no list is told that lacks a part. */
void status_json_append(json_t **list, json_t *value);

/* Returns the reply of Status. */
json_t *status_json(const struct status *status, const struct health *health);

/* Returns the reply of Health. */
json_t *status_json_health(const struct health *health);

/* Returns one Event. */
json_t *status_json_event(const struct image_event *event);

/* Returns the Event of kind gap, which stands for `missed` events from number `first` on. time_usec
 * is CLOCK_REALTIME. */
json_t *status_json_gap(uint64_t first, uint64_t missed, uint64_t time_usec);

/* Returns one Count. */
json_t *status_json_count(struct count count);

/* Returns one Client. */
json_t *status_json_client(const struct status_client *client);

/* Returns the histograms of GetLatency, an array in the order of enum latency_kind. */
json_t *status_json_latency(const struct image_histogram *latency);

/* Returns one Setting. value and file replace value and file of the setting; file NULL: neither
 * file nor line. */
json_t *status_json_setting(const struct config_setting *setting, const char *value,
                            const char *file);
