/* SPDX-License-Identifier: MIT */
#include "../../unit/lib/starve.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct starve own;
struct starve *starve = &own;

#ifndef STARVE_CANNOT

static void *(*real_malloc)(size_t size);
static void *(*real_calloc)(size_t n, size_t size);
static void *(*real_realloc)(void *bytes, size_t size);
static void (*real_free)(void *bytes);

/* What is allocated while the real functions are looked up. */
static _Alignas(max_align_t) char early[64 * 1024];
static size_t early_used;

static bool is_early(const void *bytes)
{
        return (const char *)bytes >= early && (const char *)bytes < early + sizeof(early);
}

static void *early_take(size_t size)
{
        void *bytes = early + early_used;

        early_used += (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
        return early_used <= sizeof(early) ? bytes : NULL;
}

static void find_real(void)
{
        static bool busy;

        if (busy)
                return;
        busy = true;
        *(void **)&real_free = dlsym(RTLD_NEXT, "free");
        *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
        *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
        *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
        busy = false;
}

__attribute__((constructor)) static void take_orders(void)
{
        const char *path = getenv("FTCPD_TEST_STARVE");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
        void *orders;

        if (fd < 0)
                return;
        orders = mmap(NULL, sizeof(*starve), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (orders != MAP_FAILED)
                starve = orders;
}

static bool fails(void)
{
        uint64_t first = __atomic_load_n(&starve->first, __ATOMIC_RELAXED), nth;

        if (!first)
                return false;
        nth = __atomic_add_fetch(&starve->seen, 1, __ATOMIC_RELAXED);
        if (nth < first || nth - first >= starve->many)
                return false;
        __atomic_add_fetch(&starve->failed, 1, __ATOMIC_RELAXED);
        errno = ENOMEM;
        return true;
}

static void *counted(void *bytes)
{
        if (bytes)
                __atomic_add_fetch(&starve->live, 1, __ATOMIC_RELAXED);
        return bytes;
}

void *malloc(size_t size)
{
        if (!real_malloc)
                find_real();
        if (!real_malloc)
                return early_take(size);
        return fails() ? NULL : counted(real_malloc(size));
}

void *calloc(size_t n, size_t size)
{
        if (!real_malloc)
                find_real();
        if (!real_malloc)
                return early_take(n * size);
        return fails() ? NULL : counted(real_calloc(n, size));
}

void *realloc(void *bytes, size_t size)
{
        void *moved;

        if (!real_malloc)
                find_real();
        if (fails())
                return NULL;
        if (!is_early(bytes) && real_malloc)
                return bytes ? real_realloc(bytes, size) : counted(real_realloc(NULL, size));
        moved = real_malloc ? counted(real_malloc(size)) : early_take(size);
        if (moved && bytes)
                memcpy(moved, bytes, size);
        return moved;
}

void *reallocarray(void *bytes, size_t n, size_t size)
{
        if (size && n > SIZE_MAX / size) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(bytes, n * size);
}

void free(void *bytes)
{
        if (!bytes || is_early(bytes))
                return;
        __atomic_sub_fetch(&starve->live, 1, __ATOMIC_RELAXED);
        real_free(bytes);
}

#endif
