/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The types of values: functions to read a value from text, to show the value again, and to free
 * it. The row of a key tells the place of the value in struct config.
 */
#include <stddef.h>

#include "config/config.h"
#include "config/table.h"

enum { CONFIG_TEXT_MAX = 512, CONFIG_QUOTE_MAX = 64 };

/* One value on its way from a file into a configuration. */
struct config_reading {
        struct config *config;
        const struct config_row *row;
        bool strict;   /* --check-config: the credentials of the service may be absent */
        bool fallback; /* the value is the default, from no file */
        bool unread;   /* result: the value is a credential that only the service can read */
        char wrong[CONFIG_TEXT_MAX]; /* after -EINVAL: the fault, and the expected value */
        char note[CONFIG_TEXT_MAX];  /* a note for the reader of a check; "": none */
        char doubt[CONFIG_TEXT_MAX]; /* a fault that prevents no start; "": none */
        const char *effect;          /* of all that is in doubt; static; NULL: doubt says it */
};

struct config_type {
        /*
         * Reads text, which is never empty, into the configuration: replaces a scalar, or appends
         * to a list. Returns 0, -EINVAL with reading->wrong filled, or -ENOMEM. The configuration
         * is unchanged after an error, but a list keeps the words of text before the wrong word.
         */
        int (*read)(struct config_reading *reading, const char *text);

        /* Returns the number of values; NULL: always one. */
        size_t (*count)(const struct config_row *row, const struct config *config);

        /* Returns value number i as text for a file, to be freed; a secret in clear. NULL: no
         * memory. */
        char *(*show)(const struct config_row *row, const struct config *config, size_t i);

        /* As show, but without a name that must be looked up again; NULL: show is used. */
        char *(*keep)(const struct config_row *row, const struct config *config, size_t i);

        /* Frees the memory of the values; NULL: the value owns none. */
        void (*clear)(const struct config_row *row, struct config *config);

        /* Notes that the files assign an empty list; NULL: an empty list is as no assignment. */
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

/* The address of the row's value in config. A caller that only reads casts to a const type. */
static inline void *config_place(const struct config_row *row, const struct config *config)
{
        return (char *)config + row->offset;
}

/* Fills reading->wrong. Returns -EINVAL. */
int config_wrong(struct config_reading *reading, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Adds a fault that prevents no start to reading->doubt. */
void config_doubt(struct config_reading *reading, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

/* Calls add for each word of text, between blanks, until one call fails. Returns 0, the result of
 * the failed call, or -ENOMEM. */
int config_read_words(struct config_reading *reading, const char *text,
                      int (*add)(struct config_reading *reading, const char *word));

/* A text in double quotes, or in single ones if double ones are part of the text. A long text is
 * cut, never inside a character. */
struct config_quoted {
        char text[CONFIG_QUOTE_MAX];
};
struct config_quoted config_quote(const char *text);

/* The number of values of the row in config. */
size_t config_count(const struct config_row *row, const struct config *config);

/* Returns 1 if a and b have the same values of the row, in the same order, 0 if not, or -ENOMEM. */
int config_same(const struct config_row *row, const struct config *a, const struct config *b);
