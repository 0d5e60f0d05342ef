/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The state of ftcpd in plain snapshots. The relay fills a snapshot, and control writes the
 * snapshot as JSON, member by member as in the interface io.ftcpd. Spans are in microseconds;
 * STATUS_NONE stands for an absent member. Strings are borrowed from the daemon and valid until
 * control returns to the event loop.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/books.h"
#include "core/state.h"

#define STATUS_NONE UINT64_MAX

struct image_histogram;

enum severity { SEVERITY_OK, SEVERITY_WARNING, SEVERITY_CRITICAL };

/* Returns "ok", "warning" or "critical". */
const char *severity_name(enum severity severity);

enum { STATUS_GONE_MAX = 4, STATUS_REASON_MAX = 512 };

struct status_partial {
        bool present;
        uint64_t declared_bytes; /* STATUS_NONE without a whole length field */
        uint64_t received_bytes;
        uint64_t age_usec;
};

struct status_upstream {
        enum link_state state;
        uint64_t state_usec;
        uint64_t down_usec; /* since the link was last up, or since the start; 0 while up */
        const char *address;
        const char *peer; /* NULL: absent, as are last_error, held_by and held_reason */
        char frame[64];
        uint64_t connects, disconnects;
        enum link_cause last_cause;
        const char *last_error;
        uint64_t last_error_usec; /* age of last_error */
        uint64_t next_attempt_usec, silent_usec, heartbeat_timeout_usec;
        uint64_t heartbeats_sent, heartbeats_received;
        uint64_t rtt_usec;
        struct count received, sent, unacked, resent;
        struct status_partial partial;
        bool paused;
        bool silent_reported;   /* silent with OnSilence=report */
        unsigned recent_losses; /* in the last 10 minutes */
        uint64_t unheard;       /* connections in a row that ended before a byte of the peer */
        uint64_t provisional;   /* bytes of messages acknowledged before a byte of the peer */
        const char *held_by, *held_reason;
        uint64_t held_for_usec;
};

/* Where clients of a kind connect; text NULL or "": absent. */
struct status_socket {
        const char *text;       /* a path, or the address of a TCP socket */
        uint64_t device, inode; /* of the path; inode 0: unknown */
};

struct status {
        const char *version, *instance;
        struct status_socket data_socket, control_socket;
        pid_t pid;
        uint64_t uptime_usec;
        uint64_t started_usec; /* since 1970, for people */
        struct status_upstream upstream;
        uint64_t clients, clients_limit, clients_accepted, clients_refused, clients_crowded;
        struct books to_upstream, to_clients;
        struct count refused;
        bool shut; /* a socket is missing: nobody can connect */
        const char
                *gone[STATUS_GONE_MAX]; /* of each socket whose path is gone, a reason for people */
        size_t n_gone;
        const char *fault_at_data,
                *fault_at_control; /* why connections wait unaccepted; NULL: none */
        bool outdated; /* the files are broken, the configuration of before a restart is in force */
        const uint64_t *lost, *failed;         /* connections and attempts, by enum link_cause */
        const struct image_histogram *latency; /* by enum latency_kind */
        uint64_t longest_pass_usec; /* of the event loop, in processor time, since the start */
        bool recent_loss; /* messages were dropped within the last minute for a reason nobody chose
                           */
};

struct status_client {
        uint64_t id;
        bool local; /* a Unix client: pid, uid and gid are set; else peer is set */
        pid_t pid;  /* 0: unknown, as SOCKET_NO_UID and SOCKET_NO_GID are */
        uid_t uid;
        gid_t gid;
        const char *peer;
        char program[32]; /* empty: unknown */
        uint64_t connected_usec;
        bool send_only, receive_only;
        struct count received, sent, queued, dropped;
        uint64_t queue_limit_bytes;
        struct status_partial partial;
};
