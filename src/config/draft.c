/* SPDX-License-Identifier: MIT */
#include "config/draft.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/type.h"
#include "util/room.h"

enum { CONFIG_FINDINGS_MAX = 1000 }; /* nobody reads more, and a hostile file has no limit */

int config_draft_init(struct config_draft *draft, bool strict)
{
        *draft = (struct config_draft){
                .config = calloc(1, sizeof(*draft->config)),
                .strict = strict,
                .states = calloc(config_n_rows, sizeof(*draft->states)),
        };
        if (!draft->config || !draft->states) {
                free(draft->config);
                free(draft->states);
                return -ENOMEM;
        }
        draft->config->local_socket_gid = draft->config->control_socket_gid = (gid_t)-1;
        return 0;
}

void config_draft_starve(struct config_draft *draft)
{
        draft->starved = true;
}

size_t config_draft_file(struct config_draft *draft, const char *path)
{
        char **files = room_for_one(draft->files, draft->n_files, sizeof(*files));

        if (files)
                draft->files = files;
        if (!files || !(files[draft->n_files] = strdup(path))) {
                config_draft_starve(draft);
                return 0;
        }
        return draft->n_files++;
}

void config_draft_entry(struct config_draft *draft, const struct config_row *row, const char *value,
                        struct config_origin origin)
{
        struct config_entry *entries =
                room_for_one(draft->entries, draft->n_entries, sizeof(*entries));
        char *copy = strdup(value);

        if (entries)
                draft->entries = entries;
        if (!entries || !copy) {
                free(copy);
                config_draft_starve(draft);
                return;
        }
        entries[draft->n_entries].row = row;
        entries[draft->n_entries].value = copy;
        entries[draft->n_entries++].origin = origin;
}

static void findings_done(struct config_findings *findings)
{
        for (size_t i = 0; i < findings->n; i++)
                free(findings->items[i].text);
        free(findings->items);
}

void config_draft_done(struct config_draft *draft)
{
        for (size_t i = 0; i < draft->n_files; i++)
                free(draft->files[i]);
        free(draft->files);
        for (size_t i = 0; i < draft->n_entries; i++)
                free(draft->entries[i].value);
        free(draft->entries);
        for (size_t i = 0; i < config_n_rows; i++)
                free(draft->states[i].origins);
        free(draft->states);
        findings_done(&draft->errors);
        findings_done(&draft->warnings);
}

static int compare_findings(const void *a, const void *b)
{
        const struct config_finding *x = a, *y = b;

        if (x->origin.file != y->origin.file)
                return x->origin.file < y->origin.file ? -1 : 1;
        if (x->origin.line != y->origin.line)
                return x->origin.line < y->origin.line ? -1 : 1;
        return x->order < y->order ? -1 : x->order > y->order;
}

/* Returns the texts of the findings, *n of them; NULL and none without memory. */
static char **take_findings(struct config_findings *findings, size_t *n)
{
        char **texts = calloc(CONFIG_FINDINGS_MAX + 1, sizeof(*texts));

        *n = 0;
        if (!texts)
                return NULL;
        if (findings->n)
                qsort(findings->items, findings->n, sizeof(*findings->items), compare_findings);
        *n = findings->n < CONFIG_FINDINGS_MAX ? findings->n : CONFIG_FINDINGS_MAX;
        for (size_t i = 0; i < *n; i++) {
                texts[i] = findings->items[i].text;
                findings->items[i].text = NULL;
        }
        if (findings->n > *n &&
            asprintf(&texts[*n], "... and %zu more", findings->n - CONFIG_FINDINGS_MAX) >= 0)
                ++*n;
        return texts;
}

void config_draft_report(struct config_draft *draft, struct config_report *report)
{
        *report = (struct config_report){.starved = draft->starved};
        if (draft->starved)
                return;
        report->errors = take_findings(&draft->errors, &report->n_errors);
        report->warnings = take_findings(&draft->warnings, &report->n_warnings);
        if (report->errors && report->warnings)
                return;
        config_report_done(report);
        report->starved = true;
}

struct config_row_state *config_draft_state(struct config_draft *draft,
                                            const struct config_row *row)
{
        return &draft->states[config_row_index(row)];
}

/* Adds text, which the findings own from here on. Returns false without memory. */
static bool add_finding(struct config_findings *findings, struct config_origin origin, char *text)
{
        struct config_finding *items = room_for_one(findings->items, findings->n, sizeof(*items));

        if (!items) {
                free(text);
                return false;
        }
        findings->items = items;
        items[findings->n] = (struct config_finding){origin, findings->n, text};
        findings->n++;
        return true;
}

/* name, or a cut quotation of name in *quoted: a name from a file may have any length. */
static const char *shortened(const char *name, struct config_quoted *quoted)
{
        if (!name || strlen(name) <= CONFIG_QUOTE_MAX / 2)
                return name;
        *quoted = config_quote(name);
        return quoted->text;
}

/* Returns "FILE:LINE: [Section] Key: ", to be freed; NULL without memory. */
static char *place_of(const struct config_draft *draft, struct config_origin origin,
                      const char *section, const char *key)
{
        struct config_quoted quoted[2];
        char *place;

        if (draft->starved) /* the file may be missing */
                return NULL;
        section = shortened(section, &quoted[0]);
        key = shortened(key, &quoted[1]);
        if (asprintf(&place, "%s:%u: %s%s%s%s%s%s", draft->files[origin.file],
                     origin.line ? origin.line : 1, section ? "[" : "", section ? section : "",
                     section ? "]" : "", section && key ? " " : "", key ? key : "",
                     section || key ? ": " : "") < 0)
                return NULL;
        return place;
}

/* Adds a finding to one list of the draft: place, which may be NULL, and then the fault. */
static void find_fault(struct config_draft *draft, struct config_findings *findings,
                       struct config_origin origin, const char *place, const char *format,
                       va_list args)
{
        char *what = NULL, *text;

        if (!place || vasprintf(&what, format, args) < 0)
                what = NULL;
        if (!what || asprintf(&text, "%s%s", place, what) < 0 ||
            !add_finding(findings, origin, text))
                config_draft_starve(draft);
        free(what);
}

void config_error(struct config_draft *draft, struct config_origin origin, const char *section,
                  const char *key, const char *format, ...)
{
        char *place = place_of(draft, origin, section, key);
        va_list args;

        va_start(args, format);
        find_fault(draft, &draft->errors, origin, place, format, args);
        va_end(args);
        free(place);
}

void config_warn(struct config_draft *draft, struct config_origin origin, const char *section,
                 const char *key, const char *format, ...)
{
        char *place = place_of(draft, origin, section, key);
        va_list args;

        va_start(args, format);
        find_fault(draft, &draft->warnings, origin, place, format, args);
        va_end(args);
        free(place);
}

void config_fault(struct config_draft *draft, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        find_fault(draft, &draft->errors, (struct config_origin){0}, "", format, args);
        va_end(args);
}

void config_note(struct config_draft *draft, const char *format, ...)
{
        const struct config_origin last = {.file = SIZE_MAX};
        va_list args;

        if (!draft->strict)
                return;
        va_start(args, format);
        find_fault(draft, &draft->warnings, last, "note: ", format, args);
        va_end(args);
}
