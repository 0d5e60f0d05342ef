/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * From the configured addresses to a connected socket. Words: a *round* resolves each configured
 * address anew and tries all its numeric addresses, one after the other, without a delay. The
 * caller of dial_start() decides when the next round begins, and at which address.
 */
#include <event2/event.h>

#include "config/config.h"
#include "core/state.h"

struct dial_ops {
        /* The dial resolves a name, or connects to a numeric address: `text` says which. address is
         * as configured. */
        void (*progress)(void *context, enum link_state state, const char *address,
                         const char *text);
        /* One try failed; more may follow in this round. */
        void (*failed)(void *context, enum link_cause cause, const char *text);
        /* The round ended: every address failed. */
        void (*exhausted)(void *context);
        /* The round ended with a connection; fd is the callee's. address is as configured, peer is
         * numeric. */
        void (*connected)(void *context, int fd, const char *address, const char *peer);
};

struct dial;

/* Returns NULL without memory or descriptors. All arguments are borrowed. */
struct dial *dial_new(struct event_base *base, const struct dial_ops *ops, void *context);

/* Frees the dial, with a round under way. May be NULL. */
void dial_free(struct dial *dial);

/* Begins a round at the address where the last round stopped; initially at the first. config is
 * borrowed until the round ends. */
void dial_start(struct dial *dial, const struct config *config);

/* Ends a round under way, without a call of ops. */
void dial_stop(struct dial *dial);

/* Replaces the configuration of a round under way; its addresses must be the same. The old
 * configuration is no longer borrowed. */
void dial_configure(struct dial *dial, const struct config *config);

/* The next round begins at the first address. */
void dial_rewind(struct dial *dial);

/* The next round begins behind the address of the last connection. */
void dial_skip(struct dial *dial);
