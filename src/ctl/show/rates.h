/* SPDX-License-Identifier: MIT */
#pragma once
/* The rates of messages and bytes between two replies to io.ftcpd.Status. The time between the
 * replies is taken from the daemon's uptime: a late reply does not falsify the rates. */
#include <stdbool.h>

#include <jansson.h>

struct rate {
        double messages, bytes; /* a second */
};

struct rates {
        bool known; /* false: a reply is missing or of another daemon, or no time has passed */
        struct rate in, out;
};

/* The rates from one reply to the next. Both may be NULL. */
struct rates rates_between(const json_t *before, const json_t *after);
