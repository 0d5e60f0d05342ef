/* SPDX-License-Identifier: MIT */
#pragma once
/* What log.c (slabs and room), log_walk.c (over the headers) and log_take.c (what arrived) have in
 * common. */
#include "store/log.h"

/* A place in a log, on the way over whole frames. */
struct walk {
        uint32_t slab;
        uint64_t pos, number;
        uint64_t scanned;
        uint64_t total, declared; /* of the frame at pos, where the walk stopped in front of one */
};

enum { WALK_STEP = FRAME_BROKEN + 1 }; /* some frames further, in the same slab or the next */

/* Over whole frames that begin in one slab, up to `to`; stops before one that is not whole, not
 * acceptable or in `stop`. Returns WALK_STEP to go on, or an enum frame_result that says how it
 * stands before the frame at walk->pos. */
int log_walk_slab(const struct log *log, struct walk *walk, uint64_t to, struct frame_range stop);

/* May this slab go out of the middle: not where it tells that the one before it ends early. */
bool log_may_drop(const struct log *log, uint32_t slab);
void log_drop(struct log *log, uint32_t slab);
