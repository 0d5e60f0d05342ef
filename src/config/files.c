/* SPDX-License-Identifier: MIT */
#include "config/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/room.h"
#include "util/units.h"

enum { PIPE_WAIT_MSEC = 60 * 1000 }; /* for whoever writes the text */

static const char etc[] = "/etc/";

bool config_instance_valid(const char *instance)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789:_.-@\\";
        size_t size = strlen(instance);

        return size > 0 && size <= 128 && *instance != '.' && strspn(instance, letters) == size;
}

/* NULL: no memory. */
static char *joined(const char *root, const char *folder, const char *name, const char *suffix)
{
        char *path;

        if (asprintf(&path, "%s%s%s%s", root ? root : "", folder, name, suffix) < 0)
                return NULL;
        return path;
}

char *config_main_path(const struct config_source *source)
{
        if (source->path)
                return strdup(source->path);
        if (source->instance)
                return joined(source->root, "/etc/ftcpd/", source->instance, ".conf");
        return joined(source->root, etc, "ftcpd.conf", "");
}

/* The part of path behind /etc/ (behind ROOT/etc/ with a root), or NULL if path is not below. */
static const char *below_etc(const struct config_source *source, const char *path)
{
        size_t root = source->root ? strlen(source->root) : 0;

        if (root && strncmp(path, source->root, root) != 0)
                return NULL;
        return strncmp(path + root, etc, strlen(etc)) == 0 ? path + root + strlen(etc) : NULL;
}

static int is_drop_in(const struct dirent *entry)
{
        size_t size = strlen(entry->d_name);

        return size > 5 && entry->d_name[0] != '.' &&
               strcmp(entry->d_name + size - 5, ".conf") == 0;
}

static const char *base_of(const char *path)
{
        return strrchr(path, '/') + 1;
}

static int compare_base(const void *a, const void *b)
{
        return strcmp(base_of(*(char *const *)a), base_of(*(char *const *)b));
}

/* Appends path, which may be NULL, to *paths; frees path without memory. Returns 0 or -ENOMEM. */
static int add_path(char *path, char ***paths, size_t *n)
{
        char **more = path ? room_for_one(*paths, *n, sizeof(*more)) : NULL;

        if (!more) {
                free(path);
                return -ENOMEM;
        }
        *paths = more;
        more[(*n)++] = path;
        return 0;
}

static bool is_hidden(const char *name, char *const *paths, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(base_of(paths[i]), name) == 0)
                        return true;
        return false;
}

/* Adds the drop-ins of folder to *paths, except those with the name of an earlier folder's drop-in.
 * Frees folder, which may be NULL. Returns 0 or -ENOMEM. */
static int add_folder(char *folder, char ***paths, size_t *n)
{
        struct dirent **entries = NULL;
        int n_entries, result = 0;
        size_t before = *n;

        if (!folder)
                return -ENOMEM;
        n_entries = scandir(folder, &entries, is_drop_in, NULL);
        if (n_entries < 0 && errno == ENOMEM)
                result = -ENOMEM;
        else if (n_entries < 0 && errno != ENOENT && errno != ENOTDIR)
                /* The list gets the folder itself: config_file_read() then returns the error. */
                result = add_path(strdup(folder), paths, n);
        for (int i = 0; i < n_entries; i++) {
                if (result == 0 && !is_hidden(entries[i]->d_name, *paths, before))
                        result = add_path(joined(folder, "/", entries[i]->d_name, ""), paths, n);
                free(entries[i]);
        }
        if (n_entries >= 0)
                free(entries);
        free(folder);
        return result;
}

int config_drop_ins(const struct config_source *source, const char *main, char ***paths, size_t *n)
{
        const char *below = below_etc(source, main);
        int result;

        *n = 0;
        *paths = NULL;
        result = add_folder(joined(NULL, "", main, ".d"), paths, n);
        if (below && result == 0)
                result = add_folder(joined(source->root, "/run/", below, ".d"), paths, n);
        if (below && result == 0)
                result = add_folder(joined(source->root, "/usr/lib/", below, ".d"), paths, n);
        if (*n)
                qsort(*paths, *n, sizeof(**paths), compare_base);
        return result;
}

/* Returns 0 for a regular file, for /dev/null, with which people mask a drop-in, and for a pipe
 * that may be read; otherwise a negative errno. */
static int may_be_read(int fd, enum config_pipes pipes, bool *piped)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *piped = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
        if (*piped && pipes != CONFIG_PIPES_NONE)
                return pipes == CONFIG_PIPES_READ ? 0 : -ESPIPE;
        return S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                       ? 0
                       : -EINVAL;
}

/* Waits until the next bytes or the end can be read: a regular file does not wait. */
static int await(int fd)
{
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        int n;

        do
                n = poll(&wanted, 1, PIPE_WAIT_MSEC);
        while (n < 0 && errno == EINTR);
        return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static int read_all(int fd, char *data, size_t *size)
{
        ssize_t n;
        int result;

        *size = 0;
        do {
                result = await(fd);
                if (result < 0)
                        return result;
                n = read(fd, data + *size, CONFIG_FILE_MAX + 1 - *size);
                if (n < 0 && errno != EINTR && errno != EAGAIN)
                        return -errno;
                *size += n > 0 ? (size_t)n : 0;
                if (*size > CONFIG_FILE_MAX)
                        return -EFBIG;
        } while (n != 0);
        return 0;
}

/* Opens path. The kernel opens no socket by /dev/stdin or /dev/fd/N: then a copy of the descriptor
 * stands for it. */
static int open_file(const char *path)
{
        static const char folder[] = "/dev/fd/";
        /* O_NONBLOCK: the path may be a pipe without a writer, and open() would wait. */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        uint64_t number = 0;

        if (fd >= 0 || errno != ENXIO)
                return fd;
        if (strcmp(path, "/dev/stdin") != 0 &&
            (strncmp(path, folder, strlen(folder)) != 0 ||
             units_number_parse(path + strlen(folder), &number) < 0 || number > INT_MAX)) {
                errno = ENXIO;
                return -1;
        }
        return fcntl((int)number, F_DUPFD_CLOEXEC, 3);
}

char *config_file_read(const char *path, enum config_pipes pipes, bool *piped, size_t *size,
                       int *error)
{
        int fd = open_file(path);
        char *data, *fitted;

        *piped = false;
        if (fd < 0) {
                *error = -errno;
                return NULL;
        }
        data = malloc(CONFIG_FILE_MAX + 1);
        *error = data ? may_be_read(fd, pipes, piped) : -ENOMEM;
        if (*error == 0)
                *error = read_all(fd, data, size);
        close(fd);
        if (*error < 0) {
                free(data);
                return NULL;
        }
        fitted = realloc(data, *size + 1);
        if (fitted)
                data = fitted;
        return data;
}
