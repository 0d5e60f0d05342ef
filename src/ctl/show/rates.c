/* SPDX-License-Identifier: MIT */
#include "ctl/show/rates.h"

#include <stdint.h>

#include "ctl/show/show.h"

static const double RATE_MAX = 1e18; /* a higher rate is an error of the replies */

static int64_t counted(const json_t *status, const char *direction, const char *unit)
{
        const json_t *upstream = json_object_get(status, "upstream");

        return member_int(json_object_get(upstream, direction), unit, 0);
}

static bool rate_between(const json_t *before, const json_t *after, const char *direction,
                         double seconds, struct rate *rate)
{
        int64_t messages =
                counted(after, direction, "messages") - counted(before, direction, "messages");
        int64_t bytes = counted(after, direction, "bytes") - counted(before, direction, "bytes");

        *rate = (struct rate){(double)messages / seconds, (double)bytes / seconds};
        return messages >= 0 && bytes >= 0 && rate->messages < RATE_MAX && rate->bytes < RATE_MAX;
}

struct rates rates_between(const json_t *before, const json_t *after)
{
        struct rates rates = {0};
        int64_t usec = member_int(after, "uptimeUsec", 0) - member_int(before, "uptimeUsec", 0);
        double seconds;

        if (!before || !after || usec <= 0)
                return rates;
        seconds = (double)usec / 1e6;
        rates.known = rate_between(before, after, "received", seconds, &rates.in) &&
                      rate_between(before, after, "sent", seconds, &rates.out);
        return rates;
}
