/* SPDX-License-Identifier: MIT */
#pragma once
/* What passes a second, told from two replies to io.ftcpd.Status. The time between them is the
 * daemon's own, so that a slow machine falsifies nothing. */
#include <stdbool.h>

#include <jansson.h>

struct rate {
        double messages, bytes; /* a second */
};

struct rates {
        bool known; /* false: not two replies of one daemon, or no time between them */
        struct rate in, out;
};

/* Either may be NULL. */
struct rates rates_between(const json_t *before, const json_t *after);
