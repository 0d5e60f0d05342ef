/* SPDX-License-Identifier: MIT */
#pragma once
/* The listening sockets, for data and for control: the sockets that systemd passed, or else our
 * own, each under a lock. */
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "daemon/control/control.h"
#include "daemon/relay/relay.h"
#include "daemon/service/service.h"
#include "util/socket_path.h"

/* Where a socket is. Another daemon's socket may have the same path, in another mount namespace:
 * device and inode tell which is which. */
struct doors_place {
        char text[160];         /* the path, or the address; "": not open */
        uint64_t device, inode; /* of the path, as it was when ftcpd began; 0: unknown */
};

struct doors {
        struct socket_path data, varlink; /* our own; path NULL: systemd passed the socket */
        bool data_waits, varlink_waits;   /* SocketGroup= is unknown yet */
        struct doors_place at_data, at_varlink;
};

/* Begins without sockets. */
void doors_init(struct doors *doors);

/* Takes the passed sockets, or opens our own where systemd passed none of a kind, and has relay and
 * control serve the sockets. Returns 0, or a negative errno if a socket is missing; errors of our
 * own sockets are logged. */
int doors_open(struct doors *doors, const struct config *config, struct service_sockets *passed,
               struct relay *relay, struct control *control);

/* Gives our own sockets to their groups, where SocketGroup= was unknown and is known now. */
void doors_give(struct doors *doors, const struct config *config);

/* Closes our own sockets and removes their paths. */
void doors_done(struct doors *doors);

/* Accepts and closes the connections that wait at passed sockets, for a process that can't serve
 * clients. Returns the number of these connections. */
size_t doors_turn_away(const struct service_sockets *passed);
