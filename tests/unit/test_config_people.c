/* SPDX-License-Identifier: MIT */
/* Users and groups in the configuration: how names are written, and names that are unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/people.h"
#include "lib/config_room.h"

static void people_are_known_by_user_or_group(void **state)
{
        const struct config *config = room_take(*state, "[Local]\nSenders=root @12\n");
        const gid_t gids[] = {5, 12};

        assert_true(config_people_have(&config->senders, 0, NULL, 0));
        assert_true(config_people_have(&config->senders, 1000, gids, 2));
        assert_false(config_people_have(&config->senders, 1000, gids, 1));
        assert_false(config_people_have(&config->admin, 0, gids, 2));
}

/* As at a start, where a warning is enough. */
static struct config *take_at_run_time(struct room *room, const char *text)
{
        char whole[1024];

        snprintf(whole, sizeof(whole), "[Upstream]\nAddress=h:1\n%s", text);
        room_write(room, "/etc/ftcpd.conf", whole);
        assert_non_null(room_load(room, false));
        return room->config;
}

static void a_name_that_is_unknown_at_run_time_is_a_warning_and_matches_nobody(void **state)
{
        const gid_t none[] = {CONFIG_NO_ID};
        struct room *room = *state;
        const struct config *config = take_at_run_time(
                room, "[Local]\nSenders=@no-such-group no-such-user root\n"
                      "SocketGroup=no-such-group\n[Control]\nAdmin=@no-such-group\n");

        assert_int_equal(room->report.n_warnings, 3);
        assert_true(room_warns(room, "4: [Local] Senders: there is no group \"no-such-group\"; "
                                     "there is no user \"no-such-user\": nobody matches, and it is "
                                     "looked up again every 30s"));
        assert_true(room_warns(room, "5: [Local] SocketGroup: there is no group"));
        assert_true(room_warns(room, "7: [Control] Admin: there is no group"));
        assert_true(config->senders.set && config->admin.set);
        assert_false(config_people_have(&config->senders, CONFIG_NO_ID, none, 1));
        assert_false(config_people_have(&config->admin, CONFIG_NO_ID, none, 1));
        assert_false(config_people_have(&config->senders, 7, NULL, 0));
        assert_true(config_people_have(&config->senders, 0, none, 1));
        assert_string_equal(room_setting(room, "Local", "Senders", 0)->value, "@no-such-group");
        assert_int_equal(config->local_socket_gid, CONFIG_NO_ID);
        assert_string_equal(config->local_socket_group, "no-such-group");
}

static void a_name_that_is_found_later_counts_wherever_it_stands(void **state)
{
        struct config *config =
                take_at_run_time(*state, "[Local]\nSenders=@late root late\nSocketGroup=late\n"
                                         "[Control]\nAdmin=@late\nAdmin=@other\n");
        struct config_names names;
        struct config_name found = {(char[]){"@late"}, 70001}, stranger = {(char[]){"@x"}, 70002};
        const gid_t gids[] = {70001};

        assert_int_equal(config_names_unknown(config, &names), 0);
        assert_int_equal(names.n, 5);
        config_names_done(&names);
        assert_false(config_name_learn(config, &stranger));
        assert_true(config_name_learn(config, &found));
        assert_false(config_name_learn(config, &found));
        assert_true(config_people_have(&config->senders, 9, gids, 1));
        assert_true(config_people_have(&config->admin, 9, gids, 1));
        assert_false(config_people_have(&config->senders, 70001, NULL, 0)); /* a group's number */
        assert_int_equal(config->local_socket_gid, 70001);
        assert_int_equal(config_names_unknown(config, &names), 0);
        assert_int_equal(names.n, 2);
        assert_string_equal(names.items[0].who, "late");
        assert_string_equal(names.items[1].who, "@other");
        config_names_done(&names);
}

/* A successor that reads what was kept looks the unknown ones up again, also those with blanks. */
static void an_unknown_name_is_kept_as_it_is_written(void **state)
{
        struct room *room = *state;
        struct config *config = take_at_run_time(
                room, "[Local]\nSenders=@\"no such group\" \"no such user\" @CORP\\nobodies\n"
                      "SocketGroup=no such group\n");
        struct config_source source = {.kept = config->kept, .kept_size = config->kept_size};
        struct config_report report = {0};
        struct config *same = config_load(&source, &report);
        struct config_names names;

        assert_non_null(same);
        assert_int_equal(config_names_unknown(same, &names), 0);
        assert_int_equal(names.n, 4);
        assert_string_equal(names.items[0].who, "@no such group"); /* of SocketGroup= */
        assert_string_equal(names.items[1].who, "@no such group");
        assert_string_equal(names.items[2].who, "no such user");
        assert_string_equal(names.items[3].who, "@CORP\\nobodies");
        config_names_done(&names);
        config_report_done(&report);
        config_free(same);
}

static void a_name_with_blanks_stands_in_double_quotes(void **state)
{
        static const char *const wrong[][2] = {
                {"@\"root", "'@\"root' has a double quote too few"},
                {"root\"", "'root\"' has a double quote too few"},
                {"\"\"", "\"\" is neither"},
                {"root @", "\"\" is neither"},
                {"4294967295", "is neither"},
                {"@\"domain users\"", "\"domain users\""},
        };
        const struct config *config = room_take(*state, "[Local]\nSenders=\"root\" @\"root\"\n"
                                                        "SocketGroup=\"root\"\n");
        char text[128];

        assert_true(config_people_have(&config->senders, 0, NULL, 0));
        assert_string_equal(room_setting(*state, "Local", "Senders", 1)->value, "@root");
        assert_string_equal(config->local_socket_group, "root");
        assert_int_equal(config->local_socket_gid, 0);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
                snprintf(text, sizeof(text), "[Local]\nSenders=%s\n", wrong[i][0]);
                room_refuse(*state, text, "4: [Local] Senders: ", wrong[i][1]);
        }
        room_refuse(*state, "[Local]\nSocketGroup=\"root\n",
                    "4: [Local] SocketGroup: ", "a double quote too few");
        take_at_run_time(*state, "[Local]\nSenders=@\"no such group\"\n");
        assert_string_equal(room_setting(*state, "Local", "Senders", 0)->value,
                            "@\"no such group\"");
}

#define in_room(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_room(people_are_known_by_user_or_group),
                in_room(a_name_that_is_unknown_at_run_time_is_a_warning_and_matches_nobody),
                in_room(a_name_that_is_found_later_counts_wherever_it_stands),
                in_room(an_unknown_name_is_kept_as_it_is_written),
                in_room(a_name_with_blanks_stands_in_double_quotes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
