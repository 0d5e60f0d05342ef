/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into ftcpd: between the reading of a connection's books and its
 * end, where there are but some microseconds, stands a tenth of a second. What the kernel goes on
 * to send in between is seen then.
 */
#include <dlfcn.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <time.h>

int ioctl(int fd, unsigned long request, ...)
{
        static int (*real)(int, unsigned long, void *);
        const struct timespec wait = {0, 100000000};
        void *where;
        va_list args;
        int result;

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "ioctl");
        va_start(args, request);
        where = va_arg(args, void *);
        va_end(args);
        result = real(fd, request, where);
        if (request == SIOCOUTQNSD)
                nanosleep(&wait, 0);
        return result;
}
