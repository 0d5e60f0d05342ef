/* SPDX-License-Identifier: MIT */
/*
 * Holds the JSON against the interface text itself: every member that it names is there with its
 * type, nothing else is, and what may be absent is absent when it is not known.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/control/interface_text.h"
#include "daemon/report/status_json.h"
#include "flow/events.h"
#include "util/socket.h"

/* Optional members: all there, or none. */
enum fill { SPARSE, FULL };

static char *interface; /* the text without its comments */

static int strip_comments(void **state)
{
        const char *from = interface_text_ftcpd;
        char *to = interface = malloc(strlen(from) + 1);

        (void)state;
        while (*from)
                if (*from == '#')
                        from += strcspn(from, "\n");
                else
                        *to++ = *from++;
        *to = '\0';
        return 0;
}

static int free_interface(void **state)
{
        (void)state;
        free(interface);
        return 0;
}

static const char *space(const char *p)
{
        return p + strspn(p, " \n");
}

static const char *word(const char *p, char *out)
{
        size_t n = 0;

        p = space(p);
        while (isalnum((unsigned char)p[n]))
                n++;
        assert_in_range(n, 1, 40);
        memcpy(out, p, n);
        out[n] = '\0';
        return space(p + n);
}

static const char *expect(const char *p, const char *token)
{
        p = space(p);
        if (strncmp(p, token, strlen(token)) != 0)
                fail_msg("expected %s at: %.40s", token, p);
        return space(p + strlen(token));
}

static const char *definition(const char *kind, const char *name)
{
        char head[64];
        const char *p;

        snprintf(head, sizeof(head), "\n%s %s", kind, name);
        p = strstr(interface, head);
        if (!p)
                fail_msg("the interface has no %s %s", kind, name);
        return space(p + strlen(head));
}

static const char *check(const char *type, const json_t *value, enum fill fill, const char *path);

/* Behind the opening parenthesis of an enumeration: value is one of its words. */
static const char *check_enum(const char *p, const json_t *value, const char *path)
{
        bool found = value == NULL;
        char name[48];

        for (;;) {
                p = word(p, name);
                found = found || (json_is_string(value) && !strcmp(json_string_value(value), name));
                if (*p == ')')
                        break;
                p = expect(p, ",");
        }
        if (!found)
                fail_msg("%s is not one of the words", path);
        return p + 1;
}

static void check_member(const char *type, const json_t *object, const char *name, enum fill fill,
                         const char *path, size_t *seen)
{
        const json_t *value = json_object_get(object, name);
        bool optional = *type == '?', wanted = !optional || fill == FULL;
        char where[200];

        snprintf(where, sizeof(where), "%s.%s", path, name);
        if (wanted != (value != NULL))
                fail_msg("%s is %s", where, value ? "there" : "missing");
        if (value) {
                (*seen)++;
                check(type, value, fill, where);
        }
}

/* Behind the opening parenthesis of a struct; without a value only skips it. */
static const char *check_struct(const char *p, const json_t *value, enum fill fill,
                                const char *path)
{
        size_t seen = 0;
        char name[48];

        if (value && !json_is_object(value))
                fail_msg("%s is no object", path);
        while (*(p = space(p)) != ')') {
                p = expect(word(p, name), ":");
                if (value)
                        check_member(p, value, name, fill, path, &seen);
                p = space(check(p, NULL, fill, path));
                if (*p == ',')
                        p++;
        }
        if (value && json_object_size(value) != seen)
                fail_msg("%s has members that the interface does not name", path);
        return p + 1;
}

static void check_array(const char *type, const json_t *value, enum fill fill, const char *path)
{
        if (!json_is_array(value) || json_array_size(value) == 0)
                fail_msg("%s is no array, or empty, which proves nothing", path);
        for (size_t i = 0; i < json_array_size(value); i++)
                check(type, json_array_get(value, i), fill, path);
}

