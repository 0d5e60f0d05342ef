/* SPDX-License-Identifier: MIT */
#include "daemon/control/call.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util/diag.h"
#include "util/socket.h"

const struct control_interface *control_interface_find(const struct control_service *service,
                                                       const char *name)
{
        const struct control_interface *interface = service->interfaces;

        if (strcmp(name, control_service_interface.name) == 0)
                return &control_service_interface;
        while (interface->name && strcmp(interface->name, name) != 0)
                interface++;
        return interface->name ? interface : NULL;
}

json_t *control_reply(json_t *parameters)
{
        return json_pack("{s:o}", "parameters", parameters ? parameters : json_object());
}

json_t *control_error(const char *name, json_t *parameters)
{
        const char *service = strchr(name, '.') ? "" : "org.varlink.service.";

        return json_pack("{s:s+, s:o}", "error", service, name, "parameters",
                         parameters ? parameters : json_object());
}

static json_t *named_error(const char *name, const char *key, const char *value)
{
        return control_error(name, json_pack("{s:s}", key, value));
}

/* Returns the interface of a method's full name, or NULL and *error (NULL without memory); *method
 * points behind the last dot of the name. */
static const struct control_interface *split(const struct control_service *service,
                                             const char *full, const char **method, json_t **error)
{
        const char *dot = strrchr(full, '.');
        json_t *name = json_stringn(full, dot ? (size_t)(dot - full) : strlen(full));
        const struct control_interface *interface = NULL;

        *method = dot ? dot + 1 : "";
        *error = NULL;
        if (!name)
                return NULL;
        if (dot)
                interface = control_interface_find(service, json_string_value(name));
        if (!interface)
                *error = control_error("InterfaceNotFound", json_pack("{s:O}", "interface", name));
        json_decref(name);
        return interface;
}

/* Returns the method of a full name, or NULL and an error reply in *error (NULL without memory). */
static const struct control_method *find(const struct control_service *service, const char *full,
                                         json_t **error)
{
        const char *name;
        const struct control_interface *interface = split(service, full, &name, error);

        if (!interface)
                return NULL;
        for (const struct control_method *method = interface->methods; method->name; method++)
                if (strcmp(method->name, name) == 0)
                        return method;
        *error = named_error("MethodNotFound", "method", full);
        return NULL;
}

static const struct control_parameter *parameter_find(const struct control_method *method,
                                                      const char *name)
{
        for (const struct control_parameter *p = method->parameters; p && p->name; p++)
                if (strcmp(p->name, name) == 0)
                        return p;
        return NULL;
}

/* True if a NUL is within the string: code for C strings would read only a part of the text. */
static bool has_nul(const json_t *string)
{
        return strlen(json_string_value(string)) != json_string_length(string);
}

static bool type_fits(const struct control_parameter *parameter, const json_t *value)
{
        json_type type = json_typeof(value);

        if (type == JSON_NULL)
                return parameter->optional;
        if (type == JSON_STRING && has_nul(value))
                return false;
        if (parameter->type == JSON_TRUE)
                return type == JSON_TRUE || type == JSON_FALSE;
        if (parameter->type == JSON_REAL)
                return type == JSON_REAL || type == JSON_INTEGER;
        return type == parameter->type;
}

/* Returns the name of a parameter that is unknown, missing or of a wrong type, or NULL. */
static const char *wrong_parameter(const struct control_method *method, const json_t *parameters)
{
        const char *name;
        json_t *value;

        /* jansson's iterator takes a pointer without const, but changes nothing. */
        json_object_foreach((json_t *)parameters, name, value)
        {
                const struct control_parameter *parameter = parameter_find(method, name);

                if (!parameter || !type_fits(parameter, value))
                        return name;
        }
        for (const struct control_parameter *p = method->parameters; p && p->name; p++)
                if (!p->optional && !json_object_get(parameters, p->name))
                        return p->name;
        return NULL;
}

bool control_permitted(const struct control_call *call)
{
        struct socket_peer peer;
        bool permitted;

        socket_peer_get_ids(call->fd, &peer);
        permitted = peer.uid == 0 || peer.uid == geteuid() || call->service->is_admin(call, &peer);
        socket_peer_done(&peer);
        return permitted;
}

bool control_permitted_as(const struct control_call *call, uid_t uid)
{
        if (uid == 0 || uid == geteuid())
                return true;
        return call->service->has_admins(call) && control_permitted(call);
}

static json_t *run(const struct control_call *call, const json_t *request, const char *name,
                   struct control_monitor *monitor, struct control_flush *flush)
{
        json_t *error;
        const struct control_method *method = find(call->service, name, &error);
        const char *wrong;

        if (!method)
                return error;
        if (method->changes && !control_permitted(call)) {
                diag_debug("control: %s was denied", name);
                return control_error("PermissionDenied", NULL);
        }
        /* No method of ftcpd switches the connection to another protocol. */
        if (json_is_true(json_object_get(request, "upgrade")))
                return named_error("MethodNotImplemented", "method", name);
        if (method->needs_more && !json_is_true(json_object_get(request, "more")))
                return control_error("ExpectedMore", NULL);
        wrong = wrong_parameter(method, call->parameters);
        if (wrong)
                return named_error("InvalidParameter", "parameter", wrong);
        if (method->lists)
                call->listing->on = true;
        if (method->lists)
                return NULL;
        if (method->monitor)
                return method->monitor(call, monitor);
        return method->flush ? method->flush(call, flush) : method->run(call);
}

int control_call(struct control_call *call, const json_t *request, json_t **reply,
                 struct control_monitor *monitor, struct control_flush *flush)
{
        const json_t *parameters = json_object_get(request, "parameters");
        const json_t *method = json_object_get(request, "method");
        const char *name = json_string_value(method);

        if (!name || has_nul(method) ||
            (parameters && !json_is_null(parameters) && !json_is_object(parameters)))
                return -EBADMSG;
        call->parameters = json_is_object(parameters) ? parameters : NULL;
        *monitor = (struct control_monitor){0};
        *flush = (struct control_flush){0};
        *call->listing = (struct control_listing){0};
        *reply = run(call, request, name, monitor, flush);
        if (!*reply && !monitor->on && !flush->on && !call->listing->on)
                return -ENOMEM;
        if (json_is_true(json_object_get(request, "oneway"))) {
                json_decref(*reply);
                *reply = NULL;
                monitor->on = flush->on = call->listing->on = false;
        }
        return 0;
}
