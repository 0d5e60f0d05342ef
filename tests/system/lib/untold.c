/* SPDX-License-Identifier: MIT */
/* Preloaded into ftcpd: a kernel that does not tell the other end of a Unix socket. While the file
 * FTCPD_UNTOLD has the word "groups", SO_PEERGROUPS does not exist; with "all", SO_PEERCRED fails
 * too; with "none", SO_PEERCRED succeeds and says that there is nobody. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int is_said(const char *words)
{
        const char *path = getenv("FTCPD_UNTOLD");
        FILE *file = path ? fopen(path, "re") : NULL;
        char word[16] = "";

        if (!file)
                return 0;
        if (!fgets(word, sizeof(word), file))
                word[0] = '\0';
        fclose(file);
        return word[0] && strstr(words, word) != NULL;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
        int (*real)(int, int, int, void *, socklen_t *) =
                (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");

        if (level == SOL_SOCKET && ((name == SO_PEERGROUPS && is_said("groups all none")) ||
                                    (name == SO_PEERCRED && is_said("all")))) {
                errno = ENOPROTOOPT;
                return -1;
        }
        if (level == SOL_SOCKET && name == SO_PEERCRED && is_said("none")) {
                struct ucred nobody = {0, (uid_t)-1, (gid_t)-1};

                memcpy(value, &nobody, *size < sizeof(nobody) ? *size : sizeof(nobody));
                return 0;
        }
        return real(fd, level, name, value, size);
}
