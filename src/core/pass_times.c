/* SPDX-License-Identifier: MIT */
#include "core/pass_times.h"

void pass_times_begin(struct pass_times *times, uint64_t now, uint64_t cpu)
{
        *times = (struct pass_times){.read_at = now, .ended_at = now, .cpu = cpu};
}

void pass_times_read(struct pass_times *times, uint64_t now, uint64_t cpu)
{
        uint64_t used = cpu - times->cpu, before = times->ended_at - times->read_at;

        if (used > before && used - before > times->longest)
                times->longest = used - before;
        times->read_at = times->ended_at = now;
        times->cpu = cpu;
}
