/* SPDX-License-Identifier: MIT */
/*
 * The control server with another service behind it: org.varlink.certification, whose clients other
 * Varlink libraries bring along. Each step is called with what the one before it replied, and says
 * whether that has come back whole.
 *
 *   certified PATH    serves at this socket until it is killed
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/event.h>
#include <jansson.h>

#include "config.h"
#include "daemon/control/call.h"
#include "daemon/control/control.h"
#include "util/diag.h"

#define INTERFACE "org.varlink.certification"
#define OBJECT                                                                                     \
        "{\"method\":\"" INTERFACE ".Test09\","                                                    \
        "\"parameters\":{\"map\":{\"foo\":\"Foo\",\"bar\":\"Bar\"}}}"
#define PLAIN                                                                                      \
        "{\"bool\":false,\"int\":2,\"float\":3.141592653589793,\"string\":\"a lot of string\"}"
#define STRUCT "{\"struct\":" PLAIN "}"
#define MAP    "{\"map\":{\"bar\":\"Bar\",\"foo\":\"Foo\"}}"
#define SET    "{\"set\":{\"one\":{},\"two\":{},\"three\":{}}}"
#define MYTYPE                                                                                     \
        "{\"mytype\":{\"object\":" OBJECT ",\"enum\":\"two\","                                     \
        "\"struct\":{\"first\":1,\"second\":\"2\"},\"array\":[\"one\",\"two\",\"three\"],"         \
        "\"dictionary\":{\"foo\":\"Foo\",\"bar\":\"Bar\"},"                                        \
        "\"stringset\":{\"one\":{},\"two\":{},\"three\":{}},"                                      \
        "\"nullable\":null,\"nullable_array_struct\":null,"                                        \
        "\"interface\":{\"foo\":[null,{\"Foo\":\"foo\",\"Bar\":\"bar\"},null,"                     \
        "{\"one\":\"foo\",\"two\":\"bar\"}],\"anon\":{\"foo\":true,\"bar\":false}}}}"

enum { STEPS = 11, REPLIES = 10, ID_SIZE = 32 };

/* What each step is given, besides the client's id, and so what the step before it replies. The
 * last but one replies several times, and the last is given all of that and replies nothing. */
static const char *const texts[STEPS - 1] = {
        "{}",
        "{\"bool\":true}",
        "{\"int\":1}",
        "{\"float\":1.0}",
        "{\"string\":\"ping\"}",
        PLAIN,
        STRUCT,
        MAP,
        SET,
        MYTYPE,
};

struct certification {
        unsigned clients; /* so many have begun; the last one counts */
        int done;         /* steps of it, all of them in order */
};

static bool same(const json_t *got, const json_t *wanted);

static bool same_members(const json_t *got, const json_t *wanted)
{
        const char *name;
        json_t *member;

        /* jansson's iterator wants a pointer that is not const, and changes nothing. */
        json_object_foreach((json_t *)wanted, name, member)
        {
                if (!same(json_object_get(got, name), member))
                        return false;
        }
        json_object_foreach((json_t *)got, name, member)
        {
                if (!json_object_get(wanted, name) && strcmp(name, "client_id") != 0)
                        return false;
        }
        return json_is_object(got);
}

static bool same_items(const json_t *got, const json_t *wanted)
{
        if (json_array_size(got) != json_array_size(wanted))
                return false;
        for (size_t i = 0; i < json_array_size(wanted); i++)
                if (!same(json_array_get(got, i), json_array_get(wanted, i)))
                        return false;
        return json_is_array(got);
}

/* A whole float may come without its point, and a null member not at all. */
static bool same(const json_t *got, const json_t *wanted)
{
        if (json_is_object(wanted))
                return same_members(got, wanted);
        if (json_is_array(wanted))
                return same_items(got, wanted);
        if (json_is_real(wanted))
                return json_is_number(got) && json_number_value(got) == json_real_value(wanted);
        if (json_is_null(wanted))
                return !got || json_is_null(got);
        return json_equal(got, wanted) == 1;
}

static json_t *all_replies(void)
{
        json_t *list = json_array();

        for (int i = 1; i <= REPLIES; i++)
                json_array_append_new(list, json_sprintf("Reply number %d", i));
        return list;
}

/* What the step must be given, a new reference. */
static json_t *wanted_by(int step)
{
        if (step == STEPS)
                return json_pack("{s:o}", "last_more_replies", all_replies());
        return json_loads(texts[step - 1], 0, NULL);
}

static json_t *reply_of(int step)
{
        json_t *list, *replies = json_array();

        if (step == STEPS)
                return control_reply(NULL);
        if (step < STEPS - 1)
                return control_reply(json_loads(texts[step], 0, NULL));
        list = all_replies();
        for (size_t i = 0; i < REPLIES; i++)
                json_array_append_new(replies, json_pack("{s:{s:O}, s:b}", "parameters", "string",
                                                         json_array_get(list, i), "continues",
                                                         i + 1 < REPLIES));
        json_decref(list);
        return replies;
}

