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

/* The descriptor of standard output or standard error that is the file st, or -1. The path
 * /dev/stdout means a file that another program has open: in a new file, the text would be hidden
 * from this program. */
static int standard_fd(const struct stat *st)
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

/* Returns "DIR/.NAME.XXXXXX", to be freed: a name in the folder of path that no collector of
 * metrics reads. */
static char *name_beside(const char *path)
{
        const char *slash = strrchr(path, '/');
        int folder = slash ? (int)(slash - path) + 1 : 0;
        char *name;

        return asprintf(&name, "%.*s.%s.XXXXXX", folder, path, path + folder) < 0 ? NULL : name;
}

/* Gives the new file the owner, group and mode of the old file. A user who may set neither owner
 * nor group keeps the file, and everybody may read it: the old owner still must be able to. */
static int dress(int fd, const struct stat *old)
{
        bool same = old && (fchown(fd, old->st_uid, old->st_gid) == 0 ||
                            fchown(fd, (uid_t)-1, old->st_gid) == 0);

        if (old && !same && errno != EPERM)
                return -errno;
        return fchmod(fd, same ? old->st_mode & 0777 : 0644) < 0 ? -errno : 0;
}

/* Replaces the regular file at path; old describes the old file, NULL: there is none. */
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

/* Replaces the file at the end of all links; old describes the file that the kernel found there.
 * In a folder where everybody may write, the kernel refuses to follow the links of strangers, and
 * realpath() does not. So a file other than old is an error, -ELOOP. */
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

/* Creates the missing file at the end of a link, empty, and describes the file in st. */
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
        int standard, result;

        if (stat(path, &st) < 0) {
                if (errno != ENOENT)
                        return -errno;
                if (lstat(path, &link) < 0)
                        return errno == ENOENT ? replace(path, NULL, text) : -errno;
                result = fill_link(path, &st);
                if (result < 0)
                        return result;
        }
        standard = standard_fd(&st);
        if (standard >= 0)
                return write_all(standard, text);
        return S_ISREG(st.st_mode) ? replace_real(path, &st, text) : write_into(path, text);
}
