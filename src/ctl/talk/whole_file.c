/* SPDX-License-Identifier: MIT */
#include "ctl/talk/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { LINKS_MAX = 40, TRIES = 100 };

/* ---- whom to trust ---- */

/* True for root, and for a user with any capability. */
static bool is_privileged(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct caps[2] = {{0}, {0}};

        return geteuid() == 0 || syscall(SYS_capget, &header, caps) < 0 || caps[0].effective ||
               caps[1].effective;
}

/* True if st may have been put into the folder by a stranger: a folder such as /tmp. */
static bool is_planted(int folder, const struct stat *st)
{
        struct stat of;

        if (fstat(folder, &of) < 0)
                return true;
        return (of.st_mode & S_ISVTX) && (of.st_mode & S_IWOTH) && st->st_uid != geteuid() &&
               st->st_uid != of.st_uid;
}

static bool may_follow(int folder, const struct stat *link)
{
        if (is_privileged() && link->st_uid != 0 && link->st_uid != geteuid())
                return false;
        return !is_planted(folder, link);
}

/* True in the proc file system, where a link is a descriptor or a folder of a process, and its text
 * is no path. */
static bool is_proc(int folder)
{
        struct statfs fs;

        return fstatfs(folder, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* ---- the way to the file ---- */

/* The folder and name that a path leads to so far. */
struct place {
        int folder;
        char name[NAME_MAX + 1];
        unsigned links; /* followed so far */
};

static int walk(struct place *place, const char *path);

/* Reads the target of the link that fd is, as much as was checked. */
static int read_link(int fd, char target[PATH_MAX])
{
        ssize_t n = readlinkat(fd, "", target, PATH_MAX);

        if (n < 0 || n == PATH_MAX)
                return n < 0 ? -errno : -ENAMETOOLONG;
        target[n] = '\0';
        return 0;
}

static int move_to(struct place *place, int fd)
{
        if (fd < 0)
                return -errno;
        close(place->folder);
        place->folder = fd;
        return 0;
}

static int enter_link(struct place *place, int fd, const struct stat *link, const char *name)
{
        char target[PATH_MAX];
        int result;

        if (++place->links > LINKS_MAX || !may_follow(place->folder, link))
                return -ELOOP;
        if (is_proc(place->folder))
                return move_to(place,
                               openat(place->folder, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
        result = read_link(fd, target);
        return result < 0 ? result : walk(place, target);
}

/* Goes into the folder called name. */
static int enter(struct place *place, const char *name)
{
        int fd = openat(place->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), result;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                result = -errno;
        } else if (S_ISLNK(st.st_mode)) {
                result = enter_link(place, fd, &st, name);
        } else {
                return move_to(place, fd);
        }
        if (fd >= 0)
                close(fd);
        return result;
}

/* Goes into each folder of the path, in turn. */
static int walk(struct place *place, const char *path)
{
        int result = 0;

        if (*path == '/')
                result = move_to(place, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
        while (result == 0 && *(path += strspn(path, "/"))) {
                size_t size = strcspn(path, "/");
                char name[NAME_MAX + 1];

                if (size > NAME_MAX)
                        return -ENAMETOOLONG;
                memcpy(name, path, size);
                name[size] = '\0';
                path += size;
                result = enter(place, name);
        }
        return result;
}

/* Goes into the folders of the path, and takes its last part for the name. */
static int approach(struct place *place, const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        char *folders;
        int result;

        if (!*name)
                return *path ? -EISDIR : -ENOENT;
        if (strlen(name) > NAME_MAX)
                return -ENAMETOOLONG;
        folders = strndup(path, (size_t)(name - path));
        if (!folders)
                return -ENOMEM;
        result = walk(place, folders);
        strcpy(place->name, name);
        free(folders);
        return result;
}

/* ---- the file ---- */

static bool is_same(const struct stat *one, const struct stat *other)
{
        return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* The descriptor of standard output or standard error that is the file at path, or -1. The path
 * /dev/stdout means a file that another program has open: in a new file, the text would be hidden
 * from this program. */
static int standard_fd(const char *path)
{
        struct stat st, own;

        if (stat(path, &st) < 0)
                return -1;
        for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
                if (fstat(fd, &own) == 0 && is_same(&own, &st))
                        return fd;
        return -1;
}

/* Opens the pipe or device that was found as st. */
static int open_into(struct whole_file *file, const struct place *place, const struct stat *st)
{
        struct stat opened;
        int flags = O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC;

        if (!S_ISLNK(st->st_mode) && is_planted(place->folder, st))
                return -EXDEV;
        if (!S_ISLNK(st->st_mode))
                flags |= O_NOFOLLOW;
        file->fd = openat(place->folder, place->name, flags);
        if (file->fd < 0)
                return -errno;
        if (S_ISLNK(st->st_mode) || (fstat(file->fd, &opened) == 0 && is_same(&opened, st)))
                return 0;
        close(file->fd);
        return -EXDEV;
}

/* Gives the new file the owner and group of the old file, where the user may, and the mode. Without
 * the group, its members are others. */
static int dress(int fd, const struct stat *old, int mode)
{
        bool owner = old && fchown(fd, old->st_uid, old->st_gid) == 0;
        bool group = owner || (old && fchown(fd, (uid_t)-1, old->st_gid) == 0);

        if (old && !group && errno != EPERM)
                return -errno;
        if (mode == WHOLE_FILE_KEEP && old) {
                mode = (int)(old->st_mode & 0777);
                if (!group)
                        mode &= 0707 | (mode & 07) << 3;
        }
        return mode >= 0 && fchmod(fd, (mode_t)mode) < 0 ? -errno : 0;
}

/* Creates the file beside the name, which no other file has: a name that no collector of metrics
 * reads. */
static int create(struct whole_file *file)
{
        for (int i = 0; i < TRIES; i++) {
                uint64_t random;

                if (getentropy(&random, sizeof(random)) < 0 ||
                    asprintf(&file->beside, ".%.200s.%08x", file->name, (unsigned)random) < 0)
                        return -ENOMEM;
                file->fd = openat(file->folder, file->beside,
                                  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (file->fd >= 0)
                        return 0;
                free(file->beside);
                file->beside = NULL;
                if (errno != EEXIST)
                        break;
        }
        return -errno;
}

/* Begins the new file. old describes the old file, NULL: there is none whose owner counts. */
static int open_beside(struct whole_file *file, struct place *place, const struct stat *old,
                       int mode)
{
        int result;

        file->name = strdup(place->name);
        if (!file->name)
                return -ENOMEM;
        file->folder = place->folder;
        place->folder = -1;
        result = create(file);
        if (result == 0)
                result = dress(file->fd, mode == WHOLE_FILE_SECRET ? NULL : old, mode);
        if (result < 0)
                whole_file_done(file);
        return result;
}

/* Follows the link at the end of the path. */
static int follow(struct place *place, int fd, const struct stat *link)
{
        char target[PATH_MAX];
        int result;

        if (++place->links > LINKS_MAX || is_privileged() || !may_follow(place->folder, link))
                return -ELOOP;
        result = read_link(fd, target);
        return result < 0 ? result : approach(place, target);
}

/* Opens what the place's name is, and goes on where it is a link. Returns 1 for a link. */
static int open_place(struct whole_file *file, struct place *place, int mode)
{
        int fd = openat(place->folder, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC), result;
        struct stat st;

        if (fd < 0 && errno == ENOENT)
                return open_beside(file, place, NULL, mode);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                result = -errno;
        else if (S_ISREG(st.st_mode))
                result =
                        open_beside(file, place, is_planted(place->folder, &st) ? NULL : &st, mode);
        else if (S_ISDIR(st.st_mode))
                result = -EISDIR;
        else if (!S_ISLNK(st.st_mode) || is_proc(place->folder))
                result = open_into(file, place, &st);
        else
                result = follow(place, fd, &st) ?: 1;
        close(fd);
        return result;
}

int whole_file_open(struct whole_file *file, const char *path, int mode)
{
        struct place place = {.folder = -1};
        int result = 1;

        *file = (struct whole_file){.fd = standard_fd(path), .folder = -1};
        if (file->fd >= 0)
                return 0;
        place.folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (place.folder < 0)
                return -errno;
        result = approach(&place, path) ?: 1;
        while (result == 1)
                result = open_place(file, &place, mode);
        if (place.folder >= 0)
                close(place.folder);
        return result;
}

int whole_file_commit(struct whole_file *file)
{
        if (!file->beside)
                return 0;
        if (renameat(file->folder, file->beside, file->folder, file->name) < 0)
                return -errno;
        free(file->beside);
        file->beside = NULL;
        return 0;
}

int whole_file_done(struct whole_file *file)
{
        int result = 0;

        if (file->beside)
                unlinkat(file->folder, file->beside, 0);
        if (file->fd > STDERR_FILENO && close(file->fd) < 0)
                result = -errno;
        if (file->folder >= 0)
                close(file->folder);
        free(file->beside);
        free(file->name);
        *file = (struct whole_file){.fd = -1, .folder = -1};
        return result;
}

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

int whole_file_write(const char *path, const char *text, int mode)
{
        struct whole_file file;
        int result = whole_file_open(&file, path, mode), closed;

        if (result < 0)
                return result;
        result = write_all(file.fd, text);
        if (result == 0 && file.beside && fsync(file.fd) < 0)
                result = -errno;
        if (result == 0)
                result = whole_file_commit(&file);
        closed = whole_file_done(&file);
        return result < 0 ? result : closed;
}

const char *whole_file_error(int result)
{
        switch (result) {
        case -ELOOP:
                return "a symbolic link that is not followed: root follows none here, and "
                       "nobody those of strangers in a folder where all may write";
        case -EXDEV: return "no regular file, put by a stranger into a folder where all may write";
        default: return strerror(-result);
        }
}
