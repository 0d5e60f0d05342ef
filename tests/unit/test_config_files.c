/* SPDX-License-Identifier: MIT */
/* Files, drop-ins, lines and names; and the files that ship: sample, examples, manual. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/table.h"
#include "lib/config_room.h"

static void assert_error(const struct room *room, size_t i, const char *place, const char *words)
{
        char begin[512];

        assert_true(i < room->report.n_errors);
        snprintf(begin, sizeof(begin), "%s%s", room->root, place);
        if (strncmp(room->report.errors[i], begin, strlen(begin)) != 0 ||
            !strstr(room->report.errors[i], words))
                fail_msg("error %zu is: %s", i, room->report.errors[i]);
}

static void all_errors_are_told_at_once_in_the_order_of_the_lines(void **state)
{
        struct room *room = *state;

        room_write(room, "/etc/ftcpd.conf.d/50-more.conf", "[Heartbeat]\nTimeout=never\n");
        assert_null(room_try(room, "Early=1\n"            /* 1 */
                                   "[Heartbeat]\n"        /* 2 */
                                   "Interval=often\n"     /* 3 */
                                   "Intervall=1s\n"       /* 4 */
                                   "what is this\n"       /* 5 */
                                   "# Comment=1\n"        /* 6 */
                                   "[Hartbeat]\n"         /* 7 */
                                   "Interval=told once\n" /* 8 */
                                   "[Upstream]\n"         /* 9 */
                                   "PathTimeout=1s\n"     /* 10 */
                                   "Interval=2s\n"        /* 11 */
                                   "=5\n"                 /* 12 */
                                   "[Frame\n"             /* 13 */
                                   "Type=told once\n"));  /* 14 */
        assert_int_equal(room->report.n_errors, 11);
        assert_error(room, 0, "/etc/ftcpd.conf:1: Early: ", "before any section");
        assert_error(room, 1, "/etc/ftcpd.conf:3: [Heartbeat] Interval: ", "\"often\"");
        assert_error(room, 2, "/etc/ftcpd.conf:4: [Heartbeat] Intervall: ", "perhaps Interval");
        assert_error(room, 3, "/etc/ftcpd.conf:5: [Heartbeat]: ", "without \"=\"");
        assert_error(room, 4, "/etc/ftcpd.conf:7: [Hartbeat]: ", "perhaps [Heartbeat]");
        assert_error(room, 5, "/etc/ftcpd.conf:9: [Upstream] Address: ", "Address=HOST:PORT");
        assert_error(room, 6, "/etc/ftcpd.conf:10: [Upstream] PathTimeout: ", "at least 2s");
        assert_error(room, 7, "/etc/ftcpd.conf:11: [Upstream] Interval: ", "in [Heartbeat]");
        assert_error(room, 8, "/etc/ftcpd.conf:12: [Upstream]: ", "no key");
        assert_error(room, 9, "/etc/ftcpd.conf:13: ", "expected [Section]");
        assert_error(room, 10,
                     "/etc/ftcpd.conf.d/50-more.conf:2: [Heartbeat] Timeout: ", "\"never\"");
}

static void a_running_daemon_only_warns_of_unknown_names(void **state)
{
        struct room *room = *state;

        room_write(room, "/etc/ftcpd.conf",
                   "[Upstream]\nAddress=h:1\nGreating=x\n[Nowhere]\nA=b\n");
        assert_non_null(room_load(room, false));
        assert_int_equal(room->report.n_warnings, 2);
        assert_true(room_warns(room,
                               "ftcpd.conf:3: [Upstream] Greating: the key is not known and is "
                               "ignored, expected perhaps Greeting"));
        assert_true(room_warns(room, "ftcpd.conf:4: [Nowhere]: the section is not known"));
        assert_null(room_load(room, true));
        assert_int_equal(room->report.n_errors, 2);
}

