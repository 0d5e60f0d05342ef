/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Takes the text of a configuration file apart, as systemd's own files are read: sections,
 * assignments, comments with # or ;, lines continued by a backslash at their end. Knows neither
 * sections nor keys by name.
 */
#include <stdbool.h>
#include <stddef.h>

enum config_item_kind {
        CONFIG_ITEM_SECTION,     /* name */
        CONFIG_ITEM_ASSIGNMENT,  /* name, value */
        CONFIG_ITEM_BAD_SECTION, /* value: what is wrong; what follows belongs to no section */
        CONFIG_ITEM_BAD_LINE,    /* value: what is wrong; what stands there may be a secret */
};

/* Strings hold until the next call. */
struct config_item {
        enum config_item_kind kind;
        unsigned line; /* the first one, of a continued line */
        const char *name, *value;
};

struct config_scan {
        const char *rest, *end;
        unsigned line;
        char *joined; /* the line being read, with its continuations */
        size_t used, room;
};

/* text may hold anything and is borrowed until config_scan_done(). */
void config_scan_begin(struct config_scan *scan, const char *text, size_t size);

/* False at the end. */
bool config_scan_next(struct config_scan *scan, struct config_item *item);

void config_scan_done(struct config_scan *scan);
