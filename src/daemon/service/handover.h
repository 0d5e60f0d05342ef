/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What outlives this process: the descriptors that the service manager keeps for the next one, by
 * name. "state" is the memory, "config" the configuration in force, "upstream-N" connection number
 * N, "bag-0" to "bag-3" the bags with the clients. Without a service manager nothing is kept.
 */
#include <stdbool.h>
#include <stdint.h>

#include "daemon/service/fd_bag.h"
#include "daemon/service/service.h"

enum { HANDOVER_NEEDS = 2 + FD_BAG_ENDS }; /* without a connection, one goes on nevertheless */

struct handover {
        int state;               /* -1: nothing was left */
        int config;              /* -1: none */
        int fd_bag[FD_BAG_ENDS]; /* -1: none */
        struct handover_upstream {
                uint64_t epoch;
                int fd;
        } * upstream; /* owned */
        size_t n_upstreams;
};

/* Sorts what systemd passed besides the sockets. Returns 0 or a negative errno; done with
 * handover_done() in both cases. */
int handover_init(struct handover *handover, struct service_sockets *sockets);

/* Closes what nobody took, and has it forgotten. */
void handover_done(struct handover *handover);

/* Is anything left but the state? */
bool handover_has_leftovers(const struct handover *handover);

/* The connection with this number, the caller's from here on; -1: it is not there. */
int handover_upstream(struct handover *handover, uint64_t epoch);

/* The state can't be trusted: everybody at the other end is told so, by the end of the connection.
 * Nothing is left then. */
void handover_refuse(struct handover *handover);

/* For the next process. */
void handover_keep_state(int fd);
void handover_keep_config(int fd);
void handover_keep_upstream(uint64_t epoch, int fd);
void handover_forget_upstream(uint64_t epoch);
/* There is no next process to go on with it: one that is started all the same begins anew. */
void handover_forget_all(void);
void handover_keep_bag(const struct fd_bag *fd_bag);
