/* SPDX-License-Identifier: MIT */
#include "ctl/talk/witness.h"

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"

int witness_events(struct ctl *ctl, json_t **events)
{
        json_t *result = NULL;
        int code = bus_call(ctl, "io.ftcpd.RecentEvents", NULL, &result);

        *events = json_incref(json_object_get(result, "events"));
        json_decref(result);
        return code;
}

int witness_find(struct ctl *ctl, struct witness *witness)
{
        json_t *events = NULL;
        int code = witness_events(ctl, &events);
        const json_t *last = json_array_get(events, json_array_size(events) - 1);

        *witness = (struct witness){member_int(last, "seq", 0), member_int(last, "timeUsec", 0)};
        json_decref(events);
        return code;
}
