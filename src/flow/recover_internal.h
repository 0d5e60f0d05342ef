/* SPDX-License-Identifier: MIT */
#pragma once
/* Shared by recover_log.c (slabs and logs) and recover.c (cursors, clients, the session). */
#include "flow/recover.h"
#include "store/log.h"

struct recovery {
        struct store *store;
        struct image *image;
        struct log in, out; /* after their checks */
        uint64_t steps, most;
};

/* Counts steps. False: too many, the image is to be refused. */
static inline bool recover_may_go_on(struct recovery *r, uint64_t steps)
{
        r->steps = steps < r->most - r->steps ? r->steps + steps : r->most;
        return r->steps < r->most;
}

/* Kinds of chains. In the chain of a log, slabs may be missing in the middle. The slabs of a
 * partial message and of the inject log follow each other; the slabs of marks are full, too. */
enum chain_kind { CHAIN_HOLES, CHAIN_WHOLE, CHAIN_FULL };

/* Checks a chain: every slab is in no other chain and in order, and the last slab is the tail.
 * Marks the slabs as used. aside: by the positions aside. Returns NULL, or a static text, the
 * failed check. */
const char *recover_check_chain(struct recovery *r, const struct image_chain *chain,
                                enum chain_kind kind, bool aside);

/* Returns the position at which the room of the chain's last slab ends; 0: no slab. */
uint64_t recover_chain_room(const struct store *store, const struct image_chain *chain);

/* True if the chain from `slab` on has all bytes of [from, to). */
bool recover_is_whole(struct recovery *r, const struct log *log, uint32_t slab, uint64_t from,
                      uint64_t to);

/* True if a message begins at `pos`, which the log has, or if `pos` is the end. */
bool recover_is_boundary(struct recovery *r, const struct log *log, uint64_t pos);

/* True if the log's end is in a slab, and no slab is missing behind the end; or the log has none.
 */
bool recover_has_good_end(struct recovery *r, struct image_log *image);

/* Checks the slabs, marks and messages of a log, and finishes an unfinished move into the log.
 * Returns NULL, or a static text, the failed check. */
const char *recover_check_log(struct recovery *r, struct image_log *image,
                              const struct frame_spec *spec);

/* True if the log has the bytes of [from, to), and `to` is a boundary with number `to_number`. Of
 * an empty range only the position is checked. */
bool recover_has_bytes(struct recovery *r, const struct log *log, uint64_t from, uint64_t to,
                       uint64_t to_number);

/* The same; and `from` is a boundary with number `from_number`, too. */
bool recover_has_messages(struct recovery *r, const struct log *log, uint64_t from,
                          uint64_t from_number, uint64_t to, uint64_t to_number);
