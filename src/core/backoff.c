/* SPDX-License-Identifier: MIT */
#include "core/backoff.h"

void backoff_init(struct backoff *backoff)
{
        *backoff = (struct backoff){0};
}

void backoff_configure(struct backoff *backoff, uint64_t first_usec, uint64_t max_usec,
                       uint64_t stable_usec)
{
        backoff->first_usec = first_usec = first_usec < max_usec ? first_usec : max_usec;
        backoff->max_usec = max_usec;
        backoff->stable_usec = stable_usec;
        if (backoff->next_usec < first_usec)
                backoff->next_usec = first_usec;
        if (backoff->next_usec > backoff->max_usec)
                backoff->next_usec = backoff->max_usec;
}

uint64_t backoff_wait(struct backoff *backoff, double factor)
{
        uint64_t nominal = backoff->next_usec;

        backoff->next_usec = nominal > backoff->max_usec / 2 ? backoff->max_usec : nominal * 2;
        backoff->paid_usec = nominal == UINT64_MAX ? nominal : (uint64_t)((double)nominal * factor);
        return backoff->paid_usec;
}

void backoff_longest(struct backoff *backoff)
{
        backoff->next_usec = backoff->max_usec;
}

uint64_t backoff_stable_usec(const struct backoff *backoff)
{
        return backoff->stable_usec > backoff->paid_usec ? backoff->stable_usec
                                                         : backoff->paid_usec;
}

void backoff_fall(struct backoff *backoff)
{
        backoff->next_usec = backoff->first_usec;
        backoff->paid_usec = 0;
}
