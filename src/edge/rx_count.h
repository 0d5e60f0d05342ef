/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The kernel's own count of the bytes read from a client's socket. From the count a successor knows
 * of a read whose store a crash prevented. A TCP socket has a counter. On a Unix socket SO_PEEK_OFF
 * serves as the counter: every read lowers the offset by the bytes read. The offset begins high and
 * is raised by 1 << 29 from time to time, so the count is valid modulo 1 << 29 at any instant.
 */
#include <stdbool.h>
#include <stdint.h>

/* Starts the count of a new Unix socket, before the first read. */
void rx_count_begin(int fd);

/* Raises a Unix socket's offset if due; taken: bytes read so far. Returns the number of bytes read
 * at which to call the function again; UINT64_MAX if the socket does not count. */
uint64_t rx_count_go_on(int fd, uint64_t taken);

/* Returns the number of bytes read; `known`: a lower bound, less than 1 << 29 below the result.
 * Returns `known` if the kernel does not tell. */
uint64_t rx_count_read(int fd, bool local, uint64_t known);
