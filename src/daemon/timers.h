/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

/* Makes room in libevent's heap for this many armed timers: to arm one of them takes no memory from
 * then on, and so never fails. Returns false without memory. */
bool timers_reserve(struct event_base *base, size_t n);
