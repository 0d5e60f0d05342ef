/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The descriptors that the service manager keeps for a successor, by name: "state" is the store,
 * "config" the configuration in force, "upstream-N" the connection of session N, "bag-0" to "bag-3"
 * the ends of the fd_bag with the clients. Without a service manager nothing is kept.
 */
#include <stdbool.h>
#include <stdint.h>

#include "daemon/service/fd_bag.h"
#include "daemon/service/service.h"

enum { HANDOVER_NEEDS = 2 + FD_BAG_ENDS }; /* a successor recovers without a connection, too */

struct handover {
        int state;               /* -1: none */
        int config;              /* -1: none */
        int fd_bag[FD_BAG_ENDS]; /* -1: none */
        struct handover_upstream {
                uint64_t epoch;
                int fd;
        } * upstream; /* owned */
        size_t n_upstreams;
};

/* Takes the kept descriptors from `sockets`, by name. A descriptor of an unknown name is logged and
 * forgotten. Returns 0. To be ended with handover_done(). */
int handover_init(struct handover *handover, struct service_sockets *sockets);

/* Closes the descriptors that nobody took. Connections to the upstream are reset, and the service
 * manager forgets the connections. */
void handover_done(struct handover *handover);

/* True if ends of the fd_bag or connections to the upstream are left. */
bool handover_has_leftovers(const struct handover *handover);

/* Returns the connection of session `epoch`, the caller's from here on; -1: none. */
int handover_upstream(struct handover *handover, uint64_t epoch);

/* Ends the connections of all clients and to the upstream, because the state can't be trusted. The
 * service manager forgets the state, the fd_bag and the connections; handover is empty then. */
void handover_refuse(struct handover *handover);

/* Has the service manager keep a copy of the store's memfd. */
void handover_keep_state(int fd);

/* Has the service manager keep a copy of the memfd with the configuration in force. */
void handover_keep_config(int fd);

/* Has the service manager keep a copy of the connection of session `epoch`. */
void handover_keep_upstream(uint64_t epoch, int fd);

/* Has the service manager close the copy of this connection. */
void handover_forget_upstream(uint64_t epoch);

/* Has the service manager forget the state, the configuration and the fd_bag, at a stop: the next
 * process begins anew. Returns after service_settle(). */
void handover_forget_all(void);

/* Has the service manager keep copies of the four ends. */
void handover_keep_bag(const struct fd_bag *fd_bag);
