/* SPDX-License-Identifier: MIT */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* True in ./dev test --long. */
static inline bool often_is_long(void)
{
        const char *is_long = getenv("FTCPD_TEST_LONG");

        return is_long && *is_long;
}

/*
 * How often a test of random choices tries: the first number in each run, the second one in
 * ./dev test --long. The environment variable of this name says otherwise.
 */
static inline uint64_t often(const char *name, uint64_t in_short, uint64_t in_long)
{
        const char *asked = getenv(name);

        if (asked)
                return strtoull(asked, NULL, 0);
        return often_is_long() ? in_long : in_short;
}
