/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into ftcpd by surroundings_test.py: a volume that lacks something. FTCPD_VOLUME names
 * what: "chmod" (of sockets, as on volumes of containers in a virtual machine), "wide" (as "chmod",
 * and all modes read as 0777), "flock" (as on NFS without its lock daemon). "protected" is the rule
 * fs.protected_regular: in a directory such as /tmp, O_CREAT opens no file of another user.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int lacks(const char *what)
{
        const char *words = getenv("FTCPD_VOLUME");

        return words && strstr(words, what) != NULL;
}

static int is_socket(const char *path)
{
        struct stat st;

        return REAL(lstat)(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

int chmod(const char *path, mode_t mode)
{
        if ((lacks("chmod") || lacks("wide")) && is_socket(path)) {
                errno = EINVAL;
                return -1;
        }
        return REAL(chmod)(path, mode);
}

int lstat(const char *path, struct stat *st)
{
        int result = REAL(lstat)(path, st);

        if (result == 0 && lacks("wide") && S_ISSOCK(st->st_mode))
                st->st_mode |= 0777;
        return result;
}

int flock(int fd, int operation)
{
        if (lacks("flock")) {
                errno = ENOLCK;
                return -1;
        }
        return REAL(flock)(fd, operation);
}

static int is_protected(const char *path)
{
        struct stat file, folder;
        char name[512], *slash;

        snprintf(name, sizeof(name), "%s", path);
        slash = strrchr(name, '/');
        if (!slash || REAL(lstat)(path, &file) < 0)
                return 0;
        *slash = '\0';
        return stat(name, &folder) == 0 && folder.st_mode & S_ISVTX && folder.st_mode & S_IWOTH &&
               file.st_uid != folder.st_uid && file.st_uid != geteuid();
}

int open(const char *path, int flags, ...)
{
        mode_t mode = 0;
        va_list args;

        va_start(args, flags);
        if (flags & O_CREAT)
                mode = va_arg(args, mode_t);
        va_end(args);
        if (flags & O_CREAT && !(flags & O_EXCL) && lacks("protected") && is_protected(path)) {
                errno = EACCES;
                return -1;
        }
        return REAL(open)(path, flags, mode);
}
