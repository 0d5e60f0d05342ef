/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whether a connection still lives, told from what was seen of it. Times are clock_usec(); a limit
 * of 0 is off. Pure: who calls drains the socket first, so that its own stall is not taken for the
 * peer's silence.
 */
#include <stdbool.h>
#include <stdint.h>

struct liveness_limits {
        uint64_t interval_usec; /* of heartbeats that we send */
        uint64_t silence_usec;  /* without a byte */
        uint64_t path_usec;     /* without a byte or an acknowledgement */
        uint64_t stall_usec;    /* with data waiting and neither written nor acknowledged */
        uint64_t frame_usec;    /* in the middle of a message */
};

struct liveness_seen {
        uint64_t now;
        uint64_t last_byte; /* received; or when the connection, or reading after a pause, began */
        uint64_t last_ack;  /* of the peer's kernel; 0: unknown */
        uint64_t last_sent; /* anything handed to the kernel */
        uint64_t last_progress; /* the written or the acknowledged position moved, or data began to
                                   wait */
        bool paused;            /* we do not read */
        bool greeting;          /* no heartbeat is sent and silence is not judged */
        bool silence_known;     /* it was reported already and the connection stays */
        bool waiting;           /* data is to be written or to be acknowledged */
        bool unsent;            /* data is to be written: no heartbeat needed */
        bool window_closed;     /* the peer's window is 0 */
        bool partial;           /* a message has begun to arrive */
};

enum liveness_verdict {
        LIVENESS_GOOD,
        LIVENESS_SILENT,
        LIVENESS_PATH,
        LIVENESS_STALLED,
        LIVENESS_PARTIAL
};

struct liveness {
        enum liveness_verdict verdict;
        bool heartbeat; /* one is due */
        uint64_t next;  /* look again then; UINT64_MAX: nothing to wait for */
};

struct liveness liveness_judge(const struct liveness_limits *limits,
                               const struct liveness_seen *seen);
