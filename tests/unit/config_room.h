/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A directory that stands for / while a test reads a configuration from it. Each test has its own;
 * room_done() removes it.
 */
#include "config/config.h"

struct room {
        char root[64];
        struct config *config; /* of the last load; NULL after an error */
        struct config_report report;
};

int room_setup(void **state);    /* of cmocka: *state is the struct room */
int room_teardown(void **state); /* also forgets the last load */

/* Makes a file below the root, with the folders before it. */
void room_write(struct room *room, const char *path, const char *text);
void room_write_bytes(struct room *room, const char *path, const void *data, size_t size);

/* The default instance, its files below the root. Frees what the last load gave. */
struct config *room_load(struct room *room, bool strict);
struct config *room_load_instance(struct room *room, const char *instance, bool strict);

/* Writes /etc/ftcpd.conf, and loads it strictly. */
struct config *room_try(struct room *room, const char *text);

/* The same, with an [Upstream] Address= before text; fails the test where that is an error. */
struct config *room_take(struct room *room, const char *text);

/* Must be errors: exactly one, that begins with place and has the words in it. */
void room_refuse(struct room *room, const char *text, const char *place, const char *words);

bool room_warns(const struct room *room, const char *words);

/* The value of a key as status shows it, or NULL; of a list, its value number i. */
const struct config_setting *room_setting(const struct room *room, const char *section,
                                          const char *key, size_t i);
