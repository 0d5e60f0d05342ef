/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Looks up names of users and groups again that were unknown when the configuration was loaded, off
 * the event loop: a directory may come later than ftcpd, and be slow. One thread at a time shares
 * nothing with the event loop but the message with the names.
 */
#include <stdint.h>

#include <event2/event.h>

#include "config/people.h"

struct lookups;

/* Told of names that were looked up; a name that is still unknown has CONFIG_NO_ID. Not called if
 * none was found. */
typedef void lookups_found(void *context, const struct config_names *names);

/* Returns NULL without memory or descriptors. base and context are borrowed. */
struct lookups *lookups_new(struct event_base *base, lookups_found *found, void *context);

/* Looks up these names every `every` microseconds from now on, in place of the names before, until
 * lookups_set() has none. Takes over names. */
void lookups_set(struct lookups *lookups, struct config_names *names, uint64_t every);

/* Frees lookups, which may be NULL. A thread under way ends on its own. */
void lookups_free(struct lookups *lookups);
