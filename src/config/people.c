/* SPDX-License-Identifier: MIT */
/*
 * Users and groups by name or number, resolved at the load. At run time a name may be unknown yet,
 * for a directory may come later than ftcpd: its id is CONFIG_NO_ID, which nobody has.
 */
#include "config/people.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/type.h"
#include "util/room.h"
#include "util/units.h"

static const char blanks[] = " \t";

/* True if text is the number of a user or group. The greatest 32-bit number is none: system calls
 * take it for "no id". */
static bool is_id(const char *text, uint64_t *id)
{
        return strspn(text, "0123456789") == strlen(text) && units_number_parse(text, id) == 0 &&
               *id < UINT32_MAX;
}

/* Cuts the next name out of *rest, in place: blanks end a name, but not within double quotes, which
 * are removed. Returns NULL at the end. Sets *open if a quote is not ended. */
static char *next_name(char **rest, bool *open)
{
        char *from = *rest + strspn(*rest, blanks), *name = from, *to = from;

        *open = false;
        if (!*from)
                return NULL;
        for (; *from && (*open || !strchr(blanks, *from)); from++) {
                if (*from == '"')
                        *open = !*open;
                else
                        *to++ = *from;
        }
        *rest = *from ? from + 1 : from;
        *to = '\0';
        return name;
}

static int open_quote(struct config_reading *reading, const char *text)
{
        return config_wrong(reading, "%s has a double quote too few, expected two around a name",
                            config_quote(text).text);
}

/* Sets *id to the id of `who`, a user, or @ and a group. An unknown name is an error in a check; at
 * run time a warning, and *id is CONFIG_NO_ID. Returns 0, -EINVAL with the fault, or
 * -ENOMEM. */
static int find(struct config_reading *reading, const char *who, uint32_t *id)
{
        bool group = *who == '@';
        const char *kind = group ? "group" : "user", *name = who + group;
        const char *expected = group ? "a group of this system, or its number"
                                     : "a user of this system, its number, or @ and a group";
        uint64_t number;
        int error;

        if (is_id(name, &number)) {
                *id = (uint32_t)number;
                return 0;
        }
        if (strspn(name, "0123456789") == strlen(name))
                return config_wrong(reading,
                                    "%s is neither the name nor the number of a %s, "
                                    "expected %s",
                                    config_quote(name).text, kind, expected);
        error = config_name_find(who, id);
        if (error == 0 || error == ENOMEM)
                return -error;
        if (reading->strict)
                return config_wrong(reading, "there is no %s %s%s%s, expected %s", kind,
                                    config_quote(name).text, error == ENOENT ? "" : ": ",
                                    error == ENOENT ? "" : strerror(error), expected);
        reading->effect = "nobody matches, and it is looked up again every 30s";
        config_doubt(reading, "there is no %s %s%s%s", kind, config_quote(name).text,
                     error == ENOENT ? "" : ": ", error == ENOENT ? "" : strerror(error));
        return 0;
}

/* Appends an id to a list of *n. Returns 0 or -ENOMEM. */
static int add_id(uint32_t **ids, size_t *n, uint32_t id)
{
        uint32_t *more = room_for_one(*ids, *n, sizeof(*more));

        if (!more)
                return -ENOMEM;
        *ids = more;
        more[(*n)++] = id;
        return 0;
}

static int add_person(struct config_reading *reading, const char *who)
{
        struct config_people *people = config_place(reading->row, reading->config);
        uint32_t id = CONFIG_NO_ID;
        int result = find(reading, who, &id);
        char **texts;

        if (result < 0)
                return result;
        texts = room_for_one(people->texts, people->n_texts, sizeof(*texts));
        if (!texts)
                return -ENOMEM;
        people->texts = texts;
        texts[people->n_texts] = strdup(who);
        if (!texts[people->n_texts])
                return -ENOMEM;
        result = *who == '@' ? add_id(&people->gids, &people->n_gids, id)
                             : add_id(&people->uids, &people->n_uids, id);
        if (result < 0) {
                free(texts[people->n_texts]);
                return result;
        }
        people->n_texts++;
        people->set = true;
        return 0;
}

static int read_people(struct config_reading *reading, const char *text)
{
        char *words = strdup(text), *rest = words, *name;
        bool open = false;
        int result = words ? 0 : -ENOMEM;

        while (result == 0 && (name = next_name(&rest, &open)))
                result = open ? open_quote(reading, text) : add_person(reading, name);
        free(words);
        return result;
}

static size_t count_people(const struct config_row *row, const struct config *config)
{
        return ((const struct config_people *)config_place(row, config))->n_texts;
}

/* NULL: no memory. */
static char *print(const char *format, const char *text)
{
        char *printed;

        return asprintf(&printed, format, text) < 0 ? NULL : printed;
}

static char *show_people(const struct config_row *row, const struct config *config, size_t i)
{
        const struct config_people *people = config_place(row, config);
        const char *who = people->texts[i];

        if (!strpbrk(who, blanks))
                return strdup(who);
        return *who == '@' ? print("@\"%s\"", who + 1) : print("\"%s\"", who);
}

static char *number(const char *before, uint64_t id)
{
        char *text;

        return asprintf(&text, "%s%" PRIu64, before, id) < 0 ? NULL : text;
}

/* The place of the id of name number i. */
static uint32_t *id_of(const struct config_people *people, size_t i)
{
        size_t groups = 0;

        for (size_t j = 0; j < i; j++)
                groups += *people->texts[j] == '@';
        return *people->texts[i] == '@' ? &people->gids[groups] : &people->uids[i - groups];
}

