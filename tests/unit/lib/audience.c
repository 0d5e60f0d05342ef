/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "audience_runs.h"

/* May one more change be made? */
static bool change(struct audience *a)
{
        if (!a->budget)
                return false;
        a->budget--;
        return true;
}

/* ---- what is given up ---- */

static void book(struct audience *a, enum drop_reason reason, struct count count)
{
        a->dropped[reason] = count_add(a->dropped[reason], count);
}

static bool drop_one(struct audience *a, struct listener *l, enum drop_reason reason,
                     struct count *sum)
{
        struct count one;
        uint32_t i;

        if (!run_oldest(a, l, &i) || !change(a))
                return false;
        one = audience_span(a, l->run[i].from, l->run[i].from + 1);
        book(a, reason, one);
        *sum = count_add(*sum, one);
        run_take(a, l, i);
        return true;
}

static struct count shorten(struct audience *a, struct listener *l, uint64_t limit,
                            enum drop_reason reason)
{
        struct count sum = {0, 0};

        while (listener_waiting(a, l) > limit && listener_queued(a, l).messages > 1)
                if (!drop_one(a, l, reason, &sum))
                        break;
        return sum;
}

/* ---- members, and what is held while there are none ---- */

static bool is_member(const struct audience *a, uint32_t i)
{
        return a->all[i].role == READER_MEMBER && i != a->going;
}

static uint32_t members(const struct audience *a)
{
        uint32_t n = 0;

        for (uint32_t i = 0; i < LISTENERS; i++)
                n += is_member(a, i);
        return n;
}

/* The one with the shortest queue, of equals the one that was not served for longest. */
static uint32_t shortest(const struct audience *a)
{
        uint32_t best = NOBODY;
        uint64_t least = 0;

        for (uint32_t i = 0; i < LISTENERS; i++) {
                uint64_t waiting;

                if (!is_member(a, i))
                        continue;
                waiting = listener_waiting(a, &a->all[i]);
                if (best == NOBODY || waiting < least ||
                    (waiting == least && a->all[i].served < a->all[best].served)) {
                        best = i;
                        least = waiting;
                }
        }
        return best;
}

static uint64_t size_of(const struct audience *a, uint32_t message)
{
        return audience_span(a, message, message + 1).bytes;
}

/* With the message, is its queue one of the shortest still: longer than the shortest of the others
 * by a sixteenth and 64 KiB at most? */
static bool stays_short(const struct audience *a, uint32_t i, uint32_t message)
{
        uint64_t least = UINT64_MAX, slack;

        for (uint32_t k = 0; k < LISTENERS; k++)
                if (k != i && is_member(a, k) && listener_waiting(a, &a->all[k]) < least)
                        least = listener_waiting(a, &a->all[k]);
        slack = least / 16 < 65536 ? least / 16 : 65536;
        return least == UINT64_MAX ||
               listener_waiting(a, &a->all[i]) + size_of(a, message) <= least + slack;
}

/* The one that gets the message: who got the one before, or the one with the shortest queue. */
static uint32_t heir(const struct audience *a, uint32_t message)
{
        return a->last != NOBODY && stays_short(a, a->last, message) ? a->last : shortest(a);
}

/* The one whose queue grows at its end only. */
static uint32_t heir_without_extent(const struct audience *a)
{
        uint32_t try[] = {shortest(a), a->last};

        for (int k = 0; k < 2; k++) {
                const struct listener *l = &a->all[try[k]];

                if (try[k] != NOBODY && (!l->n || l->run[l->n - 1].to == a->given))
                        return try[k];
        }
        return try[0];
}

static void served(struct audience *a, uint32_t i)
{
        a->all[i].served = ++a->serves;
        a->last = i;
}

static void admit(struct audience *a, uint32_t least)
{
        for (uint32_t i = 0; i < a->n; i++) {
                struct listener *l = &a->all[a->place[i]];

                if (l->role != READER_WAITS || !change(a))
                        continue;
                if (!a->balance)
                        run_open(l, l->since > least ? l->since : least);
                l->role = READER_MEMBER;
                l->served = ++a->serves;
        }
}

