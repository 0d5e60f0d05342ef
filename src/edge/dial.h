/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * From the configured addresses to a connected socket. Words: a *round* resolves each configured
 * address anew and tries all its numeric addresses, one after the other, without a delay. The
 * caller of dial_start() decides when the next round begins, and at which address. The addresses of
 * a name that cannot be resolved are those of a late answer, or else *remembered* ones: those that
 * the name had when last connected.
 */
#include <sys/socket.h>

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
         * numeric. origin: where the peer's address is from ("when last connected"), if the name
         * was not resolved; a constant, or NULL. */
        void (*connected)(void *context, int fd, const char *address, const char *peer,
                          const char *origin);
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

/* Takes the address of a connection that a predecessor made, for dial_remember(). */
void dial_recover(struct dial *dial, const struct sockaddr *peer, socklen_t size);

/* The last connection proved itself: from now on its addresses are tried whenever the name in
 * `address`, as configured, cannot be resolved. No effect if config has no such address. */
void dial_remember(struct dial *dial, const struct config *config, const char *address);