static void assert_same_settings(const struct config *a, const struct config *b)
{
        assert_int_equal(a->n_settings, b->n_settings);
        for (size_t i = 0; i < a->n_settings; i++) {
                const struct config_setting *x = &a->settings[i], *y = &b->settings[i];

                assert_string_equal(x->value, y->value);
                assert_string_equal(x->file ? x->file : "", y->file ? y->file : "");
                assert_int_equal(x->line, y->line);
        }
}

/* Another process takes what was in force, whatever has become of the files by then. */
static void what_was_assigned_stands_for_the_files(void **state)
{
        struct room *room = *state;
        const struct config *config;
        struct config_source source;
        struct config_report report = {0};
        struct config *same;
        char more[512];

        room_write(room, "/etc/secret", "let me in");
        snprintf(more, sizeof(more),
                 "[Upstream]\nAddress=h:2\nGreeting=@%s/etc/secret\nGreeting=\\x40\n"
                 "[Heartbeat]\nReceived=\nReceived=a\nReceived=b \\\n c\n"
                 "[Local]\nSenders=0 @0 1\n[Control]\nSocketGroup=0\nAdmin=\n",
                 room->root);
        room_write(room, "/etc/ftcpd.conf.d/more.conf", more);
        config = room_take(room, "[Health]\nMaxAge=7min\n");
        room_write(room, "/etc/ftcpd.conf.d/more.conf", "[Broken\n");
        room_write(room, "/etc/secret", "changed");
        source = (struct config_source){
                .root = room->root, .kept = config->kept, .kept_size = config->kept_size};
        same = config_load(&source, &report);
        assert_non_null(same);
        assert_int_equal(report.n_warnings, 0);
        assert_same_settings(same, config);
        assert_int_equal(same->greeting.n, 2);
        assert_memory_equal(same->greeting.items[0].data, "let me in", 9);
        assert_memory_equal(same->greeting.items[1].data, "@", 1);
        assert_true(config_people_have(&same->senders, 1, NULL, 0));
        assert_int_equal(same->kept_size, config->kept_size);
        assert_memory_equal(same->kept, config->kept, same->kept_size);
        config_report_done(&report);
        config_free(same);
        for (source.kept_size = 0; source.kept_size < config->kept_size; source.kept_size++) {
                config_free(config_load(&source, &report)); /* cut off anywhere: no harm */
                config_report_done(&report);
        }
}

/* Who is named may be gone by then. */
static void names_are_kept_as_numbers(void **state)
{
        const struct config *config =
                room_take(*state, "[Local]\nSenders=root @root daemon\nSocketGroup=daemon\n");

        for (const char *at = config->kept; at < config->kept + config->kept_size;
             at += strlen(at) + 1)
                assert_true(strcmp(at, "root") != 0 && strcmp(at, "daemon") != 0);
}

static void names_that_begin_with_x_are_the_users_own(void **state)
{
        room_take(*state, "X-Ticket=4711\n[X-Ours]\nAnything=goes\n[Frame]\nX-Note=\n");
}

static void drop_ins_are_read_by_name_and_etc_hides_the_others(void **state)
{
        struct room *room = *state;
        const struct config *config;

        room_write(room, "/etc/ftcpd.conf", "[Upstream]\nAddress=main:1\nConnectTimeout=1s\n");
        room_write(room, "/usr/lib/ftcpd.conf.d/10-a.conf", "[Upstream]\nAddress=lib:1\n");
        room_write(room, "/usr/lib/ftcpd.conf.d/30-c.conf", "[Upstream]\nAddress=hidden:1\n");
        room_write(room, "/run/ftcpd.conf.d/30-c.conf", "[Upstream]\nAddress=hidden:2\n");
        room_write(room, "/run/ftcpd.conf.d/20-b.conf",
                   "[Upstream]\nAddress=run:1\nConnectTimeout=2s\n");
        room_write(room, "/etc/ftcpd.conf.d/30-c.conf", "[Upstream]\nAddress=etc:1\n");
        room_write(room, "/etc/ftcpd.conf.d/05-z.conf", "[Upstream]\nConnectTimeout=3s\n");
        room_write(room, "/etc/ftcpd.conf.d/99-not.txt", "nonsense\n");
        room_write(room, "/etc/ftcpd.conf.d/.hidden.conf", "nonsense\n");
        config = room_load(room, true);
        assert_non_null(config);
        assert_int_equal(config->n_addresses, 4);
        assert_string_equal(config->addresses[0].host, "main");
        assert_string_equal(config->addresses[1].host, "lib");
        assert_string_equal(config->addresses[2].host, "run");
        assert_string_equal(config->addresses[3].host, "etc");
        assert_int_equal(config->connect_timeout_usec, 2000000);
        assert_non_null(strstr(room_setting(room, "Upstream", "ConnectTimeout", 0)->file,
                               "/run/ftcpd.conf.d/20-b.conf"));
}

