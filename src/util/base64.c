/* SPDX-License-Identifier: MIT */
#include "util/base64.h"

#include <errno.h>
#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_size(size_t size)
{
        return (size + 2) / 3 * 4;
}

/* Reads each group before the group is written; the write position never overtakes the read
 * position, because both may be in the same room. */
void base64_encode(char *to, const void *from, size_t size)
{
        const unsigned char *p = from;
        uint32_t bits;

        for (; size >= 3; size -= 3, p += 3, to += 4) {
                bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
                to[0] = digits[bits >> 18];
                to[1] = digits[bits >> 12 & 63];
                to[2] = digits[bits >> 6 & 63];
                to[3] = digits[bits & 63];
        }
        if (size == 0)
                return;
        bits = (uint32_t)p[0] << 16 | (size == 2 ? (uint32_t)p[1] << 8 : 0);
        to[0] = digits[bits >> 18];
        to[1] = digits[bits >> 12 & 63];
        to[2] = size == 2 ? digits[bits >> 6 & 63] : '=';
        to[3] = '=';
}

static int value(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_decode(void *to, const char *text, size_t size)
{
        size_t padding = 0, n = 0;
        unsigned char *out = to;

        if (size % 4 != 0)
                return -EINVAL;
        while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
                padding++;
        for (size_t i = 0; i < size; i += 4) {
                size_t last = i + 4 == size ? padding : 0;
                uint32_t bits = 0;

                for (size_t k = 0; k < 4; k++) {
                        int six = k < 4 - last ? value(text[i + k]) : 0;

                        if (six < 0)
                                return -EINVAL;
                        bits = bits << 6 | (uint32_t)six;
                }
                if (bits & ((1U << 8 * last) - 1))
                        return -EINVAL; /* two texts must not stand for the same bytes */
                for (size_t k = 0; k < 3 - last; k++)
                        out[n++] = (unsigned char)(bits >> (16 - 8 * k));
        }
        return (ssize_t)n;
}
