/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Splits the text of a configuration file into items, by the rules of systemd's own files:
 * sections, assignments, comments with # or ;, lines continued by a backslash at their end. The
 * scan knows neither sections nor keys by name.
 */
#include <stdbool.h>
#include <stddef.h>

enum config_item_kind {
        CONFIG_ITEM_SECTION,     /* name */
        CONFIG_ITEM_ASSIGNMENT,  /* name, value */
        CONFIG_ITEM_BAD_SECTION, /* value: the fault; the lines below belong to no section */
        CONFIG_ITEM_BAD_LINE,    /* value: the fault, without the line, which may be a secret */
};

/* The strings are valid until the next call with the same scan. */
struct config_item {
        enum config_item_kind kind;
        unsigned line; /* of a continued line: the first */
        const char *name, *value;
};

struct config_scan {
        const char *rest, *end;
        unsigned line;
        char *joined; /* the current line with its continuations; owned */
        size_t used, room;
        bool starved; /* memory was short: the scan ended early */
};

/* Begins a scan of size bytes of text, which may be any bytes. text is borrowed until
 * config_scan_done(). */
void config_scan_begin(struct config_scan *scan, const char *text, size_t size);

/* Fills item with the next item. False at the end of the text, or without memory. */
bool config_scan_next(struct config_scan *scan, struct config_item *item);

/* Frees the memory of the scan. */
void config_scan_done(struct config_scan *scan);