static void a_drop_in_is_masked_by_a_link_to_dev_null(void **state)
{
        struct room *room = *state;
        char path[256];

        room_write(room, "/etc/ftcpd.conf", "[Upstream]\nAddress=main:1\n");
        room_write(room, "/usr/lib/ftcpd.conf.d/10-a.conf", "nonsense\n");
        room_write(room, "/etc/ftcpd.conf.d/20.conf", "");
        snprintf(path, sizeof(path), "%s/etc/ftcpd.conf.d/10-a.conf", room->root);
        assert_int_equal(symlink("/dev/null", path), 0);
        assert_non_null(room_load(room, true));
}

static void drop_ins_alone_are_a_configuration(void **state)
{
        struct room *room = *state;

        room_write(room, "/run/ftcpd.conf.d/a.conf", "[Upstream]\nAddress=run:1\n");
        assert_non_null(room_load(room, true));
}

static void an_instance_has_its_own_file_and_drop_ins_and_sockets(void **state)
{
        struct room *room = *state;
        const struct config *config;

        room_write(room, "/etc/ftcpd.conf", "[Upstream]\nAddress=wrong:1\n");
        room_write(room, "/etc/ftcpd/north.conf", "[Upstream]\nAddress=north:1\n");
        room_write(room, "/usr/lib/ftcpd/north.conf.d/x.conf", "[Upstream]\nConnectTimeout=9s\n");
        config = room_load_instance(room, "north", true);
        assert_non_null(config);
        assert_string_equal(config->addresses[0].host, "north");
        assert_int_equal(config->connect_timeout_usec, 9000000);
        assert_string_equal(config->instance, "north");
        assert_string_equal(config->local_socket, "/run/ftcpd/north.sock");
        assert_string_equal(config->control_socket, "/run/ftcpd/north.varlink");
        assert_null(room_load_instance(room, "../ftcpd", true));
        assert_non_null(strstr(room->report.errors[0], "no name of an instance"));
        assert_null(room_load_instance(room, "", true));
        assert_null(room_load_instance(room, "south", true));
        assert_error(room, 0, "/etc/ftcpd/south.conf:1: [Upstream] Address: ", "does not exist");
}

static void a_file_that_was_named_must_be_there(void **state)
{
        struct room *room = *state;
        struct config_source source = {.path = "/no/such/ftcpd.conf"};

        room->config = config_load(&source, &room->report);
        assert_null(room->config);
        assert_non_null(strstr(room->report.errors[0],
                               "/no/such/ftcpd.conf:1: the file can't be read: No such file"));
}

static void what_is_no_regular_file_is_not_waited_for(void **state)
{
        struct room *room = *state;
        char path[256];

        room_write(room, "/etc/ftcpd.conf", "[Upstream]\nAddress=main:1\n");
        room_write(room, "/etc/ftcpd.conf.d/a.conf/file", "");
        room_write(room, "/etc/ftcpd.conf.d/c.conf", "[Frame]\nType=x\n");
        snprintf(path, sizeof(path), "%s/etc/ftcpd.conf.d/b.conf", room->root);
        assert_int_equal(mkfifo(path, 0644), 0);
        assert_null(room_load(room, false));
        assert_int_equal(room->report.n_errors, 3);
        assert_error(room, 0, "/etc/ftcpd.conf.d/a.conf:1: ", "no regular file");
        assert_error(room, 1, "/etc/ftcpd.conf.d/b.conf:1: ", "no regular file");
        assert_error(room, 2, "/etc/ftcpd.conf.d/c.conf:2: ", "expected length or delimiter");
}

