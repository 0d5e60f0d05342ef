/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A listening Unix socket at a path that this process owns for life, by a lock beside the path.
 *
 * What stands at a path changes under a running process: a cleaner removes the socket, or another
 * program binds its own. Device and inode of the path tell; the kernel gives the inode of a bound
 * socket to no other file while the socket is open.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What stands at a path. */
enum socket_path_state {
        SOCKET_PATH_OURS,   /* the socket that was bound there; also where nothing can be told */
        SOCKET_PATH_EMPTY,  /* nothing */
        SOCKET_PATH_SOCKET, /* another socket */
        SOCKET_PATH_FILE,   /* a file that is no socket */
};

/* A listening Unix stream socket and its path. */
struct socket_path {
        int fd;                 /* listening, non-blocking; -1 after a caller took the descriptor */
        int lock;               /* PATH.lock, locked while open */
        char *path;             /* owned */
        uint64_t device, inode; /* of path, as bound */
        bool unguarded;         /* the file system has no locks */
};

/* Sets sock to no socket. */
void socket_path_init(struct socket_path *sock);

/*
 * Locks PATH.lock, binds path and listens. The owner of the lock owns path: replaces a stale socket
 * at path; a locked PATH.lock, a live socket or another file at path is an error. On a file system
 * without locks only a live socket tells of another owner, and not in the instant of its start.
 * Sets mode and gid ((gid_t)-1: none) of path before the listen. Returns 0, with a doubt in text or
 * "", or a negative errno with the reason in text (no reason for -ENOMEM), which has size bytes.
 */
int socket_path_listen(struct socket_path *sock, const char *path, mode_t mode, gid_t gid,
                       char *text, size_t size);

/*
 * Locks PATH.lock again if the file was removed, and binds path anew and listens if the socket that
 * was bound there is gone. Returns 1 with a new descriptor in fd, 0 if path is as it was, or a
 * negative errno, with text as socket_path_listen(). The socket that was bound before stays open.
 */
int socket_path_mend(struct socket_path *sock, mode_t mode, gid_t gid, char *text, size_t size);

/* Gives path to the group gid, then sets mode. Returns 0, or a negative errno with the reason in
 * text, which has size bytes. */
int socket_path_give(const struct socket_path *sock, mode_t mode, gid_t gid, char *text,
                     size_t size);

/* Closes fd and lock. Removes path and PATH.lock if they are still the ones that were made. */
void socket_path_done(struct socket_path *sock);

/* Sets device and inode of the socket at path: 0 if there is none, or none to be seen. */
void socket_path_place(const char *path, uint64_t *device, uint64_t *inode);

/* Returns what stands at path, where the socket with this device and inode was bound. */
enum socket_path_state socket_path_look(const char *path, uint64_t device, uint64_t inode);
