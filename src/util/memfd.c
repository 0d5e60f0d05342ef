/* SPDX-License-Identifier: MIT */
#include "util/memfd.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL /* glibc before 2.38 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int memfd_make(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);

        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC);
        return fd;
}
