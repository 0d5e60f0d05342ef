/* SPDX-License-Identifier: MIT */
#pragma once
/* What client.c, a client's life, and its two directions, client_in.c and client_out.c, have in
 * common. */
#include "edge/client.h"

/* Whether it wants to read, or to write. */
void client_want(struct client *client, unsigned what, bool wanted);

/* Notes when to look for what could be due earlier than it stands. */
void client_look_after(struct client *client, uint64_t now);

/* ---- client_out.c: what goes to it ---- */

/* Nothing goes to it any more, as its other end is gone; what it had sent is still taken. */
void client_end_hung(struct client *client);

/* Asks whether it reads at all: its shutdown of the reading side raises no event. */
void client_probe(struct client *client, uint64_t now);

/* What is held goes to it, if it takes any of it: its shutdown of the reading side before it
 * connected shows only then. */
void client_trust(struct client *client, uint64_t now);

/* Nothing goes to it any more: what waited for it is dropped for this reason. */
void client_deafen(struct client *client, enum drop_reason reason);

/* What was due then comes only now: our own stall is not the client's. */
void client_overslept(struct client *client, uint64_t at, uint64_t now);

/* Ends it, because its credit is used up. */
void client_end_too_slow(struct client *client);

/* ---- client_in.c: what it sends ---- */

/* Reads what is there, several times at most. */
void client_read(struct client *client);

/* One read. Returns whether more may be there. */
bool client_read_once(struct client *client);

/* So many bytes stand behind what was taken of it. May end it. */
void client_take(struct client *client, size_t got);

/* It does not finish its message: it is refused. */
void client_drop_partial(struct client *client);

/* What it sends has no place in a message any more, until it ends. */
void client_set_unplaced(struct client *client);

/* Ends it, because it does not go on with its message. */
void client_end_unfinished(struct client *client, uint64_t now);
