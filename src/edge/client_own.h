/* SPDX-License-Identifier: MIT */
#pragma once
/* What client.c and client_out.c, the two halves of one client, have in common. */
#include "edge/client.h"

/* Whether it wants to read, or to write. */
void client_want(struct client *client, unsigned what, bool wanted);

/* Nothing goes to it any more, as its other end is gone; what it had sent is still taken. */
void client_hung(struct client *client);

/* Notes when to look for what could be due earlier than it stands. */
void client_look_after(struct client *client, uint64_t now);

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
void client_too_slow(struct client *client);
