/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The data socket of a running ftcpd, and the frame that is spoken on it: both as the daemon itself
 * tells them.
 */
#include "wire/frame.h"

#include <stdbool.h>

struct ctl;

struct data {
        int fd; /* non-blocking; -1: not connected */
        char path[256];
        struct frame_spec spec;
};

/* To send: the socket's reading side is shut down first, so that nothing is delivered here, and it
 * is checked that ftcpd takes messages of this user. To receive: not what another client would get
 * in our place, but for DATA_STEAL. */
enum data_use { DATA_SEND, DATA_RECEIVE, DATA_STEAL };

/* Asks the daemon and connects. Returns the exit code, with words left; data_close() is called only
 * after CTL_DONE. */
int data_open(struct ctl *ctl, struct data *data, enum data_use use);
void data_close(struct data *data);
