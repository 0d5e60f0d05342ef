/* SPDX-License-Identifier: MIT */
#include "core/liveness.h"

static uint64_t latest(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

/* Returns when `limit` will have passed since the time `since`; UINT64_MAX: never. */
static uint64_t due_at(uint64_t since, uint64_t limit)
{
        return !limit || limit == UINT64_MAX ? UINT64_MAX : since + limit;
}

/* True if the time `due` has come. Else lowers *next to it. */
static bool is_due(const struct liveness_seen *seen, uint64_t due, uint64_t *next)
{
        if (seen->now >= due)
                return true;
        if (due < *next)
                *next = due;
        return false;
}

/* True if `limit` has passed since the time `since`. Else lowers *next to the time when `limit`
 * will have passed. */
static bool passed(const struct liveness_seen *seen, uint64_t since, uint64_t limit, uint64_t *next)
{
        return is_due(seen, due_at(since, limit), next);
}

/* Returns when data that waits is a stall. A peer that speaks lives: a slow program that reads all
 * the time opens the window only when a good part of the buffer is free. While the session does not
 * read, the peer may speak. */
static uint64_t stall_due(const struct liveness_limits *limits, const struct liveness_seen *seen)
{
        uint64_t heard = seen->paused ? seen->now : seen->last_byte;
        uint64_t most = due_at(seen->last_progress, limits->speaking_usec);
        uint64_t due = due_at(latest(heard, seen->last_progress), limits->stall_usec);

        return due < most ? due : most;
}

/* Lowers *next to `wait` from now. */
static void later(uint64_t *next, uint64_t now, uint64_t wait)
{
        if (wait && wait != UINT64_MAX && now + wait < *next)
                *next = now + wait;
}

struct liveness liveness_judge(const struct liveness_limits *limits,
                               const struct liveness_seen *seen)
{
        struct liveness result = {.next = UINT64_MAX};
        uint64_t silence = latest(seen->last_byte, seen->limits_since);
        uint64_t path = latest(silence, seen->last_ack);
        bool judge_path = seen->last_ack && !seen->window_closed;

        if (!seen->paused && !seen->greeting && !seen->silence_known &&
            passed(seen, silence, limits->silence_usec, &result.next))
                result.verdict = LIVENESS_SILENT;
        else if (judge_path && passed(seen, path, limits->path_usec, &result.next))
                result.verdict = LIVENESS_PATH;
        else if (seen->waiting && is_due(seen, stall_due(limits, seen), &result.next))
                result.verdict = LIVENESS_STALLED;
        else if (seen->partial && !seen->paused &&
                 passed(seen, seen->last_byte, limits->frame_usec, &result.next))
                result.verdict = LIVENESS_PARTIAL;
        if (!seen->greeting && !seen->unsent &&
            passed(seen, seen->last_sent, limits->interval_usec, &result.next)) {
                result.heartbeat = true;
                if (seen->now + limits->interval_usec < result.next)
                        result.next = seen->now + limits->interval_usec;
        }
        /* Looks again in time for changes that can't be foreseen: a window opens, a message begins,
         * data goes out. */
        if (limits->path_usec && seen->window_closed)
                later(&result.next, seen->now, 1000000);
        if (seen->unsent || seen->greeting)
                later(&result.next, seen->now, limits->interval_usec);
        later(&result.next, seen->now, limits->frame_usec);
        return result;
}
