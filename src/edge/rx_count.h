/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * How many bytes were read from a client's socket, by the kernel's own count: what a successor
 * finds in it after a crash between a read and the store that says so. A Unix socket counts in its
 * SO_PEEK_OFF, which every read lowers by what it took: it begins high, and is raised by 1 << 29
 * now and then, so that the count holds modulo 1 << 29 at any instant.
 */
#include <stdbool.h>
#include <stdint.h>

/* At the beginning of a connection; nothing was read from it yet. */
void rx_count_begin(int fd);

/* Keeps it going; taken is what was read so far. Returns at how many bytes to call it again. */
uint64_t rx_count_go_on(int fd, uint64_t taken);

/* The true count, where `known` were read for sure and less than 1 << 29 besides. */
uint64_t rx_count_read(int fd, bool local, uint64_t known);