/* Writes text into a new pipe, as a shell's <(...) does; returns its end for reading. */
static int pipe_with(const char *text)
{
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
        close(fds[1]);
        return fds[0];
}

static void a_main_file_may_be_a_pipe_which_is_read_once(void **state)
{
        struct room *room = *state;
        char path[32];
        struct config_source source = {.path = path, .strict = true};
        int fd = pipe_with("[Upstream]\nAddress=main:1\n");

        snprintf(path, sizeof(path), "/dev/fd/%d", fd);
        room->config = config_load(&source, &room->report);
        assert_non_null(room->config);
        assert_string_equal(room->config->addresses[0].host, "main");
        assert_string_equal(room->config->path, path);
        assert_int_equal(room->config->n_files, 0); /* none that another user could read */
        config_free(room->config);
        config_report_done(&room->report);
        source.again = true;
        room->config = config_load(&source, &room->report);
        assert_null(room->config);
        assert_int_equal(room->report.n_errors, 1);
        assert_non_null(strstr(room->report.errors[0],
                               ":1: the file can't be read: it is a pipe, which can't be read a "
                               "second time"));
        close(fd);
}

/* As where sshd runs the program: the kernel opens no socket by a path. */
static void a_main_file_may_be_a_socket_of_ours(void **state)
{
        static const char text[] = "[Upstream]\nAddress=main:1\n";
        struct room *room = *state;
        char path[32];
        struct config_source source = {.path = path};
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
        close(fds[1]);
        snprintf(path, sizeof(path), "/dev/fd/%d", fds[0]);
        room->config = config_load(&source, &room->report);
        assert_non_null(room->config);
        assert_string_equal(room->config->addresses[0].host, "main");
        close(fds[0]);
}

static void lines_are_continued_by_a_backslash(void **state)
{
        struct room *room = *state;
        const struct config *config = room_take(room, "Address=a:1 \\\n" /* 3 */
                                                      "# comment \\\n"   /* 4 */
                                                      "   b:2\\\n"       /* 5 */
                                                      "  ; another\n"    /* 6 */
                                                      "c:3\n"            /* 7 */
                                                      "[Heartbeat]\n"    /* 8 */
                                                      "Message=a\\\\\n"  /* 9 */
                                                      "Answer=b\\\n"     /* 10 */
                                                      "\n"               /* 11 */
                                                      "Received=x\\");   /* 12 */

        assert_int_equal(config->n_addresses, 4);
        assert_string_equal(config->addresses[3].text, "c:3");
        assert_int_equal(room_setting(room, "Upstream", "Address", 3)->line, 3);
        assert_int_equal(config->heartbeat_message.items[0].size, 2);
        assert_memory_equal(config->heartbeat_message.items[0].data, "a\\", 2);
        assert_int_equal(config->heartbeat_answer.items[0].size, 1);
        assert_int_equal(room_setting(room, "Heartbeat", "Received", 0)->line, 12);
}

static void blanks_line_ends_and_marks_do_not_matter(void **state)
{
        struct room *room = *state;
        const struct config *config;

        config = room_try(room,
                          "\xef\xbb\xbf[Upstream]\r\n  Address \t=  h:1  \r\n\r\n\t[Heartbeat] "
                          "\r\nMessage=PING\r\n ; c\r\nInterval=2s");
        assert_non_null(config);
        assert_string_equal(config->addresses[0].port, "1");
        assert_int_equal(config->heartbeat_message.items[0].size, 4);
        assert_int_equal(config->heartbeat_interval_usec, 2000000);
        assert_int_equal(room_setting(room, "Heartbeat", "Interval", 0)->line, 7);
}

