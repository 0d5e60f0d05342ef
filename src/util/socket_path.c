/* SPDX-License-Identifier: MIT */
#include "util/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/host_error.h"
#include "util/user.h"

enum {
        BACKLOG = 4096,
        LOCK_TRIES = 1000, /* each try loses to another process that removes or makes the lock */
        MODE_BITS = 0777,
};

#define LOCK_NAME_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + 8)

static int fail(char *text, size_t size, const char *what, const char *path)
{
        int error = errno;

        snprintf(text, size, "can't %s %s: %s", what, path, host_error_words(HOST_CALL_ANY, error));
        return -error;
}

/* As fail(), and tells of a file of another user whom to ask. */
static int fail_of_owner(char *text, size_t size, const char *what, const char *path)
{
        int result = fail(text, size, what, path);
        size_t at = strlen(text);
        char name[USER_NAME_MAX];
        struct stat st;

        if ((result != -EACCES && result != -EPERM) || lstat(path, &st) < 0 ||
            st.st_uid == geteuid())
                return result;
        user_name(st.st_uid, name);
        snprintf(text + at, size - at,
                 ": the file belongs to another user, %s: if no ftcpd of %s runs, remove the file",
                 name, name);
        return result;
}

/* ---- what stands at a path ---- */

void socket_path_place(const char *path, uint64_t *device, uint64_t *inode)
{
        struct stat st;

        *device = *inode = 0;
        if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
                *device = st.st_dev;
                *inode = st.st_ino;
        }
}

enum socket_path_state socket_path_look(const char *path, uint64_t device, uint64_t inode)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? SOCKET_PATH_EMPTY : SOCKET_PATH_OURS;
        if (!S_ISSOCK(st.st_mode))
                return SOCKET_PATH_FILE;
        return st.st_dev == device && st.st_ino == inode ? SOCKET_PATH_OURS : SOCKET_PATH_SOCKET;
}

/* ---- the lock ---- */

static void lock_name(const char *path, char name[LOCK_NAME_MAX])
{
        snprintf(name, LOCK_NAME_MAX, "%s.lock", path);
}

/* True if name leads to the open file. */
static bool is_named(int fd, const char *name)
{
        struct stat ours, named;

        return fstat(fd, &ours) == 0 && lstat(name, &named) == 0 && ours.st_ino == named.st_ino &&
               ours.st_dev == named.st_dev;
}

/* Opens the lock, or makes it. A file that is there is opened without O_CREAT: otherwise, in a
 * directory as /tmp, fs.protected_regular keeps even root from a file of another user. */
static int lock_open(const char *name)
{
        const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
        int fd = -1;

        for (int i = 0; i < LOCK_TRIES; i++) {
                fd = open(name, flags);
                if (fd >= 0 || errno != ENOENT)
                        return fd;
                fd = open(name, flags | O_CREAT | O_EXCL, 0600);
                if (fd >= 0 || errno != EEXIST)
                        return fd;
        }
        return fd;
}

/* True for an error of flock() that says that the file system has no locks. */
static bool has_no_locks(int error)
{
        return error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
}

/* Opens and locks PATH.lock. Opens again if the name no longer leads to the locked file, because a
 * predecessor may just have removed the file. Sets *doubt to the error of a file system without
 * locks, or 0. Returns the descriptor, or a negative errno with the reason in text. */
static int lock_path(const char *path, int *doubt, char *text, size_t size)
{
        char name[LOCK_NAME_MAX];

        lock_name(path, name);
        for (;;) {
                int fd = lock_open(name);
                bool locked;

                if (fd < 0 && errno == ELOOP) {
                        snprintf(text, size, "%s is a symbolic link, expected a file", name);
                        return -ELOOP;
                }
                if (fd < 0)
                        return fail_of_owner(text, size, "open", name);
                locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
                *doubt = locked ? 0 : errno;
                if (locked ? is_named(fd, name) : has_no_locks(*doubt))
                        return fd;
                close(fd);
                if (*doubt == EWOULDBLOCK) {
                        snprintf(text, size, "%s is in use: another process holds the lock %s",
                                 path, name);
                        return -EADDRINUSE;
                }
                errno = *doubt;
                if (*doubt)
                        return fail(text, size, "lock", name);
        }
}

static void unlock(int lock, const char *path)
{
        char name[LOCK_NAME_MAX];

        lock_name(path, name);
        if (is_named(lock, name))
                unlink(name);
        close(lock);
}

static void doubt_lock(const char *path, int error, char *text, size_t size)
{
        size_t at = strlen(text);

        snprintf(text + at, size - at,
                 "%s%s.lock can't be locked on this file system (%s): of two ftcpd that start in "
                 "the same instant both may run, and clients reach one of them",
                 at ? "; " : "", path, strerror(error));
}

/* ---- the socket ---- */

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
        result = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
        close(fd);
        errno = result;
        if (result == EACCES)
                return fail_of_owner(text, size, "tell whether somebody listens at",
                                     address->sun_path);
        if (result == 0 || result == EAGAIN || result == EPROTOTYPE) {
                snprintf(text, size, "%s is in use: %s", address->sun_path,
                         result == EPROTOTYPE ? "a socket of another type is bound there"
                                              : "another program listens there");
                return -EADDRINUSE;
        }
        if (result != ECONNREFUSED && result != ENOENT)
                return fail(text, size, "tell whether somebody listens at", address->sun_path);
        if (unlink(address->sun_path) < 0 && errno != ENOENT)
                return fail_of_owner(text, size, "remove the stale", address->sun_path);
        return 0;
}

