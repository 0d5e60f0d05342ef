/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The configuration in force, kept by the service manager beside the state: a process that takes
 * over while the files are broken goes on with it. A restart must not end everybody's connections
 * for a slip of somebody's pen.
 */
#include "config/config.h"

struct last_config {
        int fd;    /* owned; -1: none */
        char *map; /* what was read from it, owned */
};

/* Takes what the last process left; fd -1: it left none. */
void last_config_init(struct last_config *last, int fd);
void last_config_done(struct last_config *last);

/* Makes a source of it, valid until last_config_done(). False: there is none. */
bool last_config_source(struct last_config *last, struct config_source *source);

/* This one is in force now. The next process finds it or the one before, whenever this one ends. */
void last_config_put(struct last_config *last, const struct config *config);
