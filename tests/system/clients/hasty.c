/* SPDX-License-Identifier: MIT */
/* Preloaded into ftcpd: a minute of keepalive passes in a second. */
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
        static int (*real)(int, int, int, const void *, socklen_t);
        int seconds;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "setsockopt");
        if (level != IPPROTO_TCP || (name != TCP_KEEPIDLE && name != TCP_KEEPINTVL))
                return real(fd, level, name, value, size);
        seconds = *(const int *)value / 60;
        if (seconds < 1)
                seconds = 1;
        return real(fd, level, name, &seconds, sizeof(seconds));
}