/* Sets the mode of path where bind() did not. A file system that knows no chmod() of sockets is no
 * error unless its mode lets more people in: then text has a doubt. Fills st. */
static int settle_mode(const char *path, mode_t mode, struct stat *st, char *text, size_t size)
{
        int result;

        if (lstat(path, st) < 0)
                return fail(text, size, "look at", path);
        if ((st->st_mode & MODE_BITS) == mode || chmod(path, mode) == 0)
                return 0;
        result = fail(text, size, "set the mode of", path);
        if (st->st_mode & MODE_BITS & ~mode)
                return result;
        snprintf(text, size, "the mode of %s is %04o, and the file system can't set %04o: %s", path,
                 (unsigned)st->st_mode & MODE_BITS, (unsigned)mode, strerror(-result));
        return 0;
}

/* Sets group, mode, device and inode of the path that fd is bound to, then listens. */
static int open_path(struct socket_path *sock, int fd, mode_t mode, gid_t gid, char *text,
                     size_t size)
{
        struct stat st;
        int result;

        if (gid != (gid_t)-1 && chown(sock->path, (uid_t)-1, gid) < 0)
                return fail(text, size, "give SocketGroup= to", sock->path);
        result = settle_mode(sock->path, mode, &st, text, size);
        if (result < 0)
                return result;
        if (listen(fd, BACKLOG) < 0)
                return fail(text, size, "listen on", sock->path);
        sock->device = st.st_dev;
        sock->inode = st.st_ino;
        return 0;
}

/* Binds address with this mode from the first moment, as far as the file system can. */
static int bind_with(int fd, const struct sockaddr_un *address, mode_t mode)
{
        mode_t old;
        int result;

        /* A bound path gets the mode of the socket's own inode without the bits of the umask. Where
         * the directory has a default ACL, the umask does not count. */
        fchmod(fd, mode);
        old = umask(MODE_BITS & ~mode);
        result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
        umask(old);
        return result;
}

static int bind_path(struct socket_path *sock, const struct sockaddr_un *address, mode_t mode,
                     gid_t gid, char *text, size_t size)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result;

        if (fd < 0)
                return fail(text, size, "make a socket for", sock->path);
        if (bind_with(fd, address, mode) < 0) {
                result = fail(text, size, "bind", sock->path);
                close(fd);
                return result;
        }
        result = open_path(sock, fd, mode, gid, text, size);
        if (result < 0) {
                unlink(sock->path);
                close(fd);
                return result;
        }
        sock->fd = fd;
        return 0;
}

/* Makes path ours: the lock is held. Leaves no socket at an error. */
static int take_path(struct socket_path *sock, mode_t mode, gid_t gid, char *text, size_t size)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int result;

        strcpy(address.sun_path, sock->path);
        *text = '\0';
        result = clear_path(&address, text, size);
        if (result == 0)
                result = bind_path(sock, &address, mode, gid, text, size);
        if (result < 0 || !sock->unguarded ||
            socket_path_look(sock->path, sock->device, sock->inode) == SOCKET_PATH_OURS)
                return result;
        snprintf(text, size, "%s is in use: another process removed or took it in the same instant",
                 sock->path);
        close(sock->fd);
        sock->fd = -1;
        return -EADDRINUSE;
}

void socket_path_init(struct socket_path *sock)
{
        *sock = (struct socket_path){.fd = -1, .lock = -1};
}

int socket_path_listen(struct socket_path *sock, const char *path, mode_t mode, gid_t gid,
                       char *text, size_t size)
{
        struct sockaddr_un address;
        int result, doubt;

        socket_path_init(sock);
        *text = '\0';
        if (strlen(path) >= sizeof(address.sun_path)) {
                snprintf(text, size, "the socket path %s is too long: at most %zu bytes", path,
                         sizeof(address.sun_path) - 1);
                return -ENAMETOOLONG;
        }
        sock->path = strdup(path);
        if (!sock->path)
                return -ENOMEM;
        result = sock->lock = lock_path(path, &doubt, text, size);
        sock->unguarded = result >= 0 && doubt;
        if (result >= 0)
                result = take_path(sock, mode, gid, text, size);
        if (result == 0) {
                if (sock->unguarded)
                        doubt_lock(path, doubt, text, size);
                return 0;
        }
        if (sock->lock >= 0)
                unlock(sock->lock, path);
        free(sock->path);
        socket_path_init(sock);
        return result;
}

/* Locks PATH.lock again if the file was removed or replaced. */
static int mend_lock(struct socket_path *sock, char *text, size_t size)
{
        char name[LOCK_NAME_MAX];
        int fd, doubt;

        lock_name(sock->path, name);
        if (is_named(sock->lock, name))
                return 0;
        fd = lock_path(sock->path, &doubt, text, size);
        if (fd < 0)
                return fd;
        close(sock->lock);
        sock->lock = fd;
        sock->unguarded = doubt;
        return 0;
}

int socket_path_mend(struct socket_path *sock, mode_t mode, gid_t gid, char *text, size_t size)
{
        int result;

        *text = '\0';
        result = mend_lock(sock, text, size);
        if (result < 0)
                return result;
        if (socket_path_look(sock->path, sock->device, sock->inode) == SOCKET_PATH_OURS)
                return 0;
        result = take_path(sock, mode, gid, text, size);
        return result < 0 ? result : 1;
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
                if (socket_path_look(sock->path, sock->device, sock->inode) == SOCKET_PATH_OURS)
                        unlink(sock->path);
                unlock(sock->lock, sock->path);
        }
        if (sock->fd >= 0)
                close(sock->fd);
        free(sock->path);
        socket_path_init(sock);
}