static void return_to(struct audience *a, struct listener *to, uint32_t message)
{
        if (to->round != a->rounds) {
                to->round = a->rounds;
                to->at = 0;
        }
        run_insert(a, to, message, message + 1, &to->at);
}

/* What it has not begun is for others, unless they got it, too. */
static struct count give_back(struct audience *a, struct listener *l, enum drop_reason reason)
{
        struct count sum = {0, 0};
        uint32_t i;

        a->rounds++;
        while (run_oldest(a, l, &i)) {
                uint32_t to = members(a) ? heir(a, l->run[i].from) : NOBODY;

                if (l->run[i].from < a->dealt_from && drop_one(a, l, reason, &sum))
                        continue;
                if (!change(a))
                        break;
                return_to(a, to == NOBODY ? &a->backlog : &a->all[to], l->run[i].from);
                if (to != NOBODY)
                        served(a, to);
                run_take(a, l, i);
        }
        return sum;
}

/* Where what is held goes on without an end. */
static uint32_t spread_backlog_from(const struct audience *a)
{
        return run_is_endless(&a->backlog) ? a->backlog.run[a->backlog.n - 1].from : a->end;
}

static void empty(struct listener *l)
{
        l->n = 0;
        l->off = 0;
        l->has = (struct count){0, 0};
}

/* Where the first of those came who wait. */
static uint32_t seen_from(const struct audience *a)
{
        uint32_t least = UINT32_MAX;

        for (uint32_t i = 0; i < LISTENERS; i++)
                if (a->all[i].role == READER_WAITS && i != a->going && a->all[i].since < least)
                        least = a->all[i].since;
        return least;
}

static void drop_unseen(struct audience *a)
{
        struct count sum;
        uint32_t i;

        while (run_oldest(a, &a->backlog, &i) && a->backlog.run[i].from < seen_from(a))
                if (!drop_one(a, &a->backlog, DROP_HOLD_FULL, &sum))
                        return;
}

static void spread_mind_backlog(struct audience *a)
{
        bool keep = a->backlog_size && !members(a);
        uint32_t from;
        struct count sum;

        if (keep && !a->has_backlog && change(a)) {
                a->has_backlog = true;
                empty(&a->backlog);
                if (!a->balance)
                        run_open(&a->backlog, a->end);
        }
        if (keep || !a->has_backlog)
                return;
        from = spread_backlog_from(a);
        if (a->balance && !members(a))
                drop_unseen(a);
        admit(a, from);
        if (a->balance && members(a)) /* they saw it come; or a crash while somebody went */
                give_back(a, &a->backlog, DROP_HOLD_FULL);
        while (drop_one(a, &a->backlog, DROP_HOLD_FULL, &sum))
                ;
        if (change(a)) {
                a->has_backlog = false;
                empty(&a->backlog);
        }
}

/* While somebody waits to be trusted, more is held. */
static void spread_limit_backlog(struct audience *a)
{
        uint64_t limit = a->backlog_size;

        if (!a->has_backlog || listener_waiting(a, &a->backlog) <= limit)
                return;
        for (uint32_t i = 0; i < LISTENERS; i++)
                if (a->all[i].role == READER_WAITS && i != a->going) {
                        limit += a->queue_size;
                        break;
                }
        shorten(a, &a->backlog, limit, DROP_HOLD_FULL);
}

/* ---- what comes ---- */

static void keep(struct audience *a)
{
        if (!change(a))
                return;
        if (!a->has_backlog)
                book(a, DROP_NO_CLIENT, audience_span(a, a->given, a->end));
        else if (a->balance)
                run_append(a, &a->backlog, a->given, a->end);
        a->given = a->end;
        spread_limit_backlog(a);
}

void audience_taken(struct audience *a)
{
        uint32_t n = members(a);

        if (a->given == a->end)
                return;
        if (!n) {
                keep(a);
                return;
        }
        while (a->given < a->end && change(a)) {
                uint32_t to = a->balance && n > 1 && !a->scant ? a->given + 1 : a->end;

                if (a->balance) {
                        uint32_t i = n > 1 && a->scant ? heir_without_extent(a) : heir(a, a->given);

                        run_append(a, &a->all[i], a->given, to);
                        served(a, i);
                }
                a->given = to;
        }
}

