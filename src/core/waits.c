/* SPDX-License-Identifier: MIT */
#include "core/waits.h"
#include "core/marks.h"

#include <stddef.h>

void waits_skip(struct waits *waits, uint64_t pos, uint64_t number)
{
        if (pos <= waits->pos)
                return;
        waits->pos = pos;
        waits->number = number;
}

/* Tells what was passed up to this boundary, run by run. */
static void tell(struct waits *waits, const struct log *log, uint64_t number, uint64_t now,
                 struct image_histogram *histogram)
{
        const struct image_mark *mark = log_mark(log, waits->pos, &waits->mark);

        while (mark && waits->number < number) {
                uint64_t next = waits->mark + 1, until = number, time = mark->time_usec;

                mark = next < log->image->mark_next ? marks_get(log, next) : NULL;
                if (mark && mark->number < number)
                        until = mark->number;
                if (until > waits->number) {
                        histogram_add(histogram, now > time ? now - time : 0,
                                      until - waits->number);
                        waits->number = until;
                }
                if (mark && mark->number <= number)
                        waits->mark = next;
        }
}

void waits_pass(struct waits *waits, const struct log *log, uint64_t pos, uint64_t number,
                uint64_t now_usec, struct image_histogram *histogram)
{
        uint64_t hint = waits->mark;

        if (pos <= waits->pos)
                return;
        if (number == WAITS_UNKNOWN) {
                const struct image_mark *mark = log_mark(log, pos, &hint);

                if (!mark || mark->pos <= waits->pos)
                        return;
                pos = mark->pos;
                number = mark->number;
        }
        tell(waits, log, number, now_usec, histogram);
        waits->pos = pos;
        waits->number = number;
}
