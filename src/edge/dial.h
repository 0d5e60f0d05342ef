/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * From the configured addresses to a connected socket: one round resolves each anew and tries all
 * its addresses, one after the other, without a delay. Who is told of a failure decides when the
 * next round begins, and where.
 */
#include <event2/event.h>

#include "config/config.h"
#include "core/state.h"

struct dial_ops {
        /* Resolving a name, or connecting to a numeric address: `text` says which. address is as
         * configured. */
        void (*progress)(void *context, enum link_state state, const char *address,
                         const char *text);
        /* One try came to nothing; more may follow in this round. */
        void (*failed)(void *context, enum link_cause cause, const char *text);
        /* All were tried. */
        void (*exhausted)(void *context);
        /* The socket is the callee's. address is as configured, peer numeric. */
        void (*connected)(void *context, int fd, const char *address, const char *peer);
};

struct dial;

struct dial *dial_new(struct event_base *base, const struct dial_ops *ops, void *context);
void dial_free(struct dial *dial);

/* Begins where the last try left off, or at the first address. The configuration is borrowed until
 * the round ends. */
void dial_start(struct dial *dial, const struct config *config);
void dial_stop(struct dial *dial);

/* A round under way goes on with this configuration, whose addresses are the same. The one before
 * is no longer borrowed. */
void dial_configure(struct dial *dial, const struct config *config);

/* The next round begins with the first address, or with the one behind that of the last connection.
 */
void dial_rewind(struct dial *dial);
void dial_skip(struct dial *dial);
