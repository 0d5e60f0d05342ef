/* SPDX-License-Identifier: MIT */
/* Random numbers of a test itself. */
#include "sim.h"

static uint64_t rng;

void dice_begin(uint64_t seed)
{
        rng = seed * 2654435761u + 1;
}

uint64_t dice(uint64_t below)
{
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        return (rng >> 11) % below;
}
