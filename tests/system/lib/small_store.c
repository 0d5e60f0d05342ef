/* SPDX-License-Identifier: MIT */
/* Preloaded into ftcpd by leaks_test.py: only the beginning of the store is mapped, as valgrind
 * maps no 64 GiB. Slabs are taken from the beginning. */
#include <dlfcn.h>
#include <sys/mman.h>

#define MOST ((size_t)1 << 30)

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
        void *(*real)(void *, size_t, int, int, int, off_t) =
                (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");

        return real(address, size > MOST ? MOST : size, protection, flags, fd, offset);
}
