/* SPDX-License-Identifier: MIT */
/* The operator's methods, which act on the link, on clients and on the diag level; and Flush, which
 * every user may call. */
#include <errno.h>
#include <stdio.h>

#include "daemon/control/call.h"
#include "daemon/report/status_json.h"
#include "util/clock.h"
#include "util/socket.h"
#include "util/user.h"

static json_t *wrong(const char *parameter)
{
        return control_error("InvalidParameter", json_pack("{s:s}", "parameter", parameter));
}

/* Sets name to the name of the caller, by the credentials of the socket. */
static void asker(const struct control_call *call, char name[USER_NAME_MAX])
{
        struct socket_peer peer;

        socket_peer_get(call->fd, &peer);
        user_name(peer.uid, name);
        socket_peer_done(&peer);
}

/* Sets *usec to the span in a parameter, or to UINT64_MAX without the parameter. Returns false if
 * the span is less than `least`. */
static bool span_of(const struct control_call *call, const char *name, json_int_t least,
                    uint64_t *usec)
{
        const json_t *value = json_object_get(call->parameters, name);

        *usec = UINT64_MAX;
        if (!json_is_integer(value))
                return true;
        *usec = (uint64_t)json_integer_value(value);
        return json_integer_value(value) >= least;
}

json_t *control_hold(const struct control_call *call)
{
        const char *reason = json_string_value(json_object_get(call->parameters, "reason"));
        char by[USER_NAME_MAX];
        uint64_t span;

        if (!span_of(call, "forUsec", 1, &span))
                return wrong("forUsec");
        asker(call, by);
        call->ops->hold(call->context, by, reason, span);
        return control_reply(NULL);
}

json_t *control_release(const struct control_call *call)
{
        char by[USER_NAME_MAX];

        asker(call, by);
        call->ops->release(call->context, by);
        return control_reply(NULL);
}

json_t *control_reconnect(const struct control_call *call)
{
        char by[USER_NAME_MAX];

        asker(call, by);
        call->ops->reconnect(call->context, by);
        return control_reply(NULL);
}

json_t *control_drop_client(const struct control_call *call)
{
        json_int_t id = json_integer_value(json_object_get(call->parameters, "id"));
        char by[USER_NAME_MAX];

        asker(call, by);
        if (id <= 0 || call->ops->drop_client(call->context, (uint64_t)id, by) < 0)
                return control_no_such_client(id);
        return control_reply(NULL);
}

json_t *control_set_log_level(const struct control_call *call)
{
        const char *level = json_string_value(json_object_get(call->parameters, "level"));
        char by[USER_NAME_MAX];

        asker(call, by);
        if (call->ops->set_log_level(call->context, level, by) < 0)
                return wrong("level");
        return control_reply(NULL);
}

/* ---- Flush ---- */

static json_t *timed_out(const struct control_call *call)
{
        struct status status = {0};

        call->ops->status(call->context, &status);
        return control_error(
                "io.ftcpd.FlushTimedOut",
                json_pack("{s:o}", "queued", status_json_count(status.to_upstream.queued)));
}

int control_flush_look(const struct control_call *call, const struct control_flush *flush,
                       json_t **reply)
{
        *reply = NULL;
        if (call->ops->flushed(call->context, flush->position))
                *reply = control_reply(NULL);
        else if (clock_usec() >= flush->deadline)
                *reply = timed_out(call);
        else
                return 0;
        return *reply ? 0 : -ENOMEM;
}

json_t *control_flush(const struct control_call *call, struct control_flush *flush)
{
        uint64_t span;
        json_t *reply;

        if (!span_of(call, "timeoutUsec", 0, &span))
                return wrong("timeoutUsec");
        *flush = (struct control_flush){.position = call->ops->accepted(call->context),
                                        .deadline = clock_deadline(span)};
        flush->on = control_flush_look(call, flush, &reply) == 0 && !reply;
        return reply;
}
