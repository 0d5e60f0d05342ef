/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The configuration in force, kept by the service manager beside the state. A successor that finds
 * the files broken uses the kept configuration: a typing error in a file must not end all
 * connections at a restart.
 */
#include "config/config.h"

struct last_config {
        int fd;    /* owned; -1: none */
        char *map; /* the bytes read from fd, owned */
};

/* Takes fd, the predecessor's configuration; -1: none. */
void last_config_init(struct last_config *last, int fd);

/* Closes and frees. */
void last_config_done(struct last_config *last);

/* Has `source` read the predecessor's configuration, borrowed until last_config_done(). Returns
 * false if there is none, with ENOMEM in errno if that is for lack of memory. */
bool last_config_source(struct last_config *last, struct config_source *source);

/* Keeps `config`, which is in force now, for a successor. After a crash at any moment the successor
 * finds `config` or the configuration kept before. An error is only logged.
 * Does nothing without a service manager. */
void last_config_put(struct last_config *last, const struct config *config);
