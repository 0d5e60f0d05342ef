/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A configuration while it is being read: what was assigned where, and what was found wrong. The
 * steps of config_load() hand it on: files fill the entries, values are read from them, the whole
 * is checked, and then it is a struct config.
 */
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/table.h"

/* Where something stands; line 0: nowhere, it is a default. */
struct config_origin {
        size_t file; /* an index into the draft's files */
        unsigned line;
};

struct config_entry {
        const struct config_row *row;
        char *value; /* empty: resets the key */
        struct config_origin origin;
};

/* What became of a row. */
struct config_row_state {
        struct config_origin *origins; /* of each value, where any was assigned */
        size_t n_origins;
        struct config_origin last; /* the last assignment in force */
        bool wrong;                /* its value is not the one that was meant */
        bool unread;               /* a secret that only the service can read */
};

struct config_finding {
        struct config_origin origin;
        size_t order; /* of finding, within a line */
        char *text;
};

struct config_findings {
        struct config_finding *items;
        size_t n;
};

struct config_draft {
        struct config *config;
        bool strict;
        char **files; /* as they are read; the first is the main one */
        size_t n_files;
        bool main_missing;
        bool unread;                   /* some file: what is missing may stand in it */
        struct config_origin upstream; /* the last [Upstream] header, for who needs an Address= */
        struct config_entry *entries;
        size_t n_entries;
        struct config_row_state *states; /* beside config_rows */
        struct config_findings errors, warnings;
};

void config_draft_init(struct config_draft *draft, bool strict);
void config_draft_done(struct config_draft *draft); /* not the configuration */

/* Each takes a copy; a file's index is returned. */
size_t config_draft_file(struct config_draft *draft, const char *path);
void config_draft_entry(struct config_draft *draft, const struct config_row *row, const char *value,
                        struct config_origin origin);

/* Moves the findings into a report, in the order of the files. */
void config_draft_report(struct config_draft *draft, struct config_report *report);

struct config_row_state *config_draft_state(struct config_draft *draft,
                                            const struct config_row *row);

/*
 * "FILE:LINE: [Section] Key: text". section, key or both may be NULL. A warning is the same, for
 * what need not stop anybody; a fault is an error that is in no file; a note has no place either
 * and is for --check-config only.
 */
void config_error(struct config_draft *draft, struct config_origin origin, const char *section,
                  const char *key, const char *format, ...) __attribute__((format(printf, 5, 6)));
void config_warn(struct config_draft *draft, struct config_origin origin, const char *section,
                 const char *key, const char *format, ...) __attribute__((format(printf, 5, 6)));
void config_fault(struct config_draft *draft, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
void config_note(struct config_draft *draft, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* read.c: reads all files of a source into entries. */
void config_files_read(struct config_draft *draft, const struct config_source *source);

/* kept.c: the entries as bytes, to be freed; and such bytes into entries. Names that are not
 * known any more are warned of. */
char *config_kept_write(const struct config_draft *draft, size_t *size);
void config_kept_read(struct config_draft *draft, const char *kept, size_t size);

/* values.c: reads the values of the entries, and the defaults of what has none. */
void config_values_read(struct config_draft *draft);

/* check.c: fills in the defaults that follow from other keys, and checks across keys. */
void config_check(struct config_draft *draft);

/* notes.c: what follows from the values. */
void config_notes(struct config_draft *draft);
