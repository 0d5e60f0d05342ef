/* SPDX-License-Identifier: MIT */
/*
 * The assignments in force as bytes, which a successor reads in place of the files: for each value
 * the file, line, section, key and text, each ended by a NUL. No value has to be looked up again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/type.h"

enum { FILE_NAME, LINE, SECTION, KEY, VALUE, FIELDS };

static void put(FILE *to, const struct config_draft *draft, const struct config_row *row,
                struct config_origin origin, const char *value)
{
        fprintf(to, "%s%c%u%c%s%c%s%c%s%c", draft->files[origin.file], 0, origin.line, 0,
                row->section, 0, row->key, 0, value, 0);
}

/* Writes the values of row that are in force, not the text of the files: a user may be deleted
 * since the load, a file with a greeting removed. Returns false without memory. */
static bool put_row(FILE *to, const struct config_draft *draft, const struct config_row *row)
{
        const struct config_row_state *state = &draft->states[config_row_index(row)];
        char *(*text)(const struct config_row *row, const struct config *config, size_t i) =
                row->type->keep ? row->type->keep : row->type->show;
        size_t n = config_count(row, draft->config);

        if (!state->last.line)
                return true;
        if (row->list || n == 0)
                put(to, draft, row, state->last, "");
        for (size_t i = 0; i < n; i++) {
                char *value = text(row, draft->config, i);

                if (!value)
                        return false;
                put(to, draft, row, i < state->n_origins ? state->origins[i] : state->last, value);
                free(value);
        }
        return true;
}

char *config_kept_write(const struct config_draft *draft, size_t *size)
{
        char *kept = NULL;
        FILE *to = open_memstream(&kept, size);
        bool good = to != NULL;

        for (size_t i = 0; i < config_n_rows && good; i++)
                good = put_row(to, draft, &config_rows[i]);
        good = good && !ferror(to);
        if (to && fclose(to) == 0 && good)
                return kept;
        free(kept);
        return NULL;
}

/* Returns the field at *at and moves *at and *left behind the field; NULL at the end. */
static const char *take(const char **at, size_t *left)
{
        const char *text = *at;
        size_t size = strnlen(text, *left);

        if (size == *left)
                return NULL;
        *at += size + 1;
        *left -= size + 1;
        return text;
}

static size_t file_number(struct config_draft *draft, const char *path)
{
        for (size_t i = 0; i < draft->n_files; i++)
                if (strcmp(draft->files[i], path) == 0)
                        return i;
        return config_draft_file(draft, path);
}

static void read_entry(struct config_draft *draft, const char *const field[FIELDS])
{
        const struct config_row *row = config_row_find(field[SECTION], field[KEY]);
        struct config_origin origin = {file_number(draft, field[FILE_NAME]),
                                       (unsigned)strtoul(field[LINE], NULL, 10)};

        if (row)
                config_draft_entry(draft, row, field[VALUE], origin);
        else
                config_warn(draft, origin, field[SECTION], field[KEY], "the key is not known");
}

void config_kept_read(struct config_draft *draft, const char *kept, size_t size)
{
        const char *field[FIELDS];

        config_draft_file(draft, draft->config->path); /* the first file is the main file */
        for (;;) {
                for (int i = 0; i < FIELDS; i++) {
                        field[i] = take(&kept, &size);
                        if (!field[i])
                                return;
                }
                read_entry(draft, field);
        }
}
