/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Every key of the configuration, one row each. The row drives parsing, defaults, printing, what a
 * reload may change, and the tests that the sample file and the manual name the key.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_type;

/* What 0 means. Where it is off, so is "infinity". */
enum config_zero { CONFIG_ZERO_WRONG, CONFIG_ZERO_OFF, CONFIG_ZERO_FINE };

/* What a reload that changes the key does. */
enum config_reload {
        CONFIG_RELOAD_APPLIES,
        CONFIG_RELOAD_REDIALS, /* the link was made from it */
        CONFIG_RELOAD_REFUSED, /* only a restart changes it */
};

struct config_row {
        const char *section, *key;
        const struct config_type *type;
        size_t offset;              /* of its value in struct config */
        size_t id_offset;           /* a group's: of its gid */
        const char *fallback;       /* the default as written in a file; "": none */
        const char *named_fallback; /* the same for an instance, %s its name; NULL: the same */
        const char *const *words;   /* a word's: all that may stand there, by value, then NULL */
        uint64_t min, max;          /* of a number that is not 0; max 0: no limit, and spans may be
                                       "infinity" */
        enum config_zero zero;
        enum config_reload reload;
        bool list;       /* each assignment adds to it */
        bool secret;     /* never shown, only how many there are */
        bool derived;    /* not assigned, it follows from other keys; fallback only says so */
        const char *doc; /* one line for the sample file and --print-defaults */
};

extern const struct config_row config_rows[];
extern const size_t config_n_rows;

/* The row of a key, or NULL. */
const struct config_row *config_row_find(const char *section, const char *key);

/* The section's name as the table owns it, or NULL where there is no such section. */
const char *config_section_find(const char *section);

/* The place of a row in the table, for arrays that go beside it. */
size_t config_row_index(const struct config_row *row);
