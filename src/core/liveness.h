/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Whether a connection still lives, judged from observations. Times are clock_usec(); a limit of 0
 * or UINT64_MAX is off. Pure: the caller drains the socket first, or a stall of the own process
 * would look like silence of the peer.
 */
#include <stdbool.h>
#include <stdint.h>

struct liveness_limits {
        uint64_t interval_usec; /* between heartbeats to the peer */
        uint64_t silence_usec;  /* without a received byte */
        uint64_t path_usec;     /* without a received byte or an acknowledgement */
        uint64_t stall_usec;    /* with data waiting and neither written nor acknowledged */
        uint64_t speaking_usec; /* the same while the peer speaks; at least stall_usec */
        uint64_t frame_usec;    /* without a received byte in the middle of a message */
};

struct liveness_seen {
        uint64_t now;
        uint64_t last_byte; /* received; or begin of the connection, or of reading after a pause */
        uint64_t last_ack;  /* of the peer's kernel; 0: unknown */
        uint64_t limits_since;  /* the limits of silence and path are these since then */
        uint64_t last_sent;     /* the last byte of any kind handed to the kernel */
        uint64_t last_progress; /* the written or the acknowledged position moved, or data began to
                                   wait */
        bool paused;            /* the session does not read */
        bool greeting;          /* no heartbeat is sent and silence is not judged */
        bool silence_known;     /* the silence was reported already and the connection stays */
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
        bool heartbeat; /* a heartbeat is due */
        uint64_t next;  /* time of the next judgement; UINT64_MAX: nothing to wait for */
};

/* Returns the verdict, whether a heartbeat is due, and the time to judge again. */
struct liveness liveness_judge(const struct liveness_limits *limits,
                               const struct liveness_seen *seen);
