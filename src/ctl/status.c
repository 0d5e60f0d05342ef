/* SPDX-License-Identifier: MIT */
/* The verb without a name: what a person asks first. */
#include "ctl/verbs.h"

#include <stdio.h>

#include "ctl/bus.h"
#include "ctl/ctl.h"
#include "ctl/screen.h"
#include "ctl/show.h"

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
                screen_status(stdout, result, show_colour());
        json_decref(result);
        return code;
}
