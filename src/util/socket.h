/* SPDX-License-Identifier: MIT */
#pragma once
/* Sockets of this host: a Unix path that is ours for life, who is at the other end, and closing for
 * good. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

/* A listening Unix stream socket of our own. */
struct socket_path {
        int fd;     /* listening, non-blocking; whoever takes it puts -1 here */
        int lock;   /* PATH.lock, locked for as long as it is open */
        char *path; /* owned */
};

/*
 * Binds and listens. The lock decides who owns the path: a stale one is replaced, a live one is an
 * error. mode and gid
 * ((gid_t)-1: none) are set before it listens. Returns 0, or a negative errno with the reason in
 * text.
 */
int socket_path_listen(struct socket_path *socket, const char *path, mode_t mode, gid_t gid,
                       char *text, size_t size);

/* Closes, and removes the path if it still is ours. */
void socket_path_done(struct socket_path *socket);

enum { SOCKET_PROGRAM = 16 }; /* room for its name, as the kernel keeps it */

/* The other end of a Unix connection; its groups with its primary one, to be freed. */
struct socket_peer {
        pid_t pid;
        uid_t uid;
        gid_t gid;
        gid_t *groups;
        size_t n_groups;
        char program[SOCKET_PROGRAM]; /* of /proc; empty: unknown */
};

/* Returns 0 or a negative errno. */
int socket_peer_get(int fd, struct socket_peer *peer);
void socket_peer_done(struct socket_peer *peer);

/* "192.0.2.1:4001", "[::1]:4001"; for a Unix address its path. */
void socket_address_text(const struct sockaddr *address, socklen_t size, char *text, size_t room);

/* Is it 127.0.0.0/8 or ::1? */
bool socket_is_loopback(const struct sockaddr *address);

/* The local path or address of a listening socket. */
void socket_local_text(int fd, char *text, size_t room);

/* Closes a TCP connection with a reset, so that the peer finds no ghost of it. */
void socket_reset(int fd);
