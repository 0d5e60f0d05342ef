/* SPDX-License-Identifier: MIT */
/* The verb without a name: what a person asks first. */
#include "ctl/verbs.h"

#include <stdio.h>

#include "ctl/bus.h"
#include "ctl/ctl.h"
#include "ctl/screen.h"
#include "ctl/show.h"

/* What makes the screen better, and is not missed where it cannot be had. */
static json_t *also(struct ctl *ctl, const char *method, const char *member)
{
        json_t *result = NULL, *value = NULL;

        if (bus_call(ctl, method, NULL, &result) == CTL_DONE)
                value = json_incref(json_object_get(result, member));
        *ctl->why = '\0';
        json_decref(result);
        return value;
}

static void show_screen(struct ctl *ctl, const json_t *status)
{
        const json_t *queued = json_object_get(json_object_get(status, "toClients"), "queued");
        json_t *events = also(ctl, "io.ftcpd.RecentEvents", "events"), *clients = NULL;

        if (member_int(queued, "messages", 0))
                clients = also(ctl, "io.ftcpd.ListClients", "clients");
        screen_status(stdout, status, clients, events, show_colour());
        json_decref(clients);
        json_decref(events);
}

int verb_status(struct ctl *ctl, int argc, char **argv)
{
        json_t *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 0);

        if (code)
                return code;
        code = bus_call(ctl, "io.ftcpd.Status", NULL, &result);
        if (code == CTL_DONE && ctl->json != CTL_JSON_OFF)
                code = ctl_print_json(ctl, result);
        else if (code == CTL_DONE)
                show_screen(ctl, result);
        json_decref(result);
        return code;
}
