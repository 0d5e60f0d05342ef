/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * An allocator that fails when told to. Linked into a test, or preloaded into a program: then the
 * orders stand in the file that FTCPD_TEST_STARVE names, which the test maps, too.
 */
#include <stdint.h>

/* The address sanitizer has an allocator of its own: there none fails. */
#ifdef __SANITIZE_ADDRESS__
#define STARVE_CANNOT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STARVE_CANNOT 1
#endif
#endif

struct starve {
        uint64_t first;  /* the allocation that fails, counted from 1; 0: none does */
        uint64_t many;   /* how many fail from there on */
        uint64_t seen;   /* allocations counted since `first` was set; reset by the test */
        uint64_t failed; /* allocations that have failed; reset by the test */
        uint64_t live;   /* allocations that are not freed */
};

extern struct starve *starve;
