/* SPDX-License-Identifier: MIT */
/* The verb `call`: any Varlink method by its name. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/verbs/verbs.h"
#include "util/suggest.h"

enum { MORE = CTL_OPTION, METHOD_MAX = 256 };

const struct verb_option verb_call_options[] = {
        {MORE, "more", NULL, "for methods that reply again and again (Monitor, Tap): print each",
         NULL},
        {0},
};

const char verb_call_more[] =
        "METHOD is a full name, or one of the interface io.ftcpd without it: `call\n"
        "Status`. JSON are the parameters, an object. Prints the reply's parameters; an\n"
        "error is printed on stderr. `call org.varlink.service.GetInfo` says what there\n"
        "is. With --more each reply is a line, until interrupted.\n";

/* Puts the nearest name of the methods that ftcpd describes for the interface of `method` into
 * text. Returns false if no name is near. Keeps ctl->why. */
static bool find_near(struct ctl *ctl, const char *method, char *text, size_t size)
{
        const char *dot = strrchr(method, '.');
        json_t *parameters = json_pack("{s:s%}", "interface", method, (size_t)(dot - method));
        json_t *result = NULL;
        struct suggest near = suggest_begin(dot + 1);
        char *names = NULL, *rest, *line;
        char why[sizeof(ctl->why)];

        memcpy(why, ctl->why, sizeof(why));
        if (bus_call(ctl, "org.varlink.service.GetInterfaceDescription", parameters, &result) ==
            CTL_DONE)
                names = rest = strdup(member_text(result, "description", ""));
        while (names && (line = strsep(&rest, "\n"))) {
                if (strncmp(line, "method ", 7) != 0)
                        continue;
                line[7 + strcspn(line + 7, "( ")] = '\0';
                suggest_offer(&near, line + 7);
        }
        if (suggest_best(&near))
                snprintf(text, size, "%s", suggest_best(&near));
        memcpy(ctl->why, why, sizeof(why));
        free(names);
        json_decref(result);
        json_decref(parameters);
        return suggest_best(&near) != NULL;
}

/* Replaces the words of some Varlink errors by advice for the command line. Returns code. */
static int explain(struct ctl *ctl, const char *method, int code)
{
        char meant[METHOD_MAX];

        if (strcmp(ctl->error, "org.varlink.service.ExpectedMore") == 0)
                return ctl_fail(ctl, code, "%s replies again and again: say `ftcpctl call --more`",
                                method);
        if (strcmp(ctl->error, "org.varlink.service.MethodNotFound") == 0 &&
            find_near(ctl, method, meant, sizeof(meant)))
                return ctl_fail(ctl, code, "this ftcpd has no method %s (did you mean %s?)", method,
                                meant);
        return code;
}

/* True for a method whose reply may take as long as the link or a service manager takes. */
static bool takes_long(const char *method)
{
        return strcmp(method, "io.ftcpd.Flush") == 0 || strcmp(method, "io.ftcpd.Reload") == 0;
}

static int call_once(struct ctl *ctl, const char *method, json_t *parameters)
{
        json_t *result = NULL;
        int code = takes_long(method) ? bus_call_until(ctl, method, parameters, &result, UINT64_MAX)
                                      : bus_call(ctl, method, parameters, &result);

        if (code == CTL_DONE)
                code = ctl_print_json(ctl, result);
        else if (code == CTL_FAILED)
                code = explain(ctl, method, code);
        json_decref(result);
        return code;
}

static int print_reply(struct ctl *ctl, const json_t *reply)
{
        const json_t *parameters = json_object_get(reply, "parameters");
        json_t *nothing = json_object();
        int code = ctl_print_json(ctl, parameters ? parameters : nothing);

        if (code == CTL_DONE && fflush(stdout) != 0)
                code = ctl_fail(ctl, CTL_FAILED, "stdout: %s", strerror(errno));
        json_decref(nothing);
        return code;
}

static int call_more(struct ctl *ctl, const char *method, json_t *parameters)
{
        bool continues = true;
        int code = bus_open(ctl), result = 0;

        if (ctl->json == CTL_JSON_OFF) /* each reply is one line, also on a terminal */
                ctl->json = CTL_JSON_SHORT;
        if (code == CTL_DONE)
                result = bus_send(ctl->bus, method, parameters, true, UINT64_MAX);
        while (code == CTL_DONE && result == 0 && continues) {
                json_t *reply = NULL;

                result = bus_follow(ctl->bus, &reply);
                if (result == 0)
                        code = bus_judge(ctl, method, reply);
                if (result == 0 && code == CTL_DONE)
                        code = print_reply(ctl, reply);
                continues = member_true(reply, "continues");
                json_decref(reply);
        }
        if (result < 0)
                return bus_ended(ctl, result);
        return code == CTL_FAILED ? explain(ctl, method, code) : code;
}

/* Parses text into *parameters: a new reference, or NULL for a JSON null. Returns false, with words
 * left, if text is no JSON object. */
static bool read_parameters(struct ctl *ctl, const char *text, json_t **parameters)
{
        json_error_t error;
        bool none;

        *parameters = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (json_is_object(*parameters))
                return true;
        ctl_fail(ctl, 0, "the parameters are no JSON object, such as '{\"id\": 7}': %s",
                 *parameters ? "something else" : error.text);
        none = json_is_null(*parameters);
        json_decref(*parameters);
        *parameters = NULL;
        if (none)
                *ctl->why = '\0';
        return none;
}

int verb_call(struct ctl *ctl, int argc, char **argv)
{
        json_t *parameters = NULL;
        char method[METHOD_MAX];
        bool more = false;
        int option, code;

        while ((option = ctl_option(ctl, argc, argv)) != -1) {
                if (option == '?')
                        return ctl_usage(ctl, NULL);
                more = true;
        }
        if (optind == argc || !*argv[optind])
                return ctl_usage(ctl, "call needs a METHOD, such as Status");
        if (argc - optind > 2)
                return ctl_usage(ctl, "call takes a METHOD and its parameters in one argument: "
                                      "quote them");
        snprintf(method, sizeof(method), "%s%s", strchr(argv[optind], '.') ? "" : "io.ftcpd.",
                 argv[optind]);
        if (optind + 1 < argc && !read_parameters(ctl, argv[optind + 1], &parameters))
                return ctl_usage(ctl, NULL);
        code = more ? call_more(ctl, method, parameters) : call_once(ctl, method, parameters);
        json_decref(parameters);
        return code;
}
