/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Taps, the observers of the messages that pass. A tap is no reader of a log: a tap pins no slab,
 * and nothing waits for a tap. When messages are committed, each message for which the tap has room
 * is written out at once, as a Varlink reply; other messages are missed and counted, and the next
 * reply tells the count. Without a next reply, tap_tell_missed() tells the count.
 *
 * While no tap has room, a batch costs one addition for each tap. All taps together are given at
 * most TAP_BYTES_A_SECOND, so that the cost of a fast tap to the relay is limited.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "flow/spread.h"
#include "store/log.h"

enum tap_way { TAP_IN, TAP_OUT, TAP_WAYS };

enum {
        TAP_ROOM = 64 * 1024, /* with less room, a tap misses the batch: see taps_want() */
        TAP_BYTES_A_SECOND = 32 * 1024 * 1024, /* of replies to all taps together */
        TAP_BURST = 4 * 1024 * 1024,           /* of these, at once; a larger reply may go beyond */
};

struct tap_ops {
        /* Returns where a reply of at most `size` bytes may be written; NULL: no room. */
        char *(*room)(void *subject, size_t size);
        /* `size` bytes were written to the place that room() returned. */
        void (*given)(void *subject, size_t size);
        /* The tap begins to miss messages. */
        void (*misses)(void *subject);
        /* The client of the tap has gone, and the tap was removed from the list. */
        void (*ended)(void *subject);
};

struct tap {
        const struct tap_ops *ops;
        void *subject;
        bool ways[TAP_WAYS];
        uint64_t client_id;          /* 0: of all clients */
        const struct reader *reader; /* of that client, borrowed; NULL: of all */
        uint64_t missed;             /* messages missed since the last reply */
        enum tap_way way;            /* of the last batch for the tap */
        bool open;                   /* within a batch: the tap has room */
        LIST_ENTRY(tap) link;
};

LIST_HEAD(tap_list, tap);

struct taps {
        struct tap_list list;
        int64_t credit; /* bytes of replies that may be given now; negative after a large reply */
        uint64_t credit_at;
};

/* Messages that stand together in a log, committed just now. */
struct tap_batch {
        enum tap_way way;
        uint64_t client_id; /* out: of the sender; in: of the only receiver, or 0 */
        struct log_place from;
        uint64_t messages;
};

/* Begins with an empty list. */
void taps_init(struct taps *taps);

/* True if the list has a tap. */
bool taps_any(const struct taps *taps);

/* Adds a tap, borrowed, in which the owner has filled in all but `missed` and `link`. */
void taps_add(struct taps *taps, struct tap *tap);

/* Removes the tap from its list. */
void taps_remove(struct tap *tap);

/* A client ends: removes the taps of this client alone, and calls ended() of each. */
void taps_client_gone(struct taps *taps, uint64_t client_id);

/* True if a tap that the batch concerns has TAP_ROOM bytes of room: taps_show() is next. Taps with
 * less room miss the batch, else the walk over all messages may be for a tap too full for any. */
bool taps_want(struct taps *taps, const struct tap_batch *batch);

/* Once the replies were read: if messages were missed since, and the tap has room, a reply with an
 * empty message tells the count. An empty message of the log is always given with `missed` 0: if
 * messages were missed, behind a reply with the count. */
void tap_tell_missed(struct tap *tap, uint64_t wall_usec);

/* After taps_want(): gives the messages of the batch, all of which stand in the log, to the taps
 * with room. wall_usec: the time told to people. */
void taps_show(struct taps *taps, const struct log *log, const struct tap_batch *batch,
               uint64_t now_usec, uint64_t wall_usec);
