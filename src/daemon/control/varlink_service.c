/* SPDX-License-Identifier: MIT */
/* org.varlink.service: the methods that every service has. */
#include "daemon/control/call.h"
#include "daemon/control/interface_text.h"

static json_t *run_get_info(const struct control_call *call)
{
        const struct control_service *service = call->service;
        json_t *names = json_pack("[s]", control_service_interface.name);

        for (const struct control_interface *i = service->interfaces; i->name; i++)
                json_array_append_new(names, json_string(i->name));
        return control_reply(json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", service->vendor,
                                       "product", service->product, "version", service->version,
                                       "url", service->url, "interfaces", names));
}

static json_t *run_get_interface_description(const struct control_call *call)
{
        const char *name = json_string_value(json_object_get(call->parameters, "interface"));
        const struct control_interface *interface = control_interface_find(call->service, name);

        if (!interface)
                return control_error("InterfaceNotFound", json_pack("{s:s}", "interface", name));
        return control_reply(json_pack("{s:s}", "description", interface->description));
}

static const struct control_method methods[] = {
        {.name = "GetInfo", .run = run_get_info},
        {.name = "GetInterfaceDescription",
         .run = run_get_interface_description,
         .parameters = (const struct control_parameter[]){{"interface", JSON_STRING, false}, {0}}},
        {0},
};

const struct control_interface control_service_interface = {
        "org.varlink.service",
        interface_text_service,
        methods,
};