static bool is_known(const struct control_call *call)
{
        const struct certification *state = call->context;
        char id[ID_SIZE];

        snprintf(id, sizeof(id), "client-%u", state->clients);
        return state->clients > 0 &&
               strcmp(id, json_string_value(json_object_get(call->parameters, "client_id"))) == 0;
}

static json_t *run_step(const struct control_call *call, int step)
{
        struct certification *state = call->context;
        json_t *wanted = wanted_by(step), *error;

        if (!is_known(call)) {
                json_decref(wanted);
                return control_error(INTERFACE ".ClientIdError", NULL);
        }
        if (state->done == step - 1 && same(call->parameters, wanted)) {
                state->done = step;
                json_decref(wanted);
                return reply_of(step);
        }
        /* jansson takes a reference, and changes nothing. */
        error = json_pack("{s:o, s:O}", "wants", wanted, "got", (json_t *)call->parameters);
        return control_error(INTERFACE ".CertificationError", error);
}

#define STEP(n)                                                                                    \
        static json_t *run_test##n(const struct control_call *call)                                \
        {                                                                                          \
                return run_step(call, n);                                                          \
        }
STEP(1)
STEP(2)
STEP(3)
STEP(4)
STEP(5)
STEP(6)
STEP(7)
STEP(8)
STEP(9)
STEP(10)
STEP(11)

static json_t *run_start(const struct control_call *call)
{
        struct certification *state = call->context;

        state->clients++;
        state->done = 0;
        return control_reply(
                json_pack("{s:o}", "client_id", json_sprintf("client-%u", state->clients)));
}

static json_t *run_end(const struct control_call *call)
{
        const struct certification *state = call->context;

        if (!is_known(call))
                return control_error(INTERFACE ".ClientIdError", NULL);
        return control_reply(json_pack("{s:b}", "all_ok", state->done == STEPS));
}

#define WITH(...)                                                                                  \
        (const struct control_parameter[])                                                         \
        {                                                                                          \
                {"client_id", JSON_STRING, false}, __VA_ARGS__,                                    \
                {                                                                                  \
                        0                                                                          \
                }                                                                                  \
        }

static const struct control_method methods[] = {
        {.name = "Start", .run = run_start},
        {.name = "Test01", .run = run_test1, .parameters = WITH({0})},
        {.name = "Test02", .run = run_test2, .parameters = WITH({"bool", JSON_TRUE, false})},
        {.name = "Test03", .run = run_test3, .parameters = WITH({"int", JSON_INTEGER, false})},
        {.name = "Test04", .run = run_test4, .parameters = WITH({"float", JSON_REAL, false})},
        {.name = "Test05", .run = run_test5, .parameters = WITH({"string", JSON_STRING, false})},
        {.name = "Test06",
         .run = run_test6,
         .parameters = WITH({"bool", JSON_TRUE, false}, {"int", JSON_INTEGER, false},
                            {"float", JSON_REAL, false}, {"string", JSON_STRING, false})},
        {.name = "Test07", .run = run_test7, .parameters = WITH({"struct", JSON_OBJECT, false})},
        {.name = "Test08", .run = run_test8, .parameters = WITH({"map", JSON_OBJECT, false})},
        {.name = "Test09", .run = run_test9, .parameters = WITH({"set", JSON_OBJECT, false})},
        {.name = "Test10",
         .run = run_test10,
         .parameters = WITH({"mytype", JSON_OBJECT, false}),
         .needs_more = true},
        {.name = "Test11",
         .run = run_test11,
         .parameters = WITH({"last_more_replies", JSON_ARRAY, false})},
        {.name = "End", .run = run_end, .parameters = WITH({0})},
        {0},
};

static uint64_t max_clients(const struct control_call *call)
{
        (void)call;
        return 16;
}

static const struct control_service certification = {
        .vendor = "ftcpd",
        .product = "certified",
        .version = PACKAGE_VERSION,
        .url = "",
        .interfaces =
                (const struct control_interface[]){
                        {INTERFACE, "interface " INTERFACE "\nmethod Start() -> (id: string)\n",
                         methods},
                        {0},
                },
        .max_clients = max_clients,
};

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (strlen(path) >= sizeof(address.sun_path))
                return -1;
        strcpy(address.sun_path, path);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, 16) < 0)
                return -1;
        return fd;
}

int main(int argc, char *argv[])
{
        struct event_base *base = event_base_new();
        struct certification state = {0};
        struct control *control;
        int fd;

        if (argc != 2 || !base) {
                fputs("usage: certified PATH\n", stderr);
                return 2;
        }
        diag_open(LOG_DEBUG);
        control = control_new(base, &certification, NULL, &state);
        fd = listen_at(argv[1]);
        if (!control || fd < 0 || control_listen(control, fd) < 0) {
                perror(argv[1]);
                return 1;
        }
        event_base_dispatch(base);
        control_free(control);
        event_base_free(base);
        return 0;
}
