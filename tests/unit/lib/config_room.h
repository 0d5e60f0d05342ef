/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A *room*: a directory in place of / for the configuration files of a test. room_setup() makes a
 * room for each test, room_teardown() removes the room.
 */
#include "config/config.h"

struct room {
        char root[64];
        struct config *config; /* of the last load, owned; NULL after an error */
        struct config_report report;
};

/* cmocka's set-up: *state is then the struct room. */
int room_setup(void **state);

/* cmocka's teardown: frees the room and the last load. */
int room_teardown(void **state);

/* Writes a text to a file below the root, and makes the folders of its path. */
void room_write(struct room *room, const char *path, const char *text);

/* Writes bytes to a file below the root, and makes the folders of its path. */
void room_write_bytes(struct room *room, const char *path, const void *data, size_t size);

/* Loads the default instance from the files below the root, and frees the last load. Returns
 * room->config, NULL after an error. */
struct config *room_load(struct room *room, bool strict);

/* Loads a named instance as room_load() does. */
struct config *room_load_instance(struct room *room, const char *instance, bool strict);

/* Writes text to /etc/ftcpd.conf, and loads the default instance strictly. */
struct config *room_try(struct room *room, const char *text);

/* As room_try(), with an [Upstream] Address= before text. Fails the test after an error. */
struct config *room_take(struct room *room, const char *text);

/* As room_take() for a wrong text: fails the test unless the load gives exactly one error, at
 * `place` of /etc/ftcpd.conf, with `words` and "expected" in the text. */
void room_refuse(struct room *room, const char *text, const char *place, const char *words);

/* True if a warning of the last load contains the words. */
bool room_warns(const struct room *room, const char *words);

/* Returns value number i (0 for a key without a list) of a key as status shows it, or NULL. */
const struct config_setting *room_setting(const struct room *room, const char *section,
                                          const char *key, size_t i);
