/* SPDX-License-Identifier: MIT */
#pragma once
/* Functions that client.c (a client's life), client_in.c (bytes from the client), client_out.c
 * (messages to the client) and client_rx_count.c (what was read, by the kernel) share. */
#include "edge/client.h"

/* Switches events of the client's socket on or off; `what`: POLLER_READ or POLLER_WRITE. */
void client_want(struct client *client, unsigned what, bool wanted);

/* Moves the client's deadline forward if a check could be due earlier. */
void client_look_after(struct client *client, uint64_t now);

/* ---- client_out.c: messages to the client ---- */

/* Stops writing, because the other end is gone. Ends the client if it sends no more; otherwise the
 * bytes sent before are still read. */
void client_end_hung(struct client *client);

/* Ends a client that neither sends nor reads any more. */
void client_end_closed(struct client *client);

/* Tests with an empty send whether the client still reads: a shutdown of the reading side raises no
 * event. May end the client. */
void client_probe(struct client *client, uint64_t now);

/* Trusts the client: a backlog goes to the client. If the first send of the backlog is refused, the
 * client is marked as one without a reading side instead: a shutdown before the accept shows only
 * in a send. */
void client_trust(struct client *client, uint64_t now);

/* Ends the client as a reader. Queued messages go to other clients (balance) or are dropped with
 * this reason. */
void client_deafen(struct client *client, enum drop_reason reason);

/* Moves the client's times forward by the delay if a deadline of `at` is told as late as `now`: a
 * stall of ftcpd does not count as the client's. */
void client_overslept(struct client *client, uint64_t at, uint64_t now);

/* Begins or ends the use of the client's credits as its state asks for: while it keeps the others
 * waiting and SlowClient=disconnect holds. */
void client_charge(struct client *client, uint64_t now);

/* Returns the time at which the first of the credits in use is consumed; UINT64_MAX: never. Of
 * those that it shares with others, not before it is known whether the client takes bytes, nor
 * while it does. */
uint64_t client_credit_end(const struct client *client, uint64_t now);

/* The client is ended as too slow: what it has used counts for those of its program that come
 * later. */
void client_owe(struct client *client, uint64_t now);

/* Ends the client because its credit is used up. */
void client_end_too_slow(struct client *client);

/* Returns when a heartbeat for the client could be due, clock_usec(); 0: never. */
uint64_t client_heartbeat_at(const struct client *client);

/* Sends the client a heartbeat if one is due and nothing else is to be delivered or unread. May end
 * the client. */
void client_beat(struct client *client, uint64_t now);

/* ---- client_in.c: bytes from the client ---- */

/* Reads from the client, at most READS times. */
void client_read(struct client *client);

/* Reads once. Returns true if more bytes may be readable. May end the client. */
bool client_read_once(struct client *client);

/* Takes `got` bytes that were read into the room of turn_room(): commits whole messages, and tells
 * the class. May end the client. */
void client_take(struct client *client, size_t got);

/* Discards the client's partial message, if any, and counts the message as refused. */
void client_drop_partial(struct client *client);

/* Notes that bytes of the client are discarded: until the client ends, its message boundaries are
 * unknown. */
void client_set_unplaced(struct client *client);

/* Ends the client because its partial message does not go on ([Frame] Timeout=). */
void client_end_unfinished(struct client *client, uint64_t now);

/* ---- client_rx_count.c: the kernel's own count of the bytes read from the client ---- */

/* Starts the count of a new Unix socket, before the first read. */
void client_rx_count_begin(int fd);

/* Raises a Unix socket's offset if due; taken: bytes read so far. Returns the number of bytes read
 * at which to call the function again; UINT64_MAX if the socket does not count. */
uint64_t client_rx_count_go_on(int fd, uint64_t taken);

/* Returns the number of bytes read; `known`: a lower bound, less than 1 << 29 below the result.
 * Returns `known` if the kernel does not tell. */
uint64_t client_rx_count_read(int fd, bool local, uint64_t known);
