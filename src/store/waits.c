/* SPDX-License-Identifier: MIT */
#include "store/waits.h"

#include <stddef.h>

#include "store/marks.h"

void waits_skip(struct waits *waits, uint64_t pos, uint64_t number)
{
        if (pos <= waits->pos)
                return;
        waits->pos = pos;
        waits->number = number;
}

/* Tells the histogram of the messages before this number, run by run. Runs of one time, which one
 * read brought, are told together, because each of many readers repeats the work: half the price
 * for 256 KiB. */
static void tell(struct waits *waits, const struct log *log, uint64_t number, uint64_t now,
                 struct image_histogram *histogram)
{
        const struct image_mark *mark = log_find_mark(log, waits->pos, &waits->mark), *next;
        uint64_t k = waits->mark;

        while (mark && waits->number < number) {
                uint64_t time = mark->time_usec, until = number;

                while ((next = marks_behind(log, mark, k)) && next->number < number &&
                       next->time_usec == time) {
                        mark = next;
                        k++;
                }
                if (next && next->number <= number) {
                        until = next->number;
                        k++;
                }
                if (until > waits->number) {
                        histogram_add(histogram, now > time ? now - time : 0,
                                      until - waits->number);
                        waits->number = until;
                }
                mark = next;
        }
        waits->mark = k;
}

void waits_pass(struct waits *waits, const struct log *log, uint64_t pos, uint64_t number,
                uint64_t now_usec, struct image_histogram *histogram)
{
        uint64_t hint = waits->mark;

        if (pos <= waits->pos)
                return;
        if (number == WAITS_UNKNOWN) {
                const struct image_mark *mark = log_find_mark(log, pos, &hint);

                if (!mark || mark->pos <= waits->pos)
                        return;
                pos = mark->pos;
                number = mark->number;
        }
        tell(waits, log, number, now_usec, histogram);
        waits->pos = pos;
        waits->number = number;
}
