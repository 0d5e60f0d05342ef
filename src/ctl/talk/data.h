/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The data socket of a running ftcpd, and the frame that is spoken on it: both as the daemon itself
 * tells them.
 */
#include <stdbool.h>
#include <stddef.h>

#include "wire/frame.h"

struct ctl;

struct data {
        int fd; /* non-blocking; -1: not connected */
        char path[256];
        struct frame_spec spec;
        bool refuses;   /* WhenDown=refuse: no client is taken while the link is down */
        bool dismisses; /* OnLinkLoss=disconnect: those there were are sent away */
};

/* To send: the socket's reading side is shut down first, so that nothing is delivered here, and it
 * is checked that ftcpd takes messages of this user. To receive: not what another client would get
 * in our place, but for DATA_STEAL. */
enum data_use { DATA_SEND, DATA_RECEIVE, DATA_STEAL };

/* Asks the daemon and connects. Returns the exit code, with words left; data_close() is called only
 * after CTL_DONE. */
int data_open(struct ctl *ctl, struct data *data, enum data_use use);

/* Why ftcpd has closed the connection, as far as it tells that: words to stand behind what
 * happened,
 * ": the link is down ...", or empty. */
void data_why_closed(struct ctl *ctl, const struct data *data, char *text, size_t size);
void data_close(struct data *data);
