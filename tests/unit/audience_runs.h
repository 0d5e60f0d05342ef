/* SPDX-License-Identifier: MIT */
#pragma once
/* What a listener has: runs of messages in the order in which it reads them. */
#include "audience.h"

/* Messages of [from, to), to the end of all if that is ENDLESS. */
struct count audience_span(const struct audience *a, uint32_t from, uint32_t to);

bool run_is_endless(const struct listener *l);

/* Whatever comes from this message on is its, too; and: is its no more. */
void run_open(struct listener *l, uint32_t from);
void run_close(const struct audience *a, struct listener *l);

/* The first message of run i is no more its. */
void run_take(const struct audience *a, struct listener *l, uint32_t i);

/* The run whose first message is the oldest one that is not begun; false: there is none. */
bool run_oldest(const struct audience *a, struct listener *l, uint32_t *i);

/* Messages behind what it has from run `at` on, in the order of their numbers; or behind all. */
void run_insert(const struct audience *a, struct listener *l, uint32_t from, uint32_t to,
                uint32_t *at);
void run_append(const struct audience *a, struct listener *l, uint32_t from, uint32_t to);
