/* SPDX-License-Identifier: MIT */
/* The verb `status`, the default: one screen for a person. */
#include <stdio.h>

#include "ctl/show/screen.h"
#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "ctl/verbs/verbs.h"

enum { RATE_USEC = 200 * 1000 };

/* Returns a member of a method's reply, a new reference, for an optional part of the screen; NULL,
 * and no words, after a failure. */
static json_t *also(struct ctl *ctl, const char *method, const char *member)
{
        json_t *result = NULL, *value = NULL;

        if (bus_call(ctl, method, NULL, &result) == CTL_DONE)
                value = json_incref(json_object_get(result, member));
        *ctl->why = '\0';
        json_decref(result);
        return value;
}

/* Returns a second Status reply, RATE_USEC after the first, for the rates; NULL, and no words,
 * after a failure: the screen then shows the first reply. */
static json_t *look_again(struct ctl *ctl)
{
        json_t *again = NULL;

        local_sleep(RATE_USEC);
        if (bus_call(ctl, "io.ftcpd.Status", NULL, &again) != CTL_DONE) {
                json_decref(again);
                again = NULL;
        }
        *ctl->why = '\0';
        return again;
}

static void show_screen(struct ctl *ctl, const json_t *status)
{
        json_t *again = look_again(ctl);
        struct screen screen = {
                .status = again ? again : status,
                .before = again ? status : NULL,
                .colour = show_colour(),
        };
        const json_t *books = json_object_get(screen.status, "toClients");
        json_t *events = also(ctl, "io.ftcpd.RecentEvents", "events"), *clients = NULL;

        if (member_int(json_object_get(books, "queued"), "messages", 0))
                clients = also(ctl, "io.ftcpd.ListClients", "clients");
        screen.events = events;
        screen.clients = clients;
        screen_status(stdout, &screen);
        json_decref(clients);
        json_decref(events);
        json_decref(again);
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
