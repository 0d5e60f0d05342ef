/* SPDX-License-Identifier: MIT */
#include "filled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { IOV = (16 << 20) / IMAGE_SLAB_SIZE + 1 };

void fill_log(struct log *log, size_t size, size_t bytes)
{
        static struct iovec iov[IOV];
        uint64_t base = 0;

        for (; bytes; bytes -= size) {
                uint64_t end = log->image->end;
                int n = log_room(log, end, size, iov, IOV);
                unsigned char *first = iov[0].iov_base;

                assert_true(n > 0);
                for (int i = 0; i < n; i++)
                        memset(iov[i].iov_base, 0, iov[i].iov_len);
                first[1] = (unsigned char)((size - 4) >> 16);
                first[2] = (unsigned char)((size - 4) >> 8 & 0xff);
                first[3] = (unsigned char)((size - 4) & 0xff);
                assert_int_equal(log_take(log, &base, end + size, NULL, 1, 0).messages, 1);
        }
}