/* As the mode says; a crash in the middle of a change leaves some as they were. */
static void follow_all(struct audience *a)
{
        a->changing = true;
        for (uint32_t i = 0; i < LISTENERS; i++)
                if (is_member(a, i) && change(a))
                        audience_follow(a, &a->all[i]);
        if (a->has_backlog && change(a))
                audience_follow(a, &a->backlog);
        a->changing = !a->budget;
}

void audience_settle(struct audience *a, uint64_t backlog_size, uint64_t queue_size)
{
        a->backlog_size = UINT64_MAX;
        follow_all(a);
        audience_taken(a);
        if (!a->has_backlog)
                admit(a, a->admit);
        a->backlog_size = backlog_size;
        a->queue_size = queue_size;
}

void audience_configure(struct audience *a, bool balance, uint64_t backlog_size,
                        uint64_t queue_size)
{
        a->backlog_size = backlog_size;
        a->queue_size = queue_size;
        if (!backlog_size)
                spread_mind_backlog(a);
        if (balance != a->balance && change(a)) {
                a->balance = balance;
                if (balance)
                        a->dealt_from =
                                a->has_backlog && a->backlog.n ? a->backlog.run[0].from : a->given;
                follow_all(a);
        }
        spread_mind_backlog(a);
        spread_limit_backlog(a);
}

/* ---- readers ---- */

/* What stands in there before this message and may have gone to this one is for nobody else. */
static struct count drop_offered(struct audience *a, struct listener *l, struct listener *in,
                                 uint32_t before, enum drop_reason reason)
{
        struct count sum = {0, 0};
        uint64_t begun = 0;
        uint32_t i;

        if (in->off)
                begun = audience_span(a, in->run[0].from, in->run[0].from + 1).bytes - in->off;
        while (l->offered > begun && run_oldest(a, in, &i) && in->run[i].from < before) {
                uint64_t size = audience_span(a, in->run[i].from, in->run[i].from + 1).bytes;

                if (!drop_one(a, in, reason, &sum))
                        return sum;
                l->offered = l->offered - begun > size ? l->offered - size : 0;
        }
        l->offered = 0;
        return sum;
}

/* The first message that one who waits has seen come, and that is not for one alone. */
static uint32_t seen(const struct audience *a)
{
        uint32_t least = a->balance ? UINT32_MAX : seen_from(a), from = spread_backlog_from(a);

        return least > from ? least : from;
}

void audience_join(struct audience *a, uint32_t i)
{
        struct listener *l = &a->all[i];

        if (!change(a))
                return;
        empty(l);
        a->place[a->n++] = i;
        l->done = (struct count){0, 0};
        l->offered = 0;
        l->since = a->given;
        l->role = a->has_backlog ? READER_WAITS : READER_MEMBER;
        l->served = ++a->serves;
        if (l->role == READER_MEMBER && !a->balance)
                run_open(l, a->end);
}

void audience_trust(struct audience *a, uint32_t i, uint64_t taken)
{
        struct listener *l = &a->all[i];

        if (l->role != READER_WAITS || !change(a))
                return;
        a->admit = spread_backlog_from(a);
        memcpy(l->run, a->backlog.run, a->backlog.n * sizeof(l->run[0]));
        l->n = a->backlog.n;
        l->has = a->backlog.has;
        l->role = READER_MEMBER;
        l->served = ++a->serves;
        a->has_backlog = false;
        empty(&a->backlog);
        admit(a, a->admit);
        if (change(a))
                audience_advance(a, i, taken);
}

static void forget(struct audience *a, uint32_t i)
{
        if (a->last == i)
                a->last = NOBODY;
}

void audience_leave(struct audience *a, uint32_t i)
{
        struct listener *l = &a->all[i];

        if (l->role == READER_NONE || l->role == READER_LEAVING || !change(a))
                return;
        run_close(a, l);
        l->role = READER_LEAVING;
        forget(a, i);
        spread_mind_backlog(a);
        spread_limit_backlog(a);
}

