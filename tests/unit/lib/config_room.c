/* SPDX-License-Identifier: MIT */
#include "config_room.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

int room_setup(void **state)
{
        struct room *room = calloc(1, sizeof(*room));

        strcpy(room->root, "/tmp/ftcpd-config-XXXXXX");
        *state = room;
        return mkdtemp(room->root) ? 0 : -1;
}

static void forget(struct room *room)
{
        config_free(room->config);
        room->config = NULL;
        config_report_done(&room->report);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
        (void)st;
        (void)kind;
        (void)walk;
        return remove(path);
}

int room_teardown(void **state)
{
        struct room *room = *state;

        forget(room);
        nftw(room->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        free(room);
        return 0;
}

void room_write_bytes(struct room *room, const char *path, const void *data, size_t size)
{
        char full[512];
        FILE *file;

        snprintf(full, sizeof(full), "%s%s", room->root, path);
        for (char *slash = full + strlen(room->root) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                mkdir(full, 0755);
                *slash = '/';
        }
        file = fopen(full, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(data, 1, size, file), size);
        fclose(file);
}

void room_write(struct room *room, const char *path, const char *text)
{
        room_write_bytes(room, path, text, strlen(text));
}

struct config *room_load_instance(struct room *room, const char *instance, bool strict)
{
        struct config_source source = {
                .instance = instance,
                .strict = strict,
                .root = room->root,
        };

        forget(room);
        room->config = config_load(&source, &room->report);
        assert_int_equal(room->config == NULL, room->report.n_errors > 0);
        return room->config;
}

struct config *room_load(struct room *room, bool strict)
{
        return room_load_instance(room, NULL, strict);
}

struct config *room_try(struct room *room, const char *text)
{
        room_write(room, "/etc/ftcpd.conf", text);
        return room_load(room, true);
}

struct config *room_take(struct room *room, const char *text)
{
        char whole[4096];

        snprintf(whole, sizeof(whole), "[Upstream]\nAddress=h:1\n%s", text);
        room_try(room, whole);
        for (size_t i = 0; i < room->report.n_errors; i++)
                print_error("%s\n", room->report.errors[i]);
        assert_non_null(room->config);
        return room->config;
}

void room_refuse(struct room *room, const char *text, const char *place, const char *words)
{
        char whole[4096], begin[512];

        snprintf(whole, sizeof(whole), "[Upstream]\nAddress=h:1\n%s", text);
        snprintf(begin, sizeof(begin), "%s/etc/ftcpd.conf:%s", room->root, place);
        if (room_try(room, whole))
                fail_msg("taken: %s", text);
        if (room->report.n_errors != 1 ||
            strncmp(room->report.errors[0], begin, strlen(begin)) != 0 ||
            !strstr(room->report.errors[0], words) || !strstr(room->report.errors[0], "expected"))
                fail_msg("for %s: %zu errors, the first: %s", text, room->report.n_errors,
                         room->report.errors[0]);
}

bool room_warns(const struct room *room, const char *words)
{
        for (size_t i = 0; i < room->report.n_warnings; i++)
                if (strstr(room->report.warnings[i], words))
                        return true;
        return false;
}

const struct config_setting *room_setting(const struct room *room, const char *section,
                                          const char *key, size_t i)
{
        for (size_t j = 0; j < room->config->n_settings; j++) {
                const struct config_setting *setting = &room->config->settings[j];

                if (strcmp(setting->section, section) == 0 && strcmp(setting->key, key) == 0 &&
                    i-- == 0)
                        return setting;
        }
        return NULL;
}
