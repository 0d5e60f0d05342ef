/* SPDX-License-Identifier: MIT */
#include "core/budget.h"

static uint64_t owed(struct budget *budget, uint64_t now)
{
        uint64_t passed = now > budget->as_of ? now - budget->as_of : 0;

        budget->debt -= passed < budget->debt ? passed : budget->debt;
        budget->as_of = now;
        return budget->debt;
}

void budget_spend(struct budget *budget, uint64_t usec, uint64_t now)
{
        budget->debt = owed(budget, now) + usec * budget->share;
}

uint64_t budget_wait(struct budget *budget, uint64_t now)
{
        uint64_t debt = owed(budget, now), most = budget->burst * budget->share;

        return debt < most || !debt ? 0 : debt - most / 2;
}
