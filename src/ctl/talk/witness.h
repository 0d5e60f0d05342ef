/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The last event of the present daemon. Besides this daemon only a successor that recovers its
 * state has events that continue from there: see event_goes_on().
 */
#include <stdint.h>

#include <jansson.h>

#include "ctl/talk/ctl.h"

struct witness {
        int64_t seq, time_usec; /* of the event; 0: the daemon has none yet */
};

/* Asks for the recent events: a new reference, NULL on error. Returns the exit code. */
int witness_events(struct ctl *ctl, json_t **events);

/* Asks for the last event. Returns the exit code. */
int witness_find(struct ctl *ctl, struct witness *witness);
