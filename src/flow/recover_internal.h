/* SPDX-License-Identifier: MIT */
#pragma once
/* What recover_log.c (slabs and logs) and recover.c (who reads and writes in them) have in common.
 */
#include "flow/recover.h"
#include "store/log.h"

struct recovery {
        struct store *store;
        struct image *image;
};

/* Slabs may be missing in the middle of a log. Those of partial messages, and what is injected,
 * follow each other; those of marks are full, too. */
enum chain_kind { CHAIN_HOLES, CHAIN_WHOLE, CHAIN_FULL };

/* Every slab of a chain is in no other one, in order, and the last one is its tail. Returns what is
 * wrong, or NULL. */
const char *recover_check_chain(struct recovery *r, const struct image_chain *chain,
                                enum chain_kind kind, bool aside);

/* How far bytes may stand in a chain: where the room of its last slab ends. */
uint64_t recover_chain_room(const struct store *store, const struct image_chain *chain);

/* Are the bytes of [from, to) there without a hole, beginning in this slab? */
bool recover_is_whole(const struct log *log, uint32_t slab, uint64_t from, uint64_t to);

/* The end is in a slab, and from there on is room without a hole. */
bool recover_check_end(struct recovery *r, struct image_log *image);

/* A log by itself; what was on its way into it goes there. Returns what is wrong, or NULL. */
const char *recover_check_log(struct recovery *r, struct image_log *image,
                              const struct frame_spec *spec);

/* Are the bytes of [from, to) in the log, and is `to` a boundary with this number? */
bool recover_has_bytes(const struct log *log, uint64_t from, uint64_t to, uint64_t to_number);

/* And is `from` one, too? */
bool recover_has_messages(const struct log *log, uint64_t from, uint64_t from_number, uint64_t to,
                          uint64_t to_number);
