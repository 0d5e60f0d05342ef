/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Every key of the configuration, one row each. The row drives parsing, defaults, printing, the
 * effect of a reload, and the tests that the sample file and the manual name the key.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_type;

/* The meaning of 0: an error, off, or a number as any other. Where 0 is off, a span of "infinity"
 * is off, too. */
enum config_zero { CONFIG_ZERO_WRONG, CONFIG_ZERO_OFF, CONFIG_ZERO_FINE };

/* The effect of a reload that changes the key. */
enum config_reload {
        CONFIG_RELOAD_APPLIES,
        CONFIG_RELOAD_REDIALS, /* the link was made from the key, and is dialled again */
        CONFIG_RELOAD_REFUSED, /* only a restart changes the key */
};

struct config_row {
        const char *section, *key;
        const struct config_type *type;
        size_t offset;              /* of the value in struct config */
        size_t id_offset;           /* for a group: of the gid in struct config */
        const char *fallback;       /* the default as written in a file; "": none */
        const char *named_fallback; /* the default of an instance, %s its name; NULL: fallback */
        const char *const *words;   /* for a word: all allowed words, by value, then NULL */
        uint64_t min, max;          /* of a number that is not 0; max 0: no limit, and a span may
                                       be "infinity" */
        enum config_zero zero;
        enum config_reload reload;
        bool list;       /* each assignment adds values */
        bool secret;     /* the values are never shown, only their number */
        bool derived;    /* without an assignment, the value follows from other keys, or several
                            values are in force */
        const char *doc; /* one line for the sample file and --print-defaults */
};

extern const struct config_row config_rows[];
extern const size_t config_n_rows;

/* The row of key in section, or NULL if the table has none. */
const struct config_row *config_row_find(const char *section, const char *key);

/* The name of a section as a string of the table, or NULL if the table has no such section. */
const char *config_section_find(const char *section);

/* The index of row in config_rows, for arrays in the order of the table. */
size_t config_row_index(const struct config_row *row);
