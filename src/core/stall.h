/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Where a stall comes from: data waits and the peer takes none of it. Judged from the numbers of
 * the kernel, before anybody is blamed. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stall_seen {
        uint64_t stalled_usec; /* nothing was written and nothing acknowledged */
        uint64_t heard_usec;   /* since the last byte or acknowledgement of the peer */
        uint64_t under_way;    /* bytes that were transmitted and are not acknowledged */
        unsigned unanswered;   /* probes of a closed window, since the last acknowledgement */
        bool window_closed;    /* the peer's window has no room for what waits */
        bool sent_again;       /* the oldest segment was sent again, after a timeout */
};

enum stall_place {
        STALL_PROGRAM, /* does not read: the window is closed, and probes are answered */
        STALL_PATH,    /* no packet of the peer comes */
        STALL_SIZE,    /* packets of the peer come, and large ones to the peer do not arrive */
        STALL_KERNEL,  /* packets of the peer come, and acknowledge nothing of what waits */
};

/* Returns the place of a stall. */
enum stall_place stall_judge(const struct stall_seen *seen);

/* Writes the reason for people. */
void stall_text(const struct stall_seen *seen, enum stall_place place, char *text, size_t size);
