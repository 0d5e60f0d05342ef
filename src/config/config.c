/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/files.h"
#include "config/table.h"
#include "config/type.h"
#include "util/room.h"
#include "util/units.h"

/* Adds a setting, which owns value; NULL: there was no memory for value. */
static void add_setting(struct config_draft *draft, const struct config_row *row, char *value,
                        struct config_origin origin)
{
        struct config *config = draft->config;
        struct config_setting *settings =
                room_for_one(config->settings, config->n_settings, sizeof(*settings));
        char *file = origin.line ? strdup(draft->files[origin.file]) : NULL;

        if (settings)
                config->settings = settings;
        if (!settings || !value || (origin.line && !file)) {
                free(value);
                free(file);
                config_draft_starve(draft);
                return;
        }
        settings[config->n_settings++] = (struct config_setting){
                .section = row->section,
                .key = row->key,
                .value = value,
                .file = file,
                .line = origin.line,
        };
}

static char *hidden(size_t n)
{
        char *text;

        return asprintf(&text, "(set, %s)", units_messages(n).text) < 0 ? NULL : text;
}

/* True if the row shows as a key without a value: a value would be an assignment. */
static bool is_unset(const struct config_row *row, const struct config_row_state *state, size_t n)
{
        return n == 0 || (row->derived && !row->list && !state->last.line);
}

static void add_settings(struct config_draft *draft)
{
        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];
                const struct config_row_state *state = &draft->states[i];
                size_t n = config_count(row, draft->config);

                if (is_unset(row, state, n)) {
                        add_setting(draft, row, strdup(""), state->last);
                        continue;
                }
                if (row->secret)
                        add_setting(draft, row, hidden(n), state->last);
                for (size_t j = 0; j < n && !row->secret; j++)
                        add_setting(draft, row, row->type->show(row, draft->config, j),
                                    j < state->n_origins ? state->origins[j] : state->last);
        }
}

static void add_file(struct config_draft *draft, const char *path)
{
        struct config *config = draft->config;
        char **files = room_for_one(config->files, config->n_files, sizeof(*files));

        if (files)
                config->files = files;
        if (files && (files[config->n_files] = strdup(path)))
                config->n_files++;
        else
                config_draft_starve(draft);
}

static void add_files(struct config_draft *draft)
{
        for (size_t i = draft->main_missing || draft->main_piped; i < draft->n_files; i++)
                add_file(draft, draft->files[i]);
        for (size_t i = 0; i < draft->n_entries; i++)
                if (draft->entries[i].row->secret && strncmp(draft->entries[i].value, "@/", 2) == 0)
                        add_file(draft, draft->entries[i].value + 1);
}

static bool name_source(struct config *config, const struct config_source *source)
{
        config->path = config_main_path(source);
        config->instance = source->instance ? strdup(source->instance) : NULL;
        return config->path && !config->instance == !source->instance;
}

/* Each step needs all of the one before: a draft that starves goes no further. */
static void read_all(struct config_draft *draft, const struct config_source *source)
{
        if (!name_source(draft->config, source))
                config_draft_starve(draft);
        else if (source->kept)
                config_kept_read(draft, source->kept, source->kept_size);
        else
                config_files_read(draft, source);
        if (!draft->starved)
                config_values_read(draft);
        if (!draft->starved)
                config_check(draft);
        if (!draft->starved && draft->errors.n == 0)
                config_notes(draft);
        if (!draft->starved)
                add_settings(draft);
}

static void finish(struct config_draft *draft)
{
        add_files(draft);
        draft->config->kept = config_kept_write(draft, &draft->config->kept_size);
        if (!draft->config->kept)
                config_draft_starve(draft);
}

struct config *config_load(const struct config_source *source, struct config_report *report)
{
        struct config_draft draft;
        struct config *config;

        *report = (struct config_report){.starved = true};
        if (config_draft_init(&draft, source->strict) < 0)
                return NULL;
        config = draft.config;
        if (source->instance && !config_instance_valid(source->instance))
                config_fault(&draft,
                             "%s is no name of an instance, expected letters, digits and :_.-@",
                             config_quote(source->instance).text);
        else
                read_all(&draft, source);
        if (!draft.starved && !draft.errors.n)
                finish(&draft);
        config_draft_report(&draft, report);
        if (report->starved || report->n_errors) {
                config_free(config);
                config = NULL;
        }
        config_draft_done(&draft);
        return config;
}

static void free_texts(char **texts, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(texts[i]);
        free(texts);
}

const struct config_bytes *config_client_heartbeat(const struct config *config)
{
        if (!config->client_heartbeat_usec)
                return NULL;
        if (config->heartbeat_received.n)
                return &config->heartbeat_received.items[0];
        return config->heartbeat_message.n ? &config->heartbeat_message.items[0] : NULL;
}

void config_free(struct config *config)
{
        if (!config)
                return;
        for (size_t i = 0; i < config_n_rows; i++)
                if (config_rows[i].type->clear)
                        config_rows[i].type->clear(&config_rows[i], config);
        for (size_t i = 0; i < config->n_settings; i++) {
                free(config->settings[i].value);
                free(config->settings[i].file);
        }
        free(config->settings);
        free(config->instance);
        free(config->path);
        free_texts(config->files, config->n_files);
        free(config->kept);
        free(config);
}

void config_report_done(struct config_report *report)
{
        free_texts(report->errors, report->n_errors);
        free_texts(report->warnings, report->n_warnings);
        free_texts(report->sockets, report->n_sockets);
        *report = (struct config_report){0};
}

void config_print_defaults(FILE *to)
{
        const char *section = "";

        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];

                if (strcmp(section, row->section) != 0)
                        fprintf(to, "%s[%s]\n", *section ? "\n" : "", row->section);
                section = row->section;
                /* A derived key stays a comment: a written key would be an assignment. */
                fprintf(to, "# %s\n%s%s=%s\n", row->doc, row->derived ? "#" : "", row->key,
                        row->fallback);
        }
}

int config_refuses_reload(const struct config *old, const struct config *new, char *text,
                          size_t size)
{
        size_t used = 0;
        int any = 0;

        if (size)
                *text = '\0';
        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];

                int same = row->reload == CONFIG_RELOAD_REFUSED ? config_same(row, old, new) : 1;

                if (same < 0)
                        return same;
                if (same)
                        continue;
                if (used < size)
                        used += (size_t)snprintf(text + used, size - used, "%s[%s] %s",
                                                 any ? ", " : "", row->section, row->key);
                any = 1;
        }
        return any;
}

int config_changes_link(const struct config *old, const struct config *new)
{
        int same = 1;

        for (size_t i = 0; i < config_n_rows && same > 0; i++)
                if (config_rows[i].reload == CONFIG_RELOAD_REDIALS)
                        same = config_same(&config_rows[i], old, new);
        return same < 0 ? same : !same;
}
