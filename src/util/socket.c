/* SPDX-License-Identifier: MIT */
#include "util/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(char *text, size_t size, const char *what, const char *path)
{
        int error = errno;

        snprintf(text, size, "can't %s %s: %s", what, path, strerror(error));
        return -error;
}

/* Opens and locks PATH.lock. Opens again if the name no longer leads to the locked file, because a
 * predecessor may just have removed the file. Returns the descriptor, or a negative errno with the
 * reason in text. */
static int lock_path(const char *path, char *text, size_t size)
{
        char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];

        snprintf(name, sizeof(name), "%s.lock", path);
        for (;;) {
                int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
                struct stat ours, named;

                if (fd < 0)
                        return fail(text, size, "open", name);
                if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                        int error = errno;

                        close(fd);
                        if (error == EWOULDBLOCK) {
                                snprintf(text, size, "%s is in use: another ftcpd holds %s", path,
                                         name);
                                return -EADDRINUSE;
                        }
                        errno = error;
                        return fail(text, size, "lock", name);
                }
                if (fstat(fd, &ours) == 0 && stat(name, &named) == 0 &&
                    ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
                        return fd;
                close(fd);
        }
}

/* Removes a stale socket. A live socket of another program, or a file that is no socket, stays, and
 * is an error. */
static int clear_path(const struct sockaddr_un *address, char *text, size_t size)
{
        struct stat st;
        int fd, result;

        if (lstat(address->sun_path, &st) < 0)
                return errno == ENOENT ? 0 : fail(text, size, "look at", address->sun_path);
        if (!S_ISSOCK(st.st_mode)) {
                snprintf(text, size, "%s exists and is no socket", address->sun_path);
                return -EEXIST;
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return fail(text, size, "make a socket for", address->sun_path);
        result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
        if (result == 0 || errno != ECONNREFUSED) {
                close(fd);
                snprintf(text, size, "%s is in use: another program listens there",
                         address->sun_path);
                return -EADDRINUSE;
        }
        close(fd);
        if (unlink(address->sun_path) < 0)
                return fail(text, size, "remove the stale", address->sun_path);
        return 0;
}

static int bind_path(const struct sockaddr_un *address, mode_t mode, gid_t gid, char *text,
                     size_t size)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        mode_t old;
        bool bound;
        int result;

        if (fd < 0)
                return fail(text, size, "make a socket for", address->sun_path);
        old = umask(0177);
        result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
        umask(old);
        bound = result == 0;
        if (result < 0)
                result = fail(text, size, "bind", address->sun_path);
        else if (gid != (gid_t)-1 && chown(address->sun_path, (uid_t)-1, gid) < 0)
                result = fail(text, size, "give SocketGroup= to", address->sun_path);
        else if (chmod(address->sun_path, mode) < 0)
                result = fail(text, size, "set the mode of", address->sun_path);
        else if (listen(fd, 4096) < 0)
                result = fail(text, size, "listen on", address->sun_path);
        if (result < 0) {
                close(fd);
                if (bound)
                        unlink(address->sun_path);
                return result;
        }
        return fd;
}

/* Removes PATH.lock, which only the holder of the lock may do, and closes the lock. */
static void unlock_path(int lock, const char *path)
{
        char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];

        snprintf(name, sizeof(name), "%s.lock", path);
        unlink(name);
        close(lock);
}

int socket_path_listen(struct socket_path *sock, const char *path, mode_t mode, gid_t gid,
                       char *text, size_t size)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int result;

        *sock = (struct socket_path){.fd = -1, .lock = -1};
        if (strlen(path) >= sizeof(address.sun_path)) {
                snprintf(text, size, "the socket path %s is too long: at most %zu bytes", path,
                         sizeof(address.sun_path) - 1);
                return -ENAMETOOLONG;
        }
        strcpy(address.sun_path, path);
        sock->path = strdup(path);
        if (!sock->path)
                return -ENOMEM;
        result = sock->lock = lock_path(path, text, size);
        if (result >= 0)
                result = clear_path(&address, text, size);
        if (result >= 0)
                result = sock->fd = bind_path(&address, mode, gid, text, size);
        if (result >= 0)
                return 0;
        if (sock->lock >= 0)
                unlock_path(sock->lock, path);
        free(sock->path);
        *sock = (struct socket_path){.fd = -1, .lock = -1};
        return result;
}

