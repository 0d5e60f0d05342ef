/* SPDX-License-Identifier: MIT */
#pragma once
/* The runs of a listener: its messages, in the order of reading. */
#include "audience.h"

/* Returns the count of the messages [from, to); to ENDLESS: of all messages from `from` on. */
struct count audience_span(const struct audience *a, uint32_t from, uint32_t to);

/* True if the last run is endless: l gets all later messages. */
bool run_is_endless(const struct listener *l);

/* Appends an endless run from message `from` on, unless the last run is endless. */
void run_open(struct listener *l, uint32_t from);

/* Ends an endless run at the end of the messages. */
void run_close(const struct audience *a, struct listener *l);

/* Removes the first message of run i from l. */
void run_take(const struct audience *a, struct listener *l, uint32_t i);

/* Sets *i to the run of the oldest message not begun; cuts off a message begun as a run of its own.
 * Returns false if all messages are begun. */
bool run_oldest(const struct audience *a, struct listener *l, uint32_t *i);

/* Inserts the messages [from, to), in the order of numbers from run *at on, behind a message begun.
 * *at is then their run. */
void run_insert(const struct audience *a, struct listener *l, uint32_t from, uint32_t to,
                uint32_t *at);

/* Appends the messages [from, to) behind all runs. */
void run_append(const struct audience *a, struct listener *l, uint32_t from, uint32_t to);