/* Fails unless value is of the type; without a value only finds the type's end. */
static const char *check(const char *p, const json_t *value, enum fill fill, const char *path)
{
        char name[48];

        p = space(p);
        if (*p == '?')
                p++;
        if (strncmp(p, "[]", 2) == 0) {
                if (value)
                        check_array(p + 2, value, fill, path);
                return check(p + 2, NULL, fill, path);
        }
        if (*p == '(') {
                const char *next = space(p + 1);
                next += strspn(next, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
                return *space(next) == ':' || *next == ')' ? check_struct(p + 1, value, fill, path)
                                                           : check_enum(p + 1, value, path);
        }
        p = word(p, name);
        if (!value)
                return p;
        if (strcmp(name, "int") == 0      ? !json_is_integer(value)
            : strcmp(name, "string") == 0 ? !json_is_string(value)
            : strcmp(name, "bool") == 0   ? !json_is_boolean(value)
                                          : false)
                fail_msg("%s is no %s", path, name);
        if (isupper((unsigned char)*name))
                check(definition("type", name), value, fill, path);
        return p;
}

static void assert_reply(const char *method, json_t *reply, enum fill fill)
{
        const char *p = definition("method", method);

        assert_non_null(reply);
        check(expect(expect(p, "()"), "->"), reply, fill, method);
        json_decref(reply);
}

static void assert_type(const char *type, json_t *value, enum fill fill)
{
        assert_non_null(value);
        check(definition("type", type), value, fill, type);
        json_decref(value);
}

static struct books books(uint64_t oldest)
{
        struct books b = {
                .accepted = {10, 1000},
                .delivered = {2, 200},
                .queued = {3, 300},
                .fullest_bytes = 300,
                .limit_bytes = CONFIG_INFINITY,
                .oldest_usec = oldest,
        };

        for (int i = 0; i < DROP_REASONS; i++)
                b.dropped[i] = (struct count){1, 10};
        return b;
}

static struct status sparse(void)
{
        return (struct status){
                .version = "1.2.3",
                .pid = 1,
                .upstream = {.state = LINK_RESOLVING,
                             .address = "host:1",
                             .last_error_usec = STATUS_NONE,
                             .next_attempt_usec = STATUS_NONE,
                             .silent_usec = STATUS_NONE,
                             .rtt_usec = STATUS_NONE,
                             .held_for_usec = STATUS_NONE},
                .to_upstream = books(BOOKS_NONE),
                .to_clients = books(BOOKS_NONE),
        };
}

static struct status full(void)
{
        return (struct status){
                .data_socket = {"/run/ftcpd.sock", 26, 1234},
                .control_socket = {"/run/ftcpd.varlink", 26, 1235},
                .version = "1.2.3",
                .instance = "name",
                .pid = 1,
                .upstream = {.state = LINK_UP,
                             .address = "host:1",
                             .peer = "192.0.2.1:1",
                             .frame = "length 4 big",
                             .last_cause = CAUSE_SILENT,
                             .last_error = "no byte for 3s",
                             .partial = {true, 7, 3, 1},
                             .held_by = "root",
                             .held_reason = "why not"},
                .to_upstream = books(0),
                .to_clients = books(0),
        };
}

static const struct health warned = {SEVERITY_WARNING, 1, {{SEVERITY_WARNING, "reason"}}};

static void status_is_what_the_interface_says(void **state)
{
        struct status a = sparse(), b = full();

        (void)state;
        assert_reply("Status", status_json(&a, &warned), SPARSE);
        assert_reply("Status", status_json(&b, &warned), FULL);
}

static void every_state_and_severity_is_a_word_of_the_interface(void **state)
{
        struct status status = sparse();

        (void)state;
        for (int i = 0; i < LINK_STATES; i++) {
                status.upstream.state = (enum link_state)i;
                assert_reply("Status", status_json(&status, &warned), SPARSE);
        }
        for (int i = SEVERITY_OK; i <= SEVERITY_CRITICAL; i++) {
                struct health health = warned;

                health.severity = health.reasons[0].severity = (enum severity)i;
                assert_reply("Health", status_json_health(&health), FULL);
        }
}

static void every_cause_and_reason_is_documented(void **state)
{
        (void)state;
        for (int i = 0; i < LINK_CAUSES; i++)
                assert_non_null(strstr(interface_text_ftcpd, link_cause_name((enum link_cause)i)));
        for (int i = 0; i < DROP_REASONS; i++)
                assert_non_null(
                        strstr(interface_text_ftcpd, drop_reason_name((enum drop_reason)i)));
}

static void a_local_client_has_credentials_and_a_tcp_client_an_address(void **state)
{
        struct status_client client = {
                .id = 7, .local = true, .pid = 1, .uid = 65534, .gid = 65534, .program = "cat"};
        json_t *json;

        (void)state;
        client.partial = (struct status_partial){true, 7, 3, 1};
        json = status_json_client(&client);
        assert_int_equal(json_integer_value(json_object_get(json, "uid")), 65534);
        assert_null(json_object_get(json, "peer"));
        /* The one member that a full local client does not have. */
        json_object_set_new(json, "peer", json_string("127.0.0.1:2"));
        assert_type("Client", json, FULL);
        client = (struct status_client){.id = 8, .peer = "127.0.0.1:2"};
        json = status_json_client(&client);
        assert_string_equal(json_string_value(json_object_get(json, "peer")), "127.0.0.1:2");
        json_object_del(json, "peer");
        assert_type("Client", json, SPARSE);
}

static void who_is_not_told_is_not_shown_as_root(void **state)
{
        const struct status_client client = {
                .id = 9, .local = true, .uid = SOCKET_NO_UID, .gid = SOCKET_NO_GID};
        json_t *json = status_json_client(&client);

        (void)state;
        assert_null(json_object_get(json, "uid"));
        assert_type("Client", json, SPARSE);
}

static void a_socket_without_a_path_has_no_inode(void **state)
{
        struct status status = full();
        json_t *json, *socket;

        (void)state;
        status.data_socket = (struct status_socket){"127.0.0.1:4000", 0, 0};
        status.control_socket = (struct status_socket){.text = ""};
        json = status_json(&status, &warned);
        socket = json_object_get(json, "dataSocket");
        assert_string_equal(json_string_value(json_object_get(socket, "path")), "127.0.0.1:4000");
        assert_int_equal(json_object_size(socket), 1);
        assert_null(json_object_get(json, "controlSocket"));
        json_decref(json);
}

static void a_delimited_partial_message_declares_nothing(void **state)
{
        struct status status = full();
        json_t *json, *partial;

        (void)state;
        status.upstream.partial.declared_bytes = STATUS_NONE;
        json = status_json(&status, &warned);
        partial = json_object_get(json_object_get(json, "upstream"), "partial");
        assert_type("Partial", json_incref(partial), SPARSE);
        json_decref(json);
}

static void a_setting_has_a_line_only_with_its_file(void **state)
{
        char value[] = "7", file[] = "/etc/ftcpd.conf";
        struct config_setting setting = {"Local", "MaxClients", value, file, 3};

        (void)state;
        assert_type("Setting", status_json_setting(&setting, value, file), FULL);
        assert_type("Setting", status_json_setting(&setting, value, NULL), SPARSE);
}

static void text_that_is_not_utf8_is_escaped(void **state)
{
        json_t *json = status_json_text("a\xff\xfe"
                                        "b\n\xc3\xa9");

        (void)state;
        assert_string_equal(json_string_value(json), "a\\xff\\xfeb\\n\xc3\xa9");
        json_decref(json);
        json = status_json_text("plain\ntext");
        assert_string_equal(json_string_value(json), "plain\ntext");
        json_decref(json);
}

static json_t *event_json(enum event_kind kind, uint64_t client_id)
{
        struct image_event event = {
                .seq = 9,
                .facts = {77, kind, LINK_WAITING, CAUSE_SILENT, client_id, 5},
                .text = "text",
        };

        return status_json_event(&event);
}

static void an_event_has_what_belongs_to_its_kind(void **state)
{
        json_t *all = event_json(EVENT_LINK, 0);

        (void)state;
        assert_string_equal(json_string_value(json_object_get(all, "state")), "waiting");
        assert_string_equal(json_string_value(json_object_get(all, "cause")), "silent");
        assert_int_equal(json_object_size(all), 6);
        for (int kind = EVENT_CLIENT; kind <= EVENT_DROP; kind++) {
                json_t *one = event_json((enum event_kind)kind, 3);

                assert_int_equal(json_object_size(one), 5);
                json_object_update(all, one);
                json_decref(one);
        }
        json_object_update_new(all, status_json_gap(5, 4, 77));
        assert_int_equal(json_integer_value(json_object_get(all, "seq")), 8);
        assert_int_equal(json_integer_value(json_object_get(all, "missed")), 4);
        assert_type("Event", all, FULL);
        assert_type("Event", event_json(EVENT_CLIENT, 0), SPARSE);
        assert_type("Event", event_json(EVENT_RELOAD, 3), SPARSE);
        assert_type("Event", event_json(EVENT_SERVICE, 0), SPARSE);
}

static void infinity_is_the_largest_number_there_is(void **state)
{
        struct status status = full();
        json_t *json = status_json(&status, &warned);
        json_t *limit = json_object_get(json_object_get(json, "toClients"), "limitBytes");

        (void)state;
        assert_true(json_integer_value(limit) == INT64_MAX);
        json_decref(json);
}

static void reasons_without_drops_are_not_listed(void **state)
{
        struct status status = full();
        json_t *json, *drops;

        (void)state;
        memset(status.to_clients.dropped, 0, sizeof(status.to_clients.dropped));
        status.to_clients.dropped[DROP_EXPIRED] = (struct count){2, 20};
        json = status_json(&status, &warned);
        drops = json_object_get(json_object_get(json, "toClients"), "dropped");
        assert_int_equal(json_array_size(drops), 1);
        json_decref(json);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(status_is_what_the_interface_says),
                cmocka_unit_test(every_state_and_severity_is_a_word_of_the_interface),
                cmocka_unit_test(every_cause_and_reason_is_documented),
                cmocka_unit_test(a_local_client_has_credentials_and_a_tcp_client_an_address),
                cmocka_unit_test(who_is_not_told_is_not_shown_as_root),
                cmocka_unit_test(a_socket_without_a_path_has_no_inode),
                cmocka_unit_test(a_delimited_partial_message_declares_nothing),
                cmocka_unit_test(a_setting_has_a_line_only_with_its_file),
                cmocka_unit_test(text_that_is_not_utf8_is_escaped),
                cmocka_unit_test(an_event_has_what_belongs_to_its_kind),
                cmocka_unit_test(infinity_is_the_largest_number_there_is),
                cmocka_unit_test(reasons_without_drops_are_not_listed),
        };

        return cmocka_run_group_tests_name("status_json", tests, strip_comments, free_interface);
}
