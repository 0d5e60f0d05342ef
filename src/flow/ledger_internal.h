/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Shared by ledger.c (the map, the bytes to be written next) and ledger_fate.c (the fate of
 * messages).
 */
#include "flow/ledger.h"

/* Returns piece number k, counted since the first connection. */
static inline struct image_piece *ledger_piece(const struct ledger *ledger, uint64_t k)
{
        return &ledger->image->piece[k % IMAGE_PIECES];
}

/* Returns the piece that describes the next byte. */
static inline struct image_piece *ledger_last_piece(const struct ledger *ledger)
{
        return ledger_piece(ledger, ledger->image->piece_next - 1);
}

/* Adds a piece: from the next TCP offset on, bytes come from position `log` of the out log, or,
 * where inject is not IMAGE_OPEN, from `inject` of the inject log. Part of a transaction. */
void ledger_push_piece(struct ledger *ledger, uint64_t log, uint64_t inject);

/* Returns the position of the out log at a TCP offset, which is not before the first piece. */
uint64_t ledger_log_at(const struct ledger *ledger, uint64_t offset);

/* Returns the position of the out log at which piece k ends; k is not the last piece. */
uint64_t ledger_piece_end(const struct ledger *ledger, uint64_t k);

/* Returns the position of the inject log of the next byte to be injected. */
uint64_t ledger_inject_at(const struct ledger *ledger);

/* Frees all slabs of the inject log, which no piece needs any more. Part of a transaction. */
void ledger_drop_inject(struct ledger *ledger);

/* Frees acknowledged pieces, injected bytes and messages, after a change of the map or of the
 * acknowledged offset. Part of a transaction. */
void ledger_follow(struct ledger *ledger);

/* Enters the skipped messages into the map as a hole, when all messages before the hole are written
 * and the map has room. No message behind the hole is written before. */
void ledger_settle(struct ledger *ledger);

/* Counts `ahead` anew: the dropped messages still in the log, behind `acked`. */
void ledger_look_ahead(struct ledger *ledger);
