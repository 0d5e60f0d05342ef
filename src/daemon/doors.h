/* SPDX-License-Identifier: MIT */
#pragma once
/* Where people come in: the sockets that systemd passed, or else our own, under their lock. */
#include "config/config.h"
#include "daemon/control/control.h"
#include "daemon/relay/relay.h"
#include "daemon/service/service.h"
#include "util/socket.h"

struct doors {
        struct socket_path data, varlink; /* our own; the path is NULL where systemd passed them */
        char data_socket[160];            /* what clients connect to */
};

void doors_init(struct doors *doors);

/* Takes the passed sockets. Returns 0, or a negative errno where one of them is missing, which is
 * told. */
int doors_open(struct doors *doors, const struct config *config, struct service_sockets *passed,
               struct relay *relay, struct control *control);

/* Removes the paths of our own. */
void doors_done(struct doors *doors);

/* Ends who waits at passed sockets, for a process that can't serve anybody. Returns how many. */
size_t doors_turn_away(const struct service_sockets *passed);
