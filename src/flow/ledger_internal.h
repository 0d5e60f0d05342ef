/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What ledger.c (the map, and what goes out by it) and ledger_fate.c (what becomes of the messages)
 * have in common.
 */
#include "flow/ledger.h"

static inline struct image_piece *ledger_piece(const struct ledger *ledger, uint64_t k)
{
        return &ledger->image->piece[k % IMAGE_PIECES];
}

/* What describes the next byte. */
static inline struct image_piece *ledger_last_piece(const struct ledger *ledger)
{
        return ledger_piece(ledger, ledger->image->piece_next - 1);
}

/* From the next TCP offset on: these places of the logs. Part of a transaction. */
void ledger_push_piece(struct ledger *ledger, uint64_t log, uint64_t inject);

/* The out log's place at a TCP offset that is at or behind the first piece's. */
uint64_t ledger_log_at(const struct ledger *ledger, uint64_t offset);

/* The inject log's place from which the next injected byte comes. */
uint64_t ledger_inject_at(const struct ledger *ledger);

/* Nobody needs the injected bytes any more. */
void ledger_drop_inject(struct ledger *ledger);

/* Lets go of what is acknowledged, after a change of the map or of how far that is. Part of a
 * transaction. */
void ledger_follow(struct ledger *ledger);

/* Where everything before what is to be skipped is written, the map gets the hole, if it has room:
 * nothing of the out log is sent until it has. */
void ledger_settle(struct ledger *ledger);

/* Counts anew what of the log in front was given up. */
void ledger_look_ahead(struct ledger *ledger);
