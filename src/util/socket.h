/* SPDX-License-Identifier: MIT */
#pragma once
/* Sockets of the host: the credentials of the other end, addresses as text, and a close with a
 * reset. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { SOCKET_PROGRAM = 16 }; /* room for a program's name in the kernel, with NUL */

/* "No user" and "no group", which system calls take for no id. A peer that the kernel does not tell
 * has both: 0 would be root. */
#define SOCKET_NO_UID ((uid_t)-1)
#define SOCKET_NO_GID ((gid_t)-1)

/* The other end of a Unix connection, at the time of the connect. */
struct socket_peer {
        pid_t pid;     /* 0: unknown, as for a process of another PID namespace */
        uid_t uid;     /* SOCKET_NO_UID: unknown */
        gid_t gid;     /* SOCKET_NO_GID: unknown */
        gid_t *groups; /* owned; all groups that are known, with gid */
        size_t n_groups;
        char program[SOCKET_PROGRAM]; /* name of the process; empty: unknown */
};

/* Sets peer to nobody: no process, user, group or program is known. */
void socket_peer_init(struct socket_peer *peer);

/* Fills peer, which is to be freed with socket_peer_done(), with what the kernel tells: nothing
 * more than uid and gid where the kernel does not know SO_PEERGROUPS. */
void socket_peer_get(int fd, struct socket_peer *peer);

/* As socket_peer_get(), but leaves the program empty: no question about the process is asked. */
void socket_peer_get_ids(int fd, struct socket_peer *peer);

/* Frees the groups, and sets peer to nobody. */
void socket_peer_done(struct socket_peer *peer);

/* Writes an address as "192.0.2.1:4001" or "[::1]:4001"; a Unix address as its path. */
void socket_address_text(const struct sockaddr *address, socklen_t size, char *text, size_t room);

/* True for 127.0.0.0/8, also mapped into IPv6, and for ::1. */
bool socket_is_loopback(const struct sockaddr *address);

/* Writes the local path or address of a socket, as socket_address_text() does. */
void socket_local_text(int fd, char *text, size_t room);

/* A send or receive for which the host has no memory is tried again after this time. */
enum { SOCKET_RETRY_USEC = 10000 };

/* True for an error of a send or receive for which the host has no memory now (ENOBUFS, ENOMEM),
 * which says nothing of the connection. */
bool socket_is_short(int error);

/* Keeps urgent bytes in line with the others: otherwise the kernel tears them out of the stream. To
 * be called before the first byte can come: before connect(), for a TCP listener before listen() or
 * as soon as it is known, and for an accepted Unix socket, which inherits nothing, before the first
 * receive. */
void socket_keep_in_line(int fd);

/* Closes a TCP connection with a reset, which leaves no half-open connection at the peer. */
void socket_reset(int fd);