static char *keep_person(const struct config_row *row, const struct config *config, size_t i)
{
        const struct config_people *people = config_place(row, config);
        uint32_t id = *id_of(people, i);

        if (id == CONFIG_NO_ID)
                return show_people(row, config, i);
        return number(*people->texts[i] == '@' ? "@" : "", id);
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

static bool has(const uint32_t *ids, size_t n, uint32_t id)
{
        for (size_t i = 0; i < n && id != CONFIG_NO_ID; i++)
                if (ids[i] == id)
                        return true;
        return false;
}

bool config_people_have(const struct config_people *people, uid_t uid, const gid_t *gids,
                        size_t n_gids)
{
        if (has(people->uids, people->n_uids, uid))
                return true;
        for (size_t i = 0; i < n_gids; i++)
                if (has(people->gids, people->n_gids, gids[i]))
                        return true;
        return false;
}

/* The gid of a group's row; the name is at config_place(). */
static gid_t *gid_place(const struct config_row *row, const struct config *config)
{
        return (gid_t *)((char *)config + row->id_offset);
}

static void clear_group(const struct config_row *row, struct config *config)
{
        char **name = config_place(row, config);

        free(*name);
        *name = NULL;
        *gid_place(row, config) = CONFIG_NO_ID;
}

/* Takes over name. */
static void set_group(struct config_reading *reading, char *name, gid_t gid)
{
        clear_group(reading->row, reading->config);
        *(char **)config_place(reading->row, reading->config) = name;
        *gid_place(reading->row, reading->config) = gid;
}

/* Reads one name, whose blanks need no quotes. */
static int read_group(struct config_reading *reading, const char *text)
{
        size_t size = strlen(text);
        bool quoted = size >= 2 && *text == '"' && text[size - 1] == '"';
        char *who = print("@%s", text + quoted), *name;
        uint32_t gid = CONFIG_NO_ID;
        int result;

        if (!who)
                return -ENOMEM;
        who[1 + size - 2 * (size_t)quoted] = '\0';
        result = strchr(who, '"') ? open_quote(reading, text) : find(reading, who, &gid);
        name = result == 0 ? strdup(who + 1) : NULL;
        free(who);
        if (!name)
                return result < 0 ? result : -ENOMEM;
        set_group(reading, name, gid);
        return 0;
}

static size_t count_group(const struct config_row *row, const struct config *config)
{
        return *(char *const *)config_place(row, config) ? 1 : 0;
}

static char *show_group(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return strdup(*(char *const *)config_place(row, config));
}

static char *keep_group(const struct config_row *row, const struct config *config, size_t i)
{
        gid_t gid = *gid_place(row, config);

        return gid == CONFIG_NO_ID ? show_group(row, config, i) : number("", gid);
}

const struct config_type config_type_group = {
        .read = read_group,
        .count = count_group,
        .show = show_group,
        .keep = keep_group,
        .clear = clear_group,
};

/* Calls visit for each name of config with the place of its id, which may be changed. Returns 0 or
 * -ENOMEM: not all names were visited. */
static int visit_names(const struct config *config,
                       int (*visit)(void *context, const char *who, uint32_t *id), void *context)
{
        int result = 0;

        for (size_t r = 0; r < config_n_rows && result == 0; r++) {
                const struct config_row *row = &config_rows[r];
                const struct config_people *people = config_place(row, config);
                char *who;

                for (size_t i = 0; row->type == &config_type_people && i < people->n_texts; i++)
                        if (result == 0)
                                result = visit(context, people->texts[i], id_of(people, i));
                if (row->type == &config_type_group && count_group(row, config)) {
                        who = print("@%s", *(char *const *)config_place(row, config));
                        result = who ? visit(context, who, gid_place(row, config)) : -ENOMEM;
                        free(who);
                }
        }
        return result;
}

static int add_unknown(void *context, const char *who, uint32_t *id)
{
        return *id == CONFIG_NO_ID ? config_names_add(context, who) : 0;
}

int config_names_unknown(const struct config *config, struct config_names *names)
{
        int result;

        *names = (struct config_names){0};
        result = visit_names(config, add_unknown, names);
        if (result < 0)
                config_names_done(names);
        return result;
}

int config_names_add(struct config_names *names, const char *who)
{
        struct config_name *items = room_for_one(names->items, names->n, sizeof(*items));

        if (!items)
                return -ENOMEM;
        names->items = items;
        items[names->n] = (struct config_name){strdup(who), CONFIG_NO_ID};
        if (!items[names->n].who)
                return -ENOMEM;
        names->n++;
        return 0;
}

void config_names_done(struct config_names *names)
{
        for (size_t i = 0; i < names->n; i++)
                free(names->items[i].who);
        free(names->items);
        *names = (struct config_names){0};
}

struct learning {
        const struct config_name *name;
        bool learnt;
};

static int learn(void *context, const char *who, uint32_t *id)
{
        struct learning *learning = context;

        if (*id == CONFIG_NO_ID && strcmp(who, learning->name->who) == 0) {
                *id = learning->name->id;
                learning->learnt = true;
        }
        return 0;
}

bool config_name_learn(struct config *config, const struct config_name *name)
{
        struct learning learning = {name, false};

        if (name->id != CONFIG_NO_ID)
                visit_names(config, learn, &learning);
        return learning.learnt;
}
