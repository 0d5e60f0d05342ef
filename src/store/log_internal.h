/* SPDX-License-Identifier: MIT */
#pragma once
/* Shared by log.c (slabs and room), log_walk.c (walks over headers) and log_take.c (commits). */
#include "store/log.h"

/* The state of a walk over whole frames. */
struct walk {
        uint32_t slab;
        uint64_t pos, number;
        uint64_t scanned;
        uint64_t total, declared; /* of the frame at pos, where the walk stopped at a frame */
};

enum { WALK_STEP = FRAME_BROKEN + 1 }; /* some frames further, in the same slab or the next */

/* Walks over the whole frames that begin in one slab, up to `to`; stops before a frame that is not
 * whole, not acceptable or with a body in `stop`. Returns WALK_STEP to go on, or the enum
 * frame_result of the frame at walk->pos. */
int log_walk_slab(const struct log *log, struct walk *walk, uint64_t to, struct frame_range stop);

/* True if this slab may leave the middle of the chain: no open cursor needs the slab, all its bytes
 * are committed, and the slab before does not end early (the position of the next slab tells). */
bool log_may_drop(const struct log *log, uint32_t slab);

/* Takes this slab out of the chain and frees it. */
void log_drop(struct log *log, uint32_t slab);