static void bytes_that_are_no_text_are_errors_in_their_line(void **state)
{
        static const char bytes[] = "[Upstream]\nAddress=h:1\n\0\0\0\n# c\0mment\nAddress=h\0:2\n"
                                    "Address=\033[1m:2\n[Heartbeat]\nMessage=\xff\n"
                                    "Message=\xed\xa0\x80\nMessage=\xc0\x80\nMessage=\xc3\xa9\n";
        struct room *room = *state;

        room_write_bytes(room, "/etc/ftcpd.conf", bytes, sizeof(bytes) - 1);
        assert_null(room_load(room, true));
        assert_int_equal(room->report.n_errors, 6);
        assert_error(room, 0, "/etc/ftcpd.conf:3: [Upstream]: ", "NUL");
        assert_error(room, 1, "/etc/ftcpd.conf:5: [Upstream]: ", "NUL");
        assert_error(room, 2, "/etc/ftcpd.conf:6: [Upstream]: ", "control character");
        assert_error(room, 3, "/etc/ftcpd.conf:8: [Heartbeat]: ", "UTF-8");
        assert_error(room, 4, "/etc/ftcpd.conf:9: ", "UTF-8");
        assert_error(room, 5, "/etc/ftcpd.conf:10: ", "UTF-8");
}

/* A megabyte of one letter wherever text may stand. */
static void huge_lines_are_errors_of_readable_length(void **state)
{
        static const char *const shapes[][2] = {
                {"", ""},
                {"[", "]"},
                {"[", ""},
                {"", "=1"},
                {"[Frame]\n", "=1"},
                {"[Frame]\nType=", ""},
                {"[Upstream]\nAddress=", ":1"},
                {"[Local]\nSenders=", ""},
                {"[Local]\nSenders=@", ""},
                {"[Local]\nSocket=/", ""},
                {"[Upstream]\nGreeting=@credential:", ""},
                {"[Upstream]\nGreeting=@/", ""},
                {"[Frame]\nTimeout=", "s"},
                {"[Frame]\nDelimiter=", ""},
                {"[Local]\nSocketMode=0", ""},
                {"[Heartbeat]\nMessage=", "\\"},
        };
        struct room *room = *state;
        size_t size = 1 << 20;
        char *text = malloc(size + 64);

        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
                size_t begin = strlen(shapes[i][0]), end = strlen(shapes[i][1]);

                memcpy(text, shapes[i][0], begin);
                memset(text + begin, 'x', size);
                memcpy(text + begin + size, shapes[i][1], end);
                room_write_bytes(room, "/etc/ftcpd.conf", text, begin + size + end);
                assert_null(room_load(room, true));
                for (size_t j = 0; j < room->report.n_errors; j++)
                        assert_true(strlen(room->report.errors[j]) < 600);
        }
        free(text);
}

static void a_file_without_end_is_refused_and_errors_are_bounded(void **state)
{
        struct room *room = *state;
        size_t size = 5 << 20;
        char *text = malloc(size);

        memset(text, 'x', size);
        room_write_bytes(room, "/etc/ftcpd.conf", text, size);
        assert_null(room_load(room, true));
        assert_error(room, 0, "/etc/ftcpd.conf:1: ", "larger than 4M");

        for (size_t i = 1; i < size; i += 2)
                text[i] = '\n';
        room_write_bytes(room, "/etc/ftcpd.conf", text, 200000);
        assert_null(room_load(room, true));
        assert_int_equal(room->report.n_errors, 1001);
        assert_non_null(strstr(room->report.errors[1000], "more"));
        free(text);
}

