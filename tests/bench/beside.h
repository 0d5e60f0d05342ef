/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The round trip of a small message to the upstream and back, while other clients send to the
 * upstream as fast as possible.
 */
#include "ends.h"

struct beside {
        uint64_t bulk; /* messages of the others that arrived meanwhile */
        uint64_t ns, cpu_ns;
        uint64_t p50_ns, p99_ns;
};

/* Measures `count` round trips of `small` on the first of the clients, while the other clients send
 * `bulk`. links is the upstream's side, where small and bulk arrive in any order. relay: 0, or the
 * process whose CPU time is measured. */
void beside_run(struct side *clients, struct side *links, const struct pattern *small,
                const struct pattern *bulk, uint64_t count, pid_t relay, struct beside *result);
