/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Those who watch what passes. A tap is no reader of a log: it holds no slab, and nothing waits for
 * it. When messages were committed, those for which it has room are written out for it at once, as
 * Varlink replies; the others are counted, and the next reply says how many they were. Where none
 * follows, tap_tell_missed() says so.
 *
 * Where no tap has room, a batch costs an addition for each. All taps together are given so many
 * bytes a second at most, so that one that reads fast costs the relay no more than that.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "flow/spread.h"
#include "store/log.h"

enum tap_way { TAP_IN, TAP_OUT, TAP_WAYS };

enum {
        TAP_ROOM = 64 * 1024,                  /* with less, it sees nothing: see taps_want() */
        TAP_BYTES_A_SECOND = 32 * 1024 * 1024, /* of replies to all taps together */
        TAP_BURST = 4 * 1024 * 1024,           /* of these, at once; a larger reply begins it */
};

struct tap_ops {
        /* Where a reply of at most `size` bytes may go; NULL: there is no room. */
        char *(*room)(void *subject, size_t size);
        /* So many bytes were written there. */
        void (*given)(void *subject, size_t size);
        /* It begins to miss messages. */
        void (*misses)(void *subject);
        /* The client that it watches has gone; it is no tap any more. */
        void (*ended)(void *subject);
};

struct tap {
        const struct tap_ops *ops;
        void *subject;
        bool ways[TAP_WAYS];
        uint64_t client_id;          /* 0: of all clients */
        const struct reader *reader; /* of that client, borrowed; NULL: of all */
        uint64_t missed;             /* messages since the last one given */
        enum tap_way way;            /* of the last message that concerned it */
        bool open;                   /* within a batch: it has room */
        LIST_ENTRY(tap) link;
};

LIST_HEAD(tap_list, tap);

struct taps {
        struct tap_list list;
        int64_t credit; /* bytes of replies that may be given now; below 0: some were lent */
        uint64_t credit_at;
};

/* Messages that stand together in a log. */
struct tap_batch {
        enum tap_way way;
        uint64_t client_id; /* whose they are: who sent them, or the only one who gets them; 0: of
                               nobody alone */
        struct log_place from;
        uint64_t messages;
};

void taps_init(struct taps *taps);
bool taps_any(const struct taps *taps);

/* The owner has filled in all but missed and link. */
void taps_add(struct taps *taps, struct tap *tap);
void taps_remove(struct tap *tap);

/* A client goes: taps of it alone end. */
void taps_client_gone(struct taps *taps, uint64_t client_id);

/* Has any that sees this batch room? Those that have none have missed it: without some room to
 * spare, all messages would be walked for a tap that is just too full for each. */
bool taps_want(struct taps *taps, const struct tap_batch *batch);

/* To one that has read what it was given: if messages were missed since, a reply says how many. Its
 * message is empty, and it is none: one that is empty is given behind it, and missed is 0 there. */
void tap_tell_missed(struct tap *tap, uint64_t wall_usec);

/* Then shows the batch, all of which stands in the log. wall_usec is for people. */
void taps_show(struct taps *taps, const struct log *log, const struct tap_batch *batch,
               uint64_t now_usec, uint64_t wall_usec);
