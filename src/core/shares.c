/* SPDX-License-Identifier: MIT */
#include "core/shares.h"

#include <assert.h>

void shares_init(struct shares *shares)
{
        TAILQ_INIT(&shares->waiting);
        shares->floor = 0;
}

void shares_wait(struct shares *shares, struct share *share)
{
        if (share->n_waiting++ > 0)
                return;
        if (share->used < shares->floor)
                share->used = shares->floor;
        TAILQ_INSERT_TAIL(&shares->waiting, share, link);
}

void shares_withdraw(struct shares *shares, struct share *share)
{
        assert(share->n_waiting > 0);
        if (--share->n_waiting == 0)
                TAILQ_REMOVE(&shares->waiting, share, link);
}

struct share *shares_next(const struct shares *shares)
{
        struct share *share, *least = TAILQ_FIRST(&shares->waiting);

        for (share = least; share; share = TAILQ_NEXT(share, link))
                if (share->used < least->used)
                        least = share;
        return least;
}

void shares_spend(struct shares *shares, struct share *share, uint64_t amount)
{
        if (shares->floor < share->used)
                shares->floor = share->used;
        share->used += amount;
        if (share->n_waiting == 0)
                return;
        TAILQ_REMOVE(&shares->waiting, share, link);
        TAILQ_INSERT_TAIL(&shares->waiting, share, link);
}