struct count audience_shorten(struct audience *a, uint32_t i, uint64_t limit)
{
        return shorten(a, &a->all[i], limit, DROP_QUEUE_FULL);
}

static void remove_place(struct audience *a, uint32_t i)
{
        uint32_t k = 0;

        while (a->place[k] != i)
                k++;
        a->place[k] = a->place[--a->n];
}

/* What the only reader had is held, if it never took a byte, and it waits to be trusted again. */
static void keep_as_backlog(struct audience *a, struct listener *l)
{
        if (!a->backlog_size || members(a) || a->balance || l->done.bytes || l->off || !change(a))
                return;
        memcpy(a->backlog.run, l->run, l->n * sizeof(l->run[0]));
        a->backlog.n = l->n;
        a->backlog.has = l->has;
        a->has_backlog = true;
        empty(l);
        l->role = READER_WAITS;
        l->since = a->given;
}

struct count audience_done(struct audience *a, uint32_t i, enum drop_reason reason)
{
        struct listener *l = &a->all[i];
        struct count sum = {0, 0};

        if (l->role == READER_NONE)
                return sum;
        a->going = i;
        forget(a, i);
        if (l->role != READER_WAITS)
                sum = drop_offered(a, l, l, UINT32_MAX, reason);
        else if (a->has_backlog)
                sum = drop_offered(a, l, &a->backlog, seen(a), reason);
        if (l->role == READER_MEMBER)
                keep_as_backlog(a, l);
        spread_mind_backlog(a);
        if (a->balance && (members(a) || a->has_backlog))
                sum = count_add(sum, give_back(a, l, reason));
        spread_limit_backlog(a);
        while (drop_one(a, l, reason, &sum))
                ;
        if (change(a)) {
                struct count begun = listener_queued(a, l);

                book(a, reason, begun);
                sum = count_add(sum, begun);
                a->done = count_add(a->done, l->done);
                l->role = READER_NONE;
                empty(l);
                remove_place(a, i);
        }
        a->going = NOBODY;
        return sum;
}

uint32_t audience_next(const struct audience *a, uint32_t i, uint64_t *off)
{
        const struct listener *l = &a->all[i];

        *off = l->off;
        return l->n && l->run[0].from < a->end ? l->run[0].from : NOBODY;
}

void audience_advance(struct audience *a, uint32_t i, uint64_t bytes)
{
        struct listener *l = &a->all[i];

        for (l->off += bytes; l->off;) {
                struct count one = audience_span(a, l->run[0].from, l->run[0].from + 1);

                if (l->off < one.bytes)
                        return;
                l->off -= one.bytes;
                l->done = count_add(l->done, one);
                run_take(a, l, 0);
        }
}

/* ---- life ---- */

void audience_init(struct audience *a, uint64_t (*pos)(const void *context, uint32_t message),
                   const void *context)
{
        memset(a, 0, sizeof(*a));
        a->pos = pos;
        a->context = context;
        a->going = a->last = NOBODY;
        a->budget = UINT64_MAX;
}

void audience_recover(struct audience *a)
{
        a->serves = a->n = 0;
        a->last = NOBODY;
        for (uint32_t i = 0; i < LISTENERS; i++) {
                if (a->all[i].role != READER_NONE)
                        a->place[a->n++] = i;
                if (is_member(a, i))
                        a->all[i].served = ++a->serves;
        }
}

const struct listener *audience_each(const struct audience *a, uint32_t *i)
{
        while (*i < LISTENERS && a->all[*i].role == READER_NONE)
                ++*i;
        if (*i < LISTENERS)
                return &a->all[(*i)++];
        return a->has_backlog && (*i)++ == LISTENERS ? &a->backlog : NULL;
}

struct count audience_delivered(const struct audience *a)
{
        struct count sum = a->done;

        for (uint32_t i = 0; i < LISTENERS; i++)
                if (a->all[i].role != READER_NONE)
                        sum = count_add(sum, a->all[i].done);
        return sum;
}

struct count audience_queued(const struct audience *a)
{
        struct count sum = {0, 0};
        const struct listener *l;

        for (uint32_t i = 0; (l = audience_each(a, &i));)
                sum = count_add(sum, listener_queued(a, l));
        return sum;
}