/* Any bytes: an answer, never a crash. The seed is printed for who must repeat it. */
static void garbage_is_survived(void **state)
{
        static const char *const pieces[] = {
                "[Upstream]",
                "[Frame]",
                "[Heartbeat]",
                "[",
                "]",
                "\n",
                "\n",
                "=",
                "\\",
                "\\\n",
                "Address=",
                "h:1",
                "[::1]:2",
                "Type=delimiter",
                "Delimiter=",
                "LengthOffset=4",
                "Interval=0",
                "Received=",
                "Message=",
                "\"\"",
                "\\x",
                "\\n",
                "#",
                ";",
                "\r",
                "\t",
                " ",
                "\xef\xbb\xbf",
                "\xff",
                "Greeting=@/",
                "@credential:",
                "infinity",
                "0",
                "-1",
                "99999999999999999999",
                "Senders=@",
                "[Local]",
                "X-",
                "Socket=/",
                "16M",
        };
        struct room *room = *state;
        unsigned seed = (unsigned)getpid();
        char text[2048];

        print_message("seed %u\n", seed);
        srandom(seed);
        for (int round = 0; round < 500; round++) {
                size_t used = 0;

                for (long n = random() % 60; n > 0 && used < sizeof(text) - 64; n--) {
                        const char *piece =
                                pieces[(size_t)random() % (sizeof(pieces) / sizeof(*pieces))];

                        memcpy(text + used, piece, strlen(piece));
                        used += strlen(piece);
                        if (random() % 20 == 0)
                                text[used++] = (char)random();
                }
                room_write_bytes(room, "/etc/ftcpd.conf", text, used);
                room_load(room, round % 2);
        }
}

/* What --print-defaults writes, with an address. */
static char *printed_defaults(void)
{
        static const char address[] = "\nAddress=";
        char *text = NULL, *whole, *place;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        config_print_defaults(file);
        fclose(file);
        place = strstr(text, address);
        assert_non_null(place);
        place += strlen(address);
        assert_int_equal(*place, '\n');
        assert_int_not_equal(asprintf(&whole, "%.*sh:1%s", (int)(place - text), text, place), -1);
        free(text);
        return whole;
}

static void printed_defaults_are_a_configuration_of_defaults(void **state)
{
        struct room *room = *state;
        char *text = printed_defaults();
        struct config *defaults, *printed;
        char refused[64];

        room_take(room, "");
        defaults = room->config;
        room->config = NULL;
        printed = room_try(room, text);
        free(text);
        assert_int_equal(room->report.n_errors, 0);
        assert_int_equal(printed->n_settings, defaults->n_settings);
        for (size_t i = 0; i < printed->n_settings; i++) {
                assert_string_equal(printed->settings[i].key, defaults->settings[i].key);
                assert_string_equal(printed->settings[i].value, defaults->settings[i].value);
        }
        assert_false(config_changes_link(defaults, printed));
        assert_false(config_refuses_reload(defaults, printed, refused, sizeof(refused)));
        config_free(defaults);
}

/* The text of a file of the source tree, or NULL where it is not there. */
static char *source_text(const char *path)
{
        const char *top = getenv("top_srcdir");
        char full[512], *text = NULL;
        size_t size = 0;
        FILE *file;

        snprintf(full, sizeof(full), "%s/%s", top ? top : ".", path);
        file = fopen(full, "r");
        if (!file)
                return NULL;
        if (getdelim(&text, &size, '\0', file) < 0)
                text = NULL;
        fclose(file);
        return text;
}

/* Where a section begins in an INI file, and, for later, where the next one does. */
static const char *section_in(const char *text, const char *section, const char **end)
{
        char header[64];
        const char *begin;

        snprintf(header, sizeof(header), "\n[%s]\n", section);
        begin = strstr(text, header);
        *end = begin ? strstr(begin + 1, "\n[") : NULL;
        return begin;
}

static void the_sample_names_every_key_with_its_default(void **state)
{
        char *text = source_text("etc/ftcpd.conf"), line[512];

        (void)state;
        assert_non_null(text);
        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];
                const char *end, *begin = section_in(text, row->section, &end), *found;

                snprintf(line, sizeof(line), "\n# %s\n#%s=%s\n", row->doc, row->key, row->fallback);
                found = begin ? strstr(begin, line) : NULL;
                if (!found || (end && found > end))
                        fail_msg("etc/ftcpd.conf lacks in [%s]:%s", row->section, line);
        }
        free(text);
}

