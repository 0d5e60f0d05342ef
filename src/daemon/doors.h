/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The listening sockets, for data and for control: the sockets that systemd passed, or else our
 * own, each under a lock. A socket's path may go while ftcpd runs, by a cleaner or by another
 * program: nobody can connect then, which is told, and a reload binds our own sockets anew.
 */
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "daemon/control/control.h"
#include "daemon/relay/relay.h"
#include "daemon/report/status.h"
#include "daemon/service/service.h"
#include "util/socket_path.h"

enum door_kind { DOOR_DATA, DOOR_VARLINK, DOOR_KINDS };

/* Where a socket is. Another daemon's socket may have the same path, in another mount namespace:
 * device and inode tell which is which. */
struct door_place {
        char text[160];         /* the path, or the address; "": not open */
        uint64_t device, inode; /* of the path, as it was when ftcpd began; 0: unknown */
};

/* One socket. */
struct door {
        enum door_kind kind;
        bool passed;            /* by systemd */
        struct socket_path own; /* path NULL: passed, or it could not be opened */
        bool waits;             /* SocketGroup= is unknown yet */
        struct door_place place;
        char gone[STATUS_REASON_MAX]; /* why nobody can connect; "": the path is ours */
};

/* Told that a socket is bound anew; or not `anew`: why a socket can't be mended, or a doubt about
 * the socket. */
typedef void doors_told(void *context, bool anew, const char *text);

struct doors {
        struct door *items; /* owned */
        size_t n;
        struct relay *relay; /* borrowed, as is control */
        struct control *control;
};

/* Begins without sockets. */
void doors_init(struct doors *doors);

/* Takes the passed sockets, or opens our own where systemd passed none of a kind, and has relay and
 * control serve the sockets. Returns 0, or a negative errno if a socket is missing; errors of our
 * own sockets are logged. */
int doors_open(struct doors *doors, const struct config *config, struct service_sockets *passed,
               struct relay *relay, struct control *control);

/* Returns the place of the first socket of this kind; the place's text is "" if none is open. */
const struct door_place *doors_place(const struct doors *doors, enum door_kind kind);

/* Gives our own sockets to their groups, where SocketGroup= was unknown and is known now. */
void doors_give(struct doors *doors, const struct config *config);

/* Looks whether each path still leads to its socket. Each change is in the log and in the events.
 */
void doors_look(struct doors *doors, const struct config *config);

/* Sets the reasons why nobody can connect, as doors_look() found them; borrowed. */
void doors_status(const struct doors *doors, struct status *status);

/* Opens our own sockets that are missing, and binds those anew whose paths are gone. The sockets
 * that were bound before are served on: a mount of the old file still leads there. Returns true if
 * every socket is open. */
bool doors_mend(struct doors *doors, const struct config *config, doors_told *told, void *context);

/* Closes our own sockets and removes their paths. */
void doors_done(struct doors *doors);

/* Accepts and closes the connections that wait at passed sockets, for a process that can't serve
 * clients. Returns the number of these connections. */
size_t doors_turn_away(const struct service_sockets *passed);
