/* SPDX-License-Identifier: MIT */
/* Users and groups by name or number, resolved once, at the load. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/type.h"
#include "util/need.h"
#include "util/units.h"

/* True if text is the number of a user or group. The greatest 32-bit number is none: system calls
 * take it for "no id". */
static bool is_id(const char *text, uint64_t *id)
{
        return strspn(text, "0123456789") == strlen(text) && units_number_parse(text, id) == 0 &&
               *id < UINT32_MAX;
}

static int find_group(struct config_reading *reading, const char *name, gid_t *gid)
{
        struct group *group;
        uint64_t id;

        if (is_id(name, &id)) {
                *gid = (gid_t)id;
                return 0;
        }
        errno = 0;
        group = getgrnam(name);
        if (!group)
                return config_wrong(reading,
                                    "there is no group %s%s%s, expected a group of this "
                                    "system, or its number",
                                    config_quote(name).text, errno ? ": " : "",
                                    errno ? strerror(errno) : "");
        *gid = group->gr_gid;
        return 0;
}

static int find_user(struct config_reading *reading, const char *name, uid_t *uid)
{
        struct passwd *user;
        uint64_t id;

        if (is_id(name, &id)) {
                *uid = (uid_t)id;
                return 0;
        }
        errno = 0;
        user = getpwnam(name);
        if (!user)
                return config_wrong(reading,
                                    "there is no user %s%s%s, expected a user of this "
                                    "system, its number, or @ and a group",
                                    config_quote(name).text, errno ? ": " : "",
                                    errno ? strerror(errno) : "");
        *uid = user->pw_uid;
        return 0;
}

static int add_person(struct config_reading *reading, const char *text)
{
        struct config_people *people = config_place(reading->row, reading->config);
        gid_t gid = (gid_t)-1;
        uid_t uid = (uid_t)-1;

        if (*text == '@') {
                if (find_group(reading, text + 1, &gid) < 0)
                        return -EINVAL;
                people->gids = need_room(people->gids, people->n_gids, sizeof(gid));
                people->gids[people->n_gids++] = gid;
        } else {
                if (find_user(reading, text, &uid) < 0)
                        return -EINVAL;
                people->uids = need_room(people->uids, people->n_uids, sizeof(uid));
                people->uids[people->n_uids++] = uid;
        }
        people->texts = need_room(people->texts, people->n_texts, sizeof(char *));
        people->texts[people->n_texts++] = need(strdup(text));
        people->set = true;
        return 0;
}

static int read_people(struct config_reading *reading, const char *text)
{
        return config_read_words(reading, text, add_person);
}

static size_t count_people(const struct config_row *row, const struct config *config)
{
        return ((const struct config_people *)config_place(row, config))->n_texts;
}

static char *show_people(const struct config_row *row, const struct config *config, size_t i)
{
        const struct config_people *people = config_place(row, config);

        return need(strdup(people->texts[i]));
}

static char *number(const char *before, uint64_t id)
{
        char *text;

        if (asprintf(&text, "%s%" PRIu64, before, id) < 0)
                abort();
        return text;
}

static char *keep_person(const struct config_row *row, const struct config *config, size_t i)
{
        const struct config_people *people = config_place(row, config);
        size_t groups = 0;

        for (size_t j = 0; j < i; j++)
                groups += *people->texts[j] == '@';
        return *people->texts[i] == '@' ? number("@", people->gids[groups])
                                        : number("", people->uids[i - groups]);
}

static void clear_people(const struct config_row *row, struct config *config)
{
        struct config_people *people = config_place(row, config);

        for (size_t i = 0; i < people->n_texts; i++)
                free(people->texts[i]);
        free(people->texts);
        free(people->uids);
        free(people->gids);
        *people = (struct config_people){0};
}

const struct config_type config_type_people = {
        .read = read_people,
        .count = count_people,
        .show = show_people,
        .keep = keep_person,
        .clear = clear_people,
};

bool config_people_have(const struct config_people *people, uid_t uid, const gid_t *gids,
                        size_t n_gids)
{
        for (size_t i = 0; i < people->n_uids; i++)
                if (people->uids[i] == uid)
                        return true;
        for (size_t i = 0; i < people->n_gids; i++)
                for (size_t j = 0; j < n_gids; j++)
                        if (people->gids[i] == gids[j])
                                return true;
        return false;
}

/* The gid of a group's row; the name is at config_place(). */
static gid_t *gid_place(const struct config_row *row, struct config *config)
{
        return (gid_t *)((char *)config + row->id_offset);
}

static void clear_group(const struct config_row *row, struct config *config)
{
        char **name = config_place(row, config);

        free(*name);
        *name = NULL;
        *gid_place(row, config) = (gid_t)-1;
}

static int read_group(struct config_reading *reading, const char *text)
{
        gid_t gid = (gid_t)-1;

        if (find_group(reading, text, &gid) < 0)
                return -EINVAL;
        clear_group(reading->row, reading->config);
        *(char **)config_place(reading->row, reading->config) = need(strdup(text));
        *gid_place(reading->row, reading->config) = gid;
        return 0;
}

static size_t count_group(const struct config_row *row, const struct config *config)
{
        return *(char *const *)config_place(row, config) ? 1 : 0;
}

static char *show_group(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return need(strdup(*(char *const *)config_place(row, config)));
}

static char *keep_group(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return number("", *(const gid_t *)((const char *)config + row->id_offset));
}

const struct config_type config_type_group = {
        .read = read_group,
        .count = count_group,
        .show = show_group,
        .keep = keep_group,
        .clear = clear_group,
};
