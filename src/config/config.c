/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/files.h"
#include "config/table.h"
#include "config/type.h"
#include "util/need.h"
#include "util/units.h"

static void add_setting(struct config_draft *draft, const struct config_row *row, char *value,
                        struct config_origin origin)
{
        struct config *config = draft->config;

        config->settings =
                need_room(config->settings, config->n_settings, sizeof(*config->settings));
        config->settings[config->n_settings++] = (struct config_setting){
                .section = row->section,
                .key = row->key,
                .value = value,
                .file = origin.line ? need(strdup(draft->files[origin.file])) : NULL,
                .line = origin.line,
        };
}

static char *hidden(size_t n)
{
        char *text;

        if (asprintf(&text, "(set, %s)", units_messages(n).text) < 0)
                abort();
        return text;
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
                        add_setting(draft, row, need(strdup("")), state->last);
                        continue;
                }
                if (row->secret)
                        add_setting(draft, row, hidden(n), state->last);
                for (size_t j = 0; j < n && !row->secret; j++)
                        add_setting(draft, row, row->type->show(row, draft->config, j),
                                    j < state->n_origins ? state->origins[j] : state->last);
        }
}

static void add_file(struct config *config, const char *path)
{
        config->files = need_room(config->files, config->n_files, sizeof(*config->files));
        config->files[config->n_files++] = need(strdup(path));
}

static void add_files(const struct config_draft *draft)
{
        for (size_t i = draft->main_missing || draft->main_piped; i < draft->n_files; i++)
                add_file(draft->config, draft->files[i]);
        for (size_t i = 0; i < draft->n_entries; i++)
                if (draft->entries[i].row->secret && strncmp(draft->entries[i].value, "@/", 2) == 0)
                        add_file(draft->config, draft->entries[i].value + 1);
}

static void read_all(struct config_draft *draft, const struct config_source *source)
{
        draft->config->path = config_main_path(source);
        if (source->instance)
                draft->config->instance = need(strdup(source->instance));
        if (source->kept)
                config_kept_read(draft, source->kept, source->kept_size);
        else
                config_files_read(draft, source);
        config_values_read(draft);
        config_check(draft);
        if (draft->errors.n == 0)
                config_notes(draft);
        add_settings(draft);
}

struct config *config_load(const struct config_source *source, struct config_report *report)
{
        struct config_draft draft;
        struct config *config;

        config_draft_init(&draft, source->strict);
        config = draft.config;
        if (source->instance && !config_instance_valid(source->instance))
                config_fault(&draft,
                             "%s is no name of an instance, expected letters, digits and :_.-@",
                             config_quote(source->instance).text);
        else
                read_all(&draft, source);
        if (draft.errors.n) {
                config_free(config);
                config = NULL;
        } else {
                add_files(&draft);
                config->kept = config_kept_write(&draft, &config->kept_size);
        }
        config_draft_report(&draft, report);
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

bool config_refuses_reload(const struct config *old, const struct config *new, char *text,
                           size_t size)
{
        size_t used = 0;
        bool any = false;

        if (size)
                *text = '\0';
        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];

                if (row->reload != CONFIG_RELOAD_REFUSED || config_same(row, old, new))
                        continue;
                if (used < size)
                        used += (size_t)snprintf(text + used, size - used, "%s[%s] %s",
                                                 any ? ", " : "", row->section, row->key);
                any = true;
        }
        return any;
}

bool config_changes_link(const struct config *old, const struct config *new)
{
        for (size_t i = 0; i < config_n_rows; i++)
                if (config_rows[i].reload == CONFIG_RELOAD_REDIALS &&
                    !config_same(&config_rows[i], old, new))
                        return true;
        return false;
}
