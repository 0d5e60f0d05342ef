/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How long the messages of a log waited for one of its readers: from their time in the log's marks
 * until the reader has passed them whole. The price is one look at each mark, not at each message:
 * of a run that is passed in part, the messages are told when all of it is, or when the reader has
 * caught up with the log. What is not told yet is forgotten with the process.
 */
#include <stdint.h>

#include "store/histogram.h"
#include "store/log.h"

struct waits {
        uint64_t pos, number; /* a boundary: what stands before it was told */
        uint64_t mark;        /* a hint */
};

/* Where the number of the message at a position is not known. */
#define WAITS_UNKNOWN UINT64_MAX

/* What stands before this boundary, and was not told, was never passed. */
void waits_skip(struct waits *waits, uint64_t pos, uint64_t number);

/*
 * The reader has passed everything before pos, which is at or before the log's end. Where pos is a
 * boundary and the number of the message there is known, all is told up to it. To be called before
 * the reader lets go of what it has passed.
 */
void waits_pass(struct waits *waits, const struct log *log, uint64_t pos, uint64_t number,
                uint64_t now_usec, struct image_histogram *histogram);
