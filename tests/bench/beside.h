/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How long one small message takes to the upstream and back while other clients send there as fast
 * as they can.
 */
#include "ends.h"

struct beside {
        uint64_t bulk; /* messages that arrived meanwhile */
        uint64_t ns, cpu_ns;
        uint64_t p50_ns, p99_ns;
};

/* The first of the clients asks `count` times, the others send messages of this pattern; links is
 * the upstream's side, on which small and bulk arrive in any order. */
void beside_run(struct side *clients, struct side *links, const struct pattern *small,
                const struct pattern *bulk, uint64_t count, pid_t relay, struct beside *result);
