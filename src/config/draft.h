/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A configuration during config_load(): the assignments with their origins, and the findings. A
 * draft passes through these steps: the files fill the entries, the entries become values in a
 * struct config, and the configuration is checked as a whole.
 *
 * Words: an *entry* is one assignment of a file; an *origin* its file and line; a *finding* an
 * error, a warning or a note.
 */
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/table.h"

/* File and line of an assignment. line 0: none, as for a default. */
struct config_origin {
        size_t file; /* an index into the draft's files */
        unsigned line;
};

struct config_entry {
        const struct config_row *row;
        char *value; /* empty: resets the key */
        struct config_origin origin;
};

/* The state of a table row in a draft. */
struct config_row_state {
        struct config_origin *origins; /* one for each assigned value */
        size_t n_origins;
        struct config_origin last; /* the last assignment in force */
        bool wrong;                /* an assignment had an error: the value is not the wanted one */
        bool unread;               /* a secret that only the service can read */
};

struct config_finding {
        struct config_origin origin;
        size_t order; /* the number of the finding: the order within a line */
        char *text;
};

struct config_findings {
        struct config_finding *items;
        size_t n;
};

struct config_draft {
        struct config *config;
        bool strict;
        bool starved; /* memory was short: entries, values or findings are missing */
        char **files; /* in the order of reading; the main file is the first */
        size_t n_files;
        bool main_missing;
        bool main_piped;               /* the main file is a pipe, which is read once only */
        bool unread;                   /* some file can't be read: a missing key may stand in it */
        struct config_origin upstream; /* the last [Upstream] header of the main file: the place
                                          to name where Address= is missing */
        struct config_entry *entries;
        size_t n_entries;
        struct config_row_state *states; /* in the order of config_rows */
        struct config_findings errors, warnings;
};

/* Makes an empty draft with a configuration of zeros; the caller takes draft->config over. Returns
 * 0, or -ENOMEM with nothing to be freed. */
int config_draft_init(struct config_draft *draft, bool strict);

/* Frees all of the draft except draft->config. */
void config_draft_done(struct config_draft *draft);

/* Notes that memory was short: the load fails. The functions below note that by themselves. */
void config_draft_starve(struct config_draft *draft);

/* Adds a copy of path to the files; returns the index of the file, or 0 without memory. */
size_t config_draft_file(struct config_draft *draft, const char *path);

/* Adds an entry with a copy of value. */
void config_draft_entry(struct config_draft *draft, const struct config_row *row, const char *value,
                        struct config_origin origin);

/* Moves the findings into report, in the order of the files. Without memory, now or before, the
 * report has none and is `starved`. */
void config_draft_report(struct config_draft *draft, struct config_report *report);

/* The state of row; owned by the draft. */
struct config_row_state *config_draft_state(struct config_draft *draft,
                                            const struct config_row *row);

/* Adds an error: "FILE:LINE: [Section] Key: text". section, key or both may be NULL. */
void config_error(struct config_draft *draft, struct config_origin origin, const char *section,
                  const char *key, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Adds a warning, in the form of config_error(): a fault that prevents no start. */
void config_warn(struct config_draft *draft, struct config_origin origin, const char *section,
                 const char *key, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Adds an error that belongs to no file: the text alone. */
void config_fault(struct config_draft *draft, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Adds "note: text" behind all warnings; with --check-config only. */
void config_note(struct config_draft *draft, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* read.c: reads all files of a source into entries. */
void config_files_read(struct config_draft *draft, const struct config_source *source);

/* kept.c: the assignments in force, as *size bytes to be freed; NULL without memory. */
char *config_kept_write(const struct config_draft *draft, size_t *size);

/* kept.c: reads the bytes of config_kept_write() into entries. Adds a warning for each key that is
 * no longer known. */
void config_kept_read(struct config_draft *draft, const char *kept, size_t size);

/* values.c: reads the defaults, and the values of the entries over them. */
void config_values_read(struct config_draft *draft);

/* check.c: fills in the defaults that follow from other keys, and checks across keys. */
void config_check(struct config_draft *draft);

/* notes.c: adds notes on the effect of the values. */
void config_notes(struct config_draft *draft);
