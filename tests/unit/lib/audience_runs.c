/* SPDX-License-Identifier: MIT */
#include "audience_runs.h"

#include <assert.h>
#include <string.h>

struct count audience_span(const struct audience *a, uint32_t from, uint32_t to)
{
        if (to == ENDLESS)
                to = a->end;
        return (struct count){to - from, a->pos(a->context, to) - a->pos(a->context, from)};
}

static struct run *last_run(struct listener *l)
{
        return &l->run[l->n - 1];
}

bool run_is_endless(const struct listener *l)
{
        return l->n && l->run[l->n - 1].to == ENDLESS;
}

static void put_run(struct listener *l, uint32_t i, uint32_t from, uint32_t to)
{
        assert(l->n < RUNS);
        memmove(&l->run[i + 1], &l->run[i], (l->n - i) * sizeof(l->run[0]));
        l->run[i] = (struct run){from, to};
        l->n++;
}

static void erase_run(struct listener *l, uint32_t i)
{
        memmove(&l->run[i], &l->run[i + 1], (l->n - i - 1) * sizeof(l->run[0]));
        l->n--;
}

/* The first message of this run is no more its. */
void run_take(const struct audience *a, struct listener *l, uint32_t i)
{
        struct run *run = &l->run[i];

        if (run->to != ENDLESS)
                l->has = count_sub(l->has, audience_span(a, run->from, run->from + 1));
        run->from++;
        if (run->from == run->to)
                erase_run(l, i);
}

/* The run whose first message is the oldest one that is not begun; false: there is none. */
bool run_oldest(const struct audience *a, struct listener *l, uint32_t *i)
{
        uint32_t to;

        *i = 0;
        if (!l->n)
                return false;
        to = l->run[0].to == ENDLESS ? a->end : l->run[0].to;
        if (l->off && l->run[0].from + 1 < to) { /* what is begun stands alone then */
                uint32_t from = l->run[0].from;

                put_run(l, 0, from, from + 1);
                l->run[1].from = from + 1;
                if (l->run[1].to == ENDLESS)
                        l->has = count_add(l->has, audience_span(a, from, from + 1));
        }
        *i = l->off > 0;
        if (*i == l->n)
                return false;
        return l->run[*i].from < (l->run[*i].to == ENDLESS ? a->end : l->run[*i].to);
}

/* Messages behind what it has from run `at` on, in the order of their numbers. */
void run_insert(const struct audience *a, struct listener *l, uint32_t from, uint32_t to,
                uint32_t *at)
{
        uint32_t i = *at;

        l->has = count_add(l->has, audience_span(a, from, to));
        if (!l->n || (from < l->run[0].from && !l->off)) {
                put_run(l, 0, from, to);
                *at += *at > 0;
                return;
        }
        if (from < l->run[0].from && l->run[0].from + 1 < l->run[0].to) {
                put_run(l, 0, l->run[0].from, l->run[0].from + 1);
                l->run[1].from++;
                i += i > 0;
        }
        while (i + 1 < l->n && l->run[i + 1].from < from)
                i++;
        if (l->run[i].to == from) {
                l->run[i].to = to;
        } else {
                put_run(l, i + 1, from, to);
                i++;
        }
        *at = i;
}

void run_append(const struct audience *a, struct listener *l, uint32_t from, uint32_t to)
{
        uint32_t at = l->n ? l->n - 1 : 0;

        run_insert(a, l, from, to, &at);
}

void run_open(struct listener *l, uint32_t from)
{
        if (!run_is_endless(l))
                put_run(l, l->n, from, ENDLESS);
}

void run_close(const struct audience *a, struct listener *l)
{
        if (!run_is_endless(l))
                return;
        last_run(l)->to = a->end;
        l->has = count_add(l->has, audience_span(a, last_run(l)->from, a->end));
        if (last_run(l)->from == a->end)
                l->n--;
}

void audience_follow(const struct audience *a, struct listener *l)
{
        if (a->balance)
                run_close(a, l);
        else
                run_open(l, a->given);
}

struct count listener_queued(const struct audience *a, const struct listener *l)
{
        return run_is_endless(l)
                       ? count_add(l->has, audience_span(a, l->run[l->n - 1].from, ENDLESS))
                       : l->has;
}

uint64_t listener_waiting(const struct audience *a, const struct listener *l)
{
        return listener_queued(a, l).bytes - l->off;
}
