/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The data socket of a running ftcpd and the frame of its messages, both from the configuration
 * that the daemon reports.
 */
#include <stdbool.h>
#include <stddef.h>

#include "wire/frame.h"

struct ctl;

struct data {
        int fd; /* non-blocking; -1: not connected */
        char path[256];
        struct frame_spec spec;
        unsigned char *heartbeat; /* the message that idle clients are sent, owned; NULL: none */
        size_t heartbeat_size;
        bool refuses;   /* WhenDown=refuse: ftcpd takes no client while the link is down */
        bool dismisses; /* OnLinkLoss=disconnect: ftcpd disconnects the clients */
};

/* DATA_SEND: the socket's reading side is shut down, so that no message is delivered here.
 * DATA_RECEIVE fails with ToClients=balance, where the received messages would be lost to the other
 * clients; DATA_STEAL receives all the same. */
enum data_use { DATA_SEND, DATA_RECEIVE, DATA_STEAL };

/* Asks the daemon for its configuration and connects. For DATA_SEND, also checks that [Local]
 * Senders= permits this user. Returns CTL_DONE, and data_close() is due later; or the exit code
 * with words left. */
int data_open(struct ctl *ctl, struct data *data, enum data_use use);

/* True if the message is one that ftcpd sends idle clients ([Local] HeartbeatInterval=), by the
 * configuration at the time of data_open(). */
bool data_is_heartbeat(const struct data *data, const unsigned char *message, size_t size);

/* Asks the daemon why it closed the connection. text, of size bytes, gets the reason for the end of
 * a sentence, ": the link is not up ...", or is empty if unknown. */
void data_why_closed(struct ctl *ctl, const struct data *data, char *text, size_t size);

/* Closes the connection. */
void data_close(struct data *data);