int socket_path_give(const struct socket_path *sock, mode_t mode, gid_t gid, char *text,
                     size_t size)
{
        if (chown(sock->path, (uid_t)-1, gid) < 0)
                return fail(text, size, "give SocketGroup= to", sock->path);
        if (chmod(sock->path, mode) < 0)
                return fail(text, size, "set the mode of", sock->path);
        return 0;
}

void socket_path_done(struct socket_path *sock)
{
        if (sock->lock >= 0) {
                unlink(sock->path);
                unlock_path(sock->lock, sock->path);
        }
        if (sock->fd >= 0)
                close(sock->fd);
        free(sock->path);
        *sock = (struct socket_path){.fd = -1, .lock = -1};
}

static void read_program(struct socket_peer *peer)
{
        const char *proc = getenv("FTCPD_PROC"); /* where a service manager hides processes */
        char path[128];
        ssize_t n;
        int fd;

        snprintf(path, sizeof(path), "%s/%d/comm", proc ? proc : "/proc", (int)peer->pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, peer->program, sizeof(peer->program) - 1);
        if (n > 0)
                peer->program[peer->program[n - 1] == '\n' ? n - 1 : n] = '\0';
        close(fd);
}

void socket_peer_init(struct socket_peer *peer)
{
        *peer = (struct socket_peer){.uid = SOCKET_NO_UID, .gid = SOCKET_NO_GID};
}

/* Fills the groups: gid alone if the kernel or the memory does not give the others. A group that is
 * not told takes a right away, and never gives one. */
static void read_groups(int fd, struct socket_peer *peer)
{
        socklen_t size = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
                size = 0;
        peer->groups = malloc(size + sizeof(gid_t));
        if (!peer->groups)
                return;
        if (size && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) == 0)
                peer->n_groups = size / sizeof(gid_t);
        peer->groups[peer->n_groups++] = peer->gid;
}

void socket_peer_get(int fd, struct socket_peer *peer)
{
        struct ucred cred;
        socklen_t size = sizeof(cred);

        socket_peer_init(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || size != sizeof(cred) ||
            cred.uid == SOCKET_NO_UID)
                return;
        peer->pid = cred.pid;
        peer->uid = cred.uid;
        peer->gid = cred.gid;
        read_groups(fd, peer);
        if (peer->pid > 0)
                read_program(peer);
}

void socket_peer_done(struct socket_peer *peer)
{
        free(peer->groups);
        socket_peer_init(peer);
}

void socket_address_text(const struct sockaddr *address, socklen_t size, char *text, size_t room)
{
        char host[INET6_ADDRSTRLEN + 32], port[16];

        if (address->sa_family == AF_UNIX) {
                const struct sockaddr_un *local = (const struct sockaddr_un *)address;

                snprintf(text, room, "%s",
                         size > sizeof(sa_family_t) ? local->sun_path : "(unnamed)");
                return;
        }
        if (getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
                snprintf(text, room, "(unknown)");
                return;
        }
        snprintf(text, room, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

bool socket_is_loopback(const struct sockaddr *address)
{
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;

        if (address->sa_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 ==
                       IN_LOOPBACKNET;
        return address->sa_family == AF_INET6 &&
               (IN6_IS_ADDR_LOOPBACK(v6) ||
                (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET));
}

void socket_local_text(int fd, char *text, size_t room)
{
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                snprintf(text, room, "(unknown)");
        else
                socket_address_text((struct sockaddr *)&address, size, text, room);
}

bool socket_is_short(int error)
{
        return error == ENOBUFS || error == ENOMEM;
}

void socket_keep_in_line(int fd)
{
        int on = 1;

        setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

void socket_reset(int fd)
{
        struct sockaddr nobody = {.sa_family = AF_UNSPEC};
        struct linger linger = {.l_onoff = 1};

        /* connect() resets also if another process has a copy of the descriptor. SO_LINGER resets
         * where connect() is not enough, as for a socket still connecting. */
        connect(fd, &nobody, sizeof(nobody));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(fd);
}
