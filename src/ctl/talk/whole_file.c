/* SPDX-License-Identifier: MIT */
#include "ctl/talk/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *text)
{
        size_t left = strlen(text);

        while (left) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                text += n;
                left -= (size_t)n;
        }
        return 0;
}

static bool is_same(const struct stat *one, const struct stat *other)
{
        return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* The one of standard output and standard error that this is, or -1. By the name of /dev/stdout a
 * file is meant that somebody else has opened: to replace it would hide the text from him. */
static int std_fds_fd(const struct stat *st)
{
        struct stat own;

        for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
                if (fstat(fd, &own) == 0 && is_same(&own, st))
                        return fd;
        return -1;
}

static int write_into(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC), result;

        if (fd < 0)
                return -errno;
        result = write_all(fd, text);
        if (close(fd) < 0 && result == 0)
                result = -errno;
        return result;
}

/* "DIR/.NAME.XXXXXX", to be freed: a name that no collector reads, beside the one that is wanted.
 */
static char *name_beside(const char *path)
{
        const char *slash = strrchr(path, '/');
        int folder = slash ? (int)(slash - path) + 1 : 0;
        char *name;

        return asprintf(&name, "%.*s.%s.XXXXXX", folder, path, path + folder) < 0 ? NULL : name;
}

/* Who may not give a file away writes it as his own; then all may read it, so that he for whom it
 * is still can. */
static int dress(int fd, const struct stat *old)
{
        bool same = old && (fchown(fd, old->st_uid, old->st_gid) == 0 ||
                            fchown(fd, (uid_t)-1, old->st_gid) == 0);

        if (old && !same && errno != EPERM)
                return -errno;
        return fchmod(fd, same ? old->st_mode & 0777 : 0644) < 0 ? -errno : 0;
}

/* old: what is there, or NULL. */
static int replace(const char *path, const struct stat *old, const char *text)
{
        char *beside = name_beside(path);
        int fd, result;

        if (!beside)
                return -ENOMEM;
        fd = mkostemp(beside, O_CLOEXEC);
        result = fd < 0 ? -errno : write_all(fd, text);
        if (result == 0)
                result = dress(fd, old);
        if (result == 0 && (fsync(fd) < 0 || rename(beside, path) < 0))
                result = -errno;
        if (result < 0 && fd >= 0)
                unlink(beside);
        if (fd >= 0)
                close(fd);
        free(beside);
        return result;
}

/* The file at the end of all links. In a folder where everybody may write the kernel refuses to
 * follow those of strangers, but only where it follows them itself: so it has been asked before,
 * and what it found must be what is found now. */
static int replace_real(const char *path, const struct stat *old, const char *text)
{
        char *real = realpath(path, NULL);
        struct stat found;
        int result;

        if (!real)
                return -errno;
        result = lstat(real, &found) < 0 ? -errno : is_same(&found, old) ? 0 : -ELOOP;
        if (result == 0)
                result = replace(real, old, text);
        free(real);
        return result;
}

/* A link that leads to nothing yet: what is missing is made where it leads. */
static int fill_link(const char *path, struct stat *st)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC, 0644), result;

        if (fd < 0)
                return -errno;
        result = fstat(fd, st) < 0 || fchmod(fd, 0644) < 0 ? -errno : 0;
        if (result == 0)
                st->st_mode = S_IFREG | 0644;
        close(fd);
        return result;
}

int whole_file_write(const char *path, const char *text)
{
        struct stat st, link;

        if (stat(path, &st) < 0) {
                if (errno != ENOENT)
                        return -errno;
                if (lstat(path, &link) < 0)
                        return errno == ENOENT ? replace(path, NULL, text) : -errno;
                int result = fill_link(path, &st);
                if (result < 0)
                        return result;
        }
        int standard = std_fds_fd(&st);
        if (standard >= 0)
                return write_all(standard, text);
        return S_ISREG(st.st_mode) ? replace_real(path, &st, text) : write_into(path, text);
}
