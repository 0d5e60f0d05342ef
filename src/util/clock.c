/* SPDX-License-Identifier: MIT */
#include "util/clock.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static uint64_t usec_of(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_usec(void)
{
        return usec_of(CLOCK_BOOTTIME);
}

uint64_t clock_wall_usec(void)
{
        return usec_of(CLOCK_REALTIME);
}

uint64_t clock_cpu_usec(void)
{
        return usec_of(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_deadline(uint64_t usec)
{
        uint64_t now = clock_usec();

        return usec > UINT64_MAX - now ? UINT64_MAX : now + usec;
}

double clock_jitter(void)
{
        uint32_t bits = UINT32_MAX / 2;

        if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
                bits = (uint32_t)clock_usec() * UINT32_C(2654435761);
        return 0.5 + 0.5 * (double)bits / (double)UINT32_MAX;
}
