/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own count of the bytes read from a client's socket. From the count a successor knows
 * of a read whose store a crash prevented. A TCP socket has a counter. On a Unix socket SO_PEEK_OFF
 * serves as the counter: every read lowers the offset by the bytes read. The offset begins high and
 * is raised by 1 << 29 from time to time, so the count is valid modulo 1 << 29 at any instant.
 */
#include "edge/client_internal.h"

#include <sys/socket.h>

#include "edge/tcp.h"

enum { ROUND = 1 << 29, BEGIN = 1 << 30 };

static void put(int fd, int offset)
{
        setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
}

static bool get(int fd, int *offset)
{
        socklen_t size = sizeof(*offset);

        return getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, offset, &size) == 0 && *offset >= 0;
}

void client_rx_count_begin(int fd)
{
        put(fd, BEGIN);
}

uint64_t client_rx_count_go_on(int fd, uint64_t taken)
{
        int offset;

        if (!get(fd, &offset))
                return UINT64_MAX;
        if (offset < ROUND) {
                offset += ROUND;
                put(fd, offset);
        }
        return taken + (uint64_t)(offset - ROUND) / 2 + 1;
}

uint64_t client_rx_count_read(int fd, bool local, uint64_t known)
{
        struct tcp_totals totals;
        int offset;

        if (!local)
                return tcp_total(fd, known, 0, &totals) ? totals.read : known;
        if (!get(fd, &offset))
                return known;
        return known + (((uint64_t)(BEGIN - (int64_t)offset) - known) & (ROUND - 1));
}
