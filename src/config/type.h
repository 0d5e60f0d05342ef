/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The kinds of value that a key can have: how each is read from text, shown again, and freed. A
 * value lies in struct config where its row says.
 */
#include <stddef.h>

#include "config/config.h"
#include "config/table.h"

enum { CONFIG_TEXT_MAX = 512, CONFIG_QUOTE_MAX = 64 };

/* One value on its way from a file into a configuration. */
struct config_reading {
        struct config *config;
        const struct config_row *row;
        bool strict;   /* --check-config: may run where the service's secrets are not */
        bool fallback; /* the value is the default, nobody wrote it */
        bool unread;   /* the value is a secret that is not here */
        char wrong[CONFIG_TEXT_MAX]; /* after -EINVAL: what is wrong, and what was expected */
        char note[CONFIG_TEXT_MAX];  /* what the reader of a check should know; "": nothing */
};

struct config_type {
        /*
         * Reads text, which is never empty, and puts it into the configuration: a scalar in place
         * of what stood there, a list behind it. Returns 0, or -EINVAL with reading->wrong filled
         * and the configuration as it was.
         */
        int (*read)(struct config_reading *reading, const char *text);

        /* How many values there are; NULL: always one. */
        size_t (*count)(const struct config_row *row, const struct config *config);

        /* The value number i as it could be written in a file, to be freed; secrets in clear. */
        char *(*show)(const struct config_row *row, const struct config *config, size_t i);

        /* The same, but nothing in it is a name that must be looked up; NULL: as show does. */
        char *(*keep)(const struct config_row *row, const struct config *config, size_t i);

        /* Frees what the value owns; NULL: nothing. */
        void (*clear)(const struct config_row *row, struct config *config);

        /* Somebody has assigned nothing to the list; NULL: that says no more than no value. */
        void (*reset)(const struct config_row *row, struct config *config);
};

/* numbers.c */
extern const struct config_type config_type_span;   /* uint64_t, microseconds */
extern const struct config_type config_type_size;   /* uint64_t */
extern const struct config_type config_type_count;  /* uint64_t */
extern const struct config_type config_type_small;  /* uint32_t */
extern const struct config_type config_type_signed; /* int64_t */
extern const struct config_type config_type_bool;   /* bool */
extern const struct config_type config_type_word;   /* an enum, or int */
extern const struct config_type config_type_mode;   /* mode_t */

/* bytes.c */
extern const struct config_type config_type_messages;  /* struct config_messages; one, or a list */
extern const struct config_type config_type_expect;    /* struct config_bytes */
extern const struct config_type config_type_delimiter; /* in struct frame_spec */

/* names.c */
extern const struct config_type config_type_address; /* the list of addresses */
extern const struct config_type config_type_source;  /* char *, a local address */
extern const struct config_type config_type_socket;  /* char *, a path */
extern const struct config_type config_type_group;   /* char *, and its gid */
extern const struct config_type config_type_people;  /* struct config_people */

/* Where the row's value lies. Who reads a configuration takes it as const. */
static inline void *config_place(const struct config_row *row, const struct config *config)
{
        return (char *)config + row->offset;
}

/* Fills reading->wrong; returns -EINVAL. */
int config_wrong(struct config_reading *reading, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Gives add each of the values that stand in one assignment, with blanks between them. */
int config_read_words(struct config_reading *reading, const char *text,
                      int (*add)(struct config_reading *reading, const char *word));

/* text in double quotes, cut where it is long, never inside a character. */
struct config_quoted {
        char text[CONFIG_QUOTE_MAX];
};
struct config_quoted config_quote(const char *text);

/* How many values the row has, and whether a and b hold the same ones. */
size_t config_count(const struct config_row *row, const struct config *config);
bool config_same(const struct config_row *row, const struct config *a, const struct config *b);
