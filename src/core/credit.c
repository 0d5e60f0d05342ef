/* SPDX-License-Identifier: MIT */
#include "core/credit.h"

enum { REFILL = 20 }; /* a credit grows at one in so many parts of real time */

#define ENDLESS (UINT64_MAX / 2)

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

uint64_t credit_left(const struct credit *credit, uint64_t most, uint64_t now)
{
        uint64_t since = now > credit->at ? now - credit->at : 0, left = least(credit->left, most);

        if (credit->users)
                return left - least(left, since);
        return since / REFILL >= most - left ? most : left + since / REFILL;
}

static void settle(struct credit *credit, uint64_t most, uint64_t now)
{
        credit->left = credit_left(credit, most, now);
        credit->at = now;
}

void credit_use(struct credit *credit, uint64_t most, uint64_t now)
{
        if (!credit->users)
                settle(credit, most, now);
        credit->users++;
}

void credit_rest(struct credit *credit, uint64_t most, uint64_t now)
{
        if (credit->users == 1)
                settle(credit, most, now);
        credit->users--;
}

void credit_charge(struct credit *credit, uint64_t most, uint64_t usec, uint64_t now)
{
        settle(credit, most, now);
        credit->left -= least(credit->left, usec);
}

uint64_t credit_end(const struct credit *credit, uint64_t most)
{
        uint64_t left = least(credit->left, most);

        return credit->users && left < ENDLESS ? credit->at + left : UINT64_MAX;
}

void credit_forgive(struct credit *credit, uint64_t late, uint64_t now)
{
        uint64_t begun = now > late ? now - late : 0;

        if (begun < credit->forgiven)
                begun = credit->forgiven;
        if (begun < credit->at)
                begun = credit->at;
        if (!credit->users || begun >= now)
                return;
        credit->at += now - begun;
        credit->forgiven = now;
}
