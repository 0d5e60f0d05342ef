/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Names of users and groups that were unknown when the configuration was loaded. A directory of
 * users may come later than ftcpd: until a name is found, it matches nobody.
 */
#include <stdint.h>

#include "config/config.h"

/* The id of an unknown name, and of nobody: the greatest 32-bit number, "no id" for system calls.
 */
#define CONFIG_NO_ID UINT32_MAX

struct config_name {
        char *who; /* a user, or @ and a group; owned */
        uint32_t id;
};

struct config_names {
        struct config_name *items; /* owned */
        size_t n;
};

/* Looks `who` up, a user, or @ and a group. Sets *id. Returns 0, ENOENT if there is no such name,
 * or another positive errno. May take long; any thread may call it. */
int config_name_find(const char *who, uint32_t *id);

/* Sets *names to the names of config that are unknown, each with CONFIG_NO_ID, to be freed with
 * config_names_done(). A name that stands in two places is there twice. Returns 0, or -ENOMEM with
 * empty names. */
int config_names_unknown(const struct config *config, struct config_names *names);

/* Adds a copy of a name, with CONFIG_NO_ID. Returns 0 or -ENOMEM. */
int config_names_add(struct config_names *names, const char *who);

/* Frees the names. */
void config_names_done(struct config_names *names);

/* Enters the id of a name that was found wherever config has the name as unknown. Returns false if
 * that is nowhere, or as far as memory is short. */
bool config_name_learn(struct config *config, const struct config_name *name);
