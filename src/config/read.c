/* SPDX-License-Identifier: MIT */
/* From files to entries: finds the section and the key of each line, and the lines without. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/files.h"
#include "config/scan.h"
#include "util/suggest.h"

/* The section of the lines being read. */
struct section {
        const char *name; /* a string of the table; NULL: no section yet, or an unknown one */
        bool ignored;     /* the header had a finding, or an X- name: the lines get none */
};

/* Adds a finding for an unknown section or key, with a suggestion: an error in a check, a warning
 * at run time, because a daemon must start with the configuration of a newer ftcpd. */
static void unknown(struct config_draft *draft, struct config_origin origin, const char *section,
                    const char *key, const char *suggest_section, const char *suggest_key)
{
        const char *what = draft->strict ? key ? "the key is not known" : "the section is not known"
                           : key         ? "the key is not known and is ignored"
                                         : "the section is not known and is ignored";
        void (*say)(struct config_draft * draft, struct config_origin origin, const char *section,
                    const char *key, const char *format, ...) =
                draft->strict ? config_error : config_warn;

        if (suggest_key && strcmp(suggest_section, section) == 0)
                say(draft, origin, section, key, "%s, expected perhaps %s", what, suggest_key);
        else if (suggest_key)
                say(draft, origin, section, key, "%s, expected perhaps %s in [%s]", what,
                    suggest_key, suggest_section);
        else if (suggest_section)
                say(draft, origin, section, key, "%s, expected perhaps [%s]", what,
                    suggest_section);
        else
                say(draft, origin, section, key,
                    "%s, expected one of ftcpd.conf(5), or X- before "
                    "it",
                    what);
}

static void unknown_section(struct config_draft *draft, struct config_origin origin,
                            const char *name)
{
        struct suggest near = suggest_begin(name);

        for (size_t i = 0; i < config_n_rows; i++)
                suggest_offer(&near, config_rows[i].section);
        unknown(draft, origin, name, NULL, suggest_best(&near), NULL);
}

/* Suggests the section that has the same key; if there is none, a similar key of the same section.
 */
static void unknown_key(struct config_draft *draft, struct config_origin origin,
                        const char *section, const char *key)
{
        struct suggest near = suggest_begin(key);

        for (size_t i = 0; i < config_n_rows; i++)
                if (strcmp(config_rows[i].section, section) == 0)
                        suggest_offer(&near, config_rows[i].key);
        for (size_t i = 0; i < config_n_rows; i++) {
                if (strcmp(config_rows[i].key, key) == 0) {
                        unknown(draft, origin, section, key, config_rows[i].section, key);
                        return;
                }
        }
        unknown(draft, origin, section, key, suggest_best(&near) ? section : NULL,
                suggest_best(&near));
}

static void read_header(struct config_draft *draft, struct config_origin origin, const char *name,
                        struct section *section)
{
        section->name = config_section_find(name);
        section->ignored = !section->name;
        if (section->name && strcmp(name, "Upstream") == 0 && origin.file == 0)
                draft->upstream = origin;
        if (!section->name && strncmp(name, "X-", 2) != 0)
                unknown_section(draft, origin, name);
}

static void read_assignment(struct config_draft *draft, struct config_origin origin,
                            const struct section *section, const struct config_item *item)
{
        const struct config_row *row;

        if (strncmp(item->name, "X-", 2) == 0)
                return;
        if (!section->name) {
                config_error(draft, origin, NULL, item->name,
                             "it stands before any section, expected a line such as [Upstream] "
                             "above");
                return;
        }
        row = config_row_find(section->name, item->name);
        if (row)
                config_draft_entry(draft, row, item->value, origin);
        else
                unknown_key(draft, origin, section->name, item->name);
}

static void read_items(struct config_draft *draft, size_t file, struct config_scan *scan)
{
        struct section section = {0};
        struct config_item item;

        while (config_scan_next(scan, &item)) {
                struct config_origin origin = {file, item.line};

                switch (item.kind) {
                case CONFIG_ITEM_SECTION: read_header(draft, origin, item.name, &section); break;
                case CONFIG_ITEM_ASSIGNMENT:
                        if (!section.ignored)
                                read_assignment(draft, origin, &section, &item);
                        break;
                case CONFIG_ITEM_BAD_SECTION:
                        section = (struct section){.ignored = true};
                        config_error(draft, origin, NULL, NULL, "%s", item.value);
                        break;
                case CONFIG_ITEM_BAD_LINE:
                        config_error(draft, origin, section.name, NULL, "%s", item.value);
                        break;
                }
        }
}

static const char *reason(int error)
{
        switch (error) {
        case -EINVAL: return "it is no regular file";
        case -ESPIPE:
                return "it is a pipe, which can't be read a second time (a restart reads a new "
                       "one)";
        case -ETIMEDOUT: return "nobody wrote to it for 1min";
        case -EFBIG: return "it is larger than 4M";
        default: return strerror(-error);
        }
}

static void read_file(struct config_draft *draft, const char *path, enum config_pipes pipes,
                      bool optional)
{
        size_t file = config_draft_file(draft, path), size;
        struct config_scan scan;
        bool piped;
        int error;
        char *text = config_file_read(path, pipes, &piped, &size, &error);

        draft->main_piped = draft->main_piped || piped;

        if (text) {
                config_scan_begin(&scan, text, size);
                read_items(draft, file, &scan);
                if (scan.starved)
                        config_draft_starve(draft);
                config_scan_done(&scan);
                free(text);
        } else if (optional && error == -ENOENT) {
                draft->main_missing = true;
        } else if (error == -ENOMEM) {
                config_draft_starve(draft);
        } else {
                draft->unread = draft->unread || error != -ENOENT;
                config_error(draft, (struct config_origin){file, 0}, NULL, NULL,
                             "the file can't be read: %s, expected a configuration", reason(error));
        }
}

void config_files_read(struct config_draft *draft, const struct config_source *source)
{
        const char *main = draft->config->path;
        char **drop_ins = NULL;
        size_t n;

        /* The main file may be missing at the default path: the drop-ins may have all keys. */
        read_file(draft, main, source->again ? CONFIG_PIPES_SPENT : CONFIG_PIPES_READ,
                  !source->path);
        if (config_drop_ins(source, main, &drop_ins, &n) < 0)
                config_draft_starve(draft);
        for (size_t i = 0; i < n; i++) {
                read_file(draft, drop_ins[i], CONFIG_PIPES_NONE, false);
                free(drop_ins[i]);
        }
        free(drop_ins);
}