static void the_sample_lacks_nothing_but_an_address(void **state)
{
        struct room *room = *state;
        char *text = source_text("etc/ftcpd.conf");

        assert_non_null(text);
        assert_null(room_try(room, text));
        assert_int_equal(room->report.n_errors, 1);
        assert_non_null(strstr(room->report.errors[0], "[Upstream] Address: there is none"));
        free(text);
}

static void every_example_is_a_configuration_without_warnings(void **state)
{
        struct room *room = *state;
        const char *top = getenv("top_srcdir");
        char pattern[512], path[256], *sample = source_text("etc/ftcpd.conf");
        glob_t found;

        snprintf(pattern, sizeof(pattern), "%s/etc/examples/*.conf", top ? top : ".");
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        assert_int_equal(found.gl_pathc, 5);
        room_write(room, "/creds/login", "Luser  password  ");
        snprintf(path, sizeof(path), "%s/creds", room->root);
        setenv("CREDENTIALS_DIRECTORY", path, 1);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                struct config_source source = {.path = found.gl_pathv[i], .strict = true};
                struct config *config = config_load(&source, &room->report);

                for (size_t j = 0; j < room->report.n_errors; j++)
                        fail_msg("%s", room->report.errors[j]);
                assert_non_null(strstr(sample, strrchr(found.gl_pathv[i], '/') + 1));
                config_free(config);
                config_report_done(&room->report);
        }
        unsetenv("CREDENTIALS_DIRECTORY");
        globfree(&found);
        free(sample);
}

static void the_manual_names_every_key(void **state)
{
        char *text = source_text("man/ftcpd.conf.5"), heading[64], item[64];

        (void)state;
        if (!text) {
                print_message("# there is no man/ftcpd.conf.5 yet, nothing to compare\n");
                return;
        }
        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];
                const char *begin, *end, *found;

                snprintf(heading, sizeof(heading), "\n.Sh [%s] ", row->section);
                snprintf(item, sizeof(item), "\n.It Cm %s ", row->key);
                begin = strstr(text, heading);
                end = begin ? strstr(begin + 1, "\n.Sh ") : NULL;
                found = begin ? strstr(begin, item) : NULL;
                if (!found || (end && found > end))
                        fail_msg("man/ftcpd.conf.5 lacks [%s] %s=", row->section, row->key);
        }
        free(text);
}

#define in_room(test) cmocka_unit_test_setup_teardown(test, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                in_room(all_errors_are_told_at_once_in_the_order_of_the_lines),
                in_room(a_running_daemon_only_warns_of_unknown_names),
                in_room(what_was_assigned_stands_for_the_files),
                in_room(names_are_kept_as_numbers),
                in_room(names_that_begin_with_x_are_the_users_own),
                in_room(drop_ins_are_read_by_name_and_etc_hides_the_others),
                in_room(a_drop_in_is_masked_by_a_link_to_dev_null),
                in_room(drop_ins_alone_are_a_configuration),
                in_room(an_instance_has_its_own_file_and_drop_ins_and_sockets),
                in_room(a_file_that_was_named_must_be_there),
                in_room(what_is_no_regular_file_is_not_waited_for),
                in_room(a_main_file_may_be_a_pipe_which_is_read_once),
                in_room(a_main_file_may_be_a_socket_of_ours),
                in_room(lines_are_continued_by_a_backslash),
                in_room(blanks_line_ends_and_marks_do_not_matter),
                in_room(bytes_that_are_no_text_are_errors_in_their_line),
                in_room(huge_lines_are_errors_of_readable_length),
                in_room(a_file_without_end_is_refused_and_errors_are_bounded),
                in_room(garbage_is_survived),
                in_room(printed_defaults_are_a_configuration_of_defaults),
                cmocka_unit_test(the_sample_names_every_key_with_its_default),
                in_room(the_sample_lacks_nothing_but_an_address),
                in_room(every_example_is_a_configuration_without_warnings),
                cmocka_unit_test(the_manual_names_every_key),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
