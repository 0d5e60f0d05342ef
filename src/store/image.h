/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The memory that outlives a process: what stands where in the memfd. Every word is an aligned
 * 64-bit store; several words that must change together change in one transaction of the store. A
 * successor maps the same bytes, and it may be of a later build: every 1.y takes over what any
 * earlier 1.x left. So the rule for changing this file:
 *
 * - Nothing moves, shrinks or changes its meaning.
 * - A new word takes the place of a spare one. There, 0 must mean what a build without the word
 *   would have done.
 * - What can't be said so needs a new IMAGE_VERSION, and in store_open() the conversion of every
 *   earlier one. tests/unit/test_upgrade.c holds a state of each, as the first build
 * left it.
 *
 * References to slabs and clients are numbers plus one, so that zeroed memory says "none".
 */
#include <stdint.h>

enum {
        IMAGE_VERSION = 1,
        IMAGE_UNDO = 4096,           /* words one transaction may change */
        IMAGE_CLIENTS = 65536,       /* client slots */
        IMAGE_EXTENTS = 4 << 20,     /* ranges queued for single clients */
        IMAGE_SLABS = 1 << 20,       /* 64 GiB of messages */
        IMAGE_PIECES = 1024,         /* of the ledger's map */
        IMAGE_SLAB_SIZE = 64 * 1024, /* bytes of messages in a slab */
        IMAGE_EVENTS = 256,          /* that are kept */
        IMAGE_EVENT_TEXT = 264,      /* bytes with the NUL */
        IMAGE_CAUSES = 32,           /* of enum link_cause, with room for more */
        IMAGE_BUCKETS = 544,         /* of a histogram: up to 38 hours */
};

#define IMAGE_MAGIC UINT64_C(0x3164706374665e2e)
#define IMAGE_OPEN  UINT64_MAX /* a cursor's stop: reads whatever comes */
#define IMAGE_SENT  UINT64_MAX /* of a send that a crash cut short: what it offered is booked */

struct image_header {
        uint64_t magic, version;
        uint64_t layout;   /* a checksum over the sizes and offsets below */
        uint64_t checksum; /* over the three words above */
};

/* What the words were before the transaction under way; count is 0 where there is none. */
struct image_undo {
        uint64_t count;
        struct {
                uint64_t offset, old;
        } entry[IMAGE_UNDO];
};

/* A list of slabs through image_slab.next. */
struct image_chain {
        uint64_t head, tail;
};

struct image_slab {
        uint64_t next;
        uint64_t pos;       /* of its first byte, in the space of the log that it is in */
        uint64_t aside_pos; /* the same for the chain of a partial message; two words, so that
                         either is set up beforehand */
};

/* One for each run of messages of one origin, in one slab, within one millisecond. */
struct image_mark {
        uint64_t pos, number; /* of the run's first message */
        uint64_t time_usec;   /* of its last message */
        uint64_t where;       /* slab << 32 | client of origin + 1 */
};

/* Bytes that stand in a slab of nobody's and belong at this place of the log, behind its end. */
struct image_move {
        uint64_t slab, pos, size; /* slab 0: there are none */
};

struct image_log {
        struct image_chain data;
        uint64_t end, number; /* committed: bytes and messages since the start */
        struct image_chain marks;
        uint64_t mark_first, mark_next; /* since the start; 32 bytes each in the chain's space */
        struct image_move move;
};

struct image_cursor {
        uint64_t pos, stop,
                stop_number; /* reads [pos, stop), then the extents, then from open_from on */
        uint64_t from, from_number;             /* where the current range begins */
        uint64_t open_from, open_from_number;   /* IMAGE_OPEN: nothing more than the extents */
        uint64_t extent_head, extent_tail;      /* numbers plus one */
        uint64_t done_messages, done_bytes;     /* of the ranges read so far */
        uint64_t extent_messages, extent_bytes; /* waiting in the list */
};

struct image_extent {
        uint64_t from, to, from_number, to_number, next;
};

/* Whose bytes grow behind the out log's end: byte k of that client's stream goes to base + k. */
struct image_turn {
        uint64_t holder, base;
};

/* A partial message that stands on slabs of its own: byte k of the stream is byte k - base of the
 * chain. */
struct image_aside {
        struct image_chain data;
        uint64_t base;
};

struct image_client {
        uint64_t id;       /* 0: the slot is free */
        uint64_t since;    /* when it was accepted, clock_usec() */
        uint64_t unplaced; /* 1: bytes of it were thrown away */
        uint64_t taken;    /* bytes read from its socket; the kernel's count is the truth */
        uint64_t reading;  /* enum reader_role; 0: nothing is for it, else its cursor
                              holds */
        uint64_t waits;    /* it reads nothing until it is trusted with what is held, and then from
                              here on: a position of the in log plus one; 0: it does not wait */
        uint64_t sending;  /* bytes that the send under way offers it, from its cursor on, or, while
                              it waits, of what is held; 0: none is. After a crash any of them may
                              have gone. The first builds said 1 for any number */
        struct image_aside aside;
        struct image_cursor cursor;
        uint64_t accepted_messages, accepted_bytes; /* received from it, whole */
        uint64_t gone_messages, gone_bytes; /* delivered to it, where its cursor holds no more */
        uint64_t dropped_messages, dropped_bytes; /* that waited for it */
        uint64_t inherited; /* so many bytes were held and are its: until what waits is within its
                               limit, none of them is dropped for that */
        uint64_t spare[5];
};

/*
 * From this TCP offset on, the bytes are the out log's from `log` on; or, where inject is not
 * IMAGE_OPEN, those of the inject log from there on, while the out log waits at `log`.
 */
struct image_piece {
        uint64_t offset, log, inject;
};

struct image_session {
        uint64_t epoch;       /* grows by one a connection; 0 before the first */
        uint64_t live;        /* 1: there is a connection */
        uint64_t up_since;    /* when messages were let through, clock_usec(); 0: not yet */
        uint64_t made_from;   /* a sum over the keys that it was made from */
        uint64_t address[32]; /* the configured one, text ended by a NUL */
        uint64_t rx_base;     /* byte k of the connection goes to rx_base + k of the in log */
        uint64_t rx_read; /* bytes read from it; the kernel's count is the truth, as for written */
        uint64_t written, acked; /* TCP offsets */
        uint64_t piece_first, piece_next;
        struct image_piece piece[IMAGE_PIECES];
        struct image_log inject; /* heartbeats and greetings; it has no marks */
        uint64_t inject_next; /* from here on it has not been begun, unless the last piece says more
                               */
        uint64_t start, start_number; /* of the out log, where this connection began */
        uint64_t skip_from, skip_to;  /* boundaries of the out log: given up, behind a message that
                                         is  half written; 0: nothing */
        uint64_t skipped_messages, skipped_bytes; /* of it, holes of this connection's map */
        uint64_t skipped_begun_messages, skipped_begun_bytes; /* and of these, before `begun` */
        uint64_t begun, begun_number; /* the boundary behind the last message begun on any earlier
                                         connection */
        uint64_t spare[32];
};

enum { IMAGE_REASONS = 16 };

/* What the cursors can't tell any more. */
struct image_totals {
        uint64_t in_messages, in_bytes; /* accepted for readers that are gone, or that never were */
        uint64_t in_done_messages, in_done_bytes; /* delivered to them */
        uint64_t in_dropped[IMAGE_REASONS][2];    /* messages and bytes, by enum drop_reason */
        uint64_t out_dropped[IMAGE_REASONS][2];
        uint64_t refused_messages, refused_bytes;
        uint64_t received_messages, received_bytes; /* of all connections */
        uint64_t sent_messages, sent_bytes;         /* of ended connections */
        uint64_t resent_messages, resent_bytes;
        uint64_t heartbeats_sent, heartbeats_received;
        uint64_t connects, disconnects;
        uint64_t clients_accepted, clients_refused;
        uint64_t next_client_id;
        uint64_t client_slots; /* entries of the client table that were ever used */
        uint64_t last_drop; /* when something was dropped for a reason nobody chose, clock_usec() */
        uint64_t lost[IMAGE_CAUSES]; /* connections by enum link_cause; their sum is disconnects */
        uint64_t failed[IMAGE_CAUSES]; /* attempts that became none */
        uint64_t admitted;   /* id plus one of the last client that was let in, and counted, or
                                refused; 0: nobody says */
        uint64_t accepting;  /* 1: the next one may be accepted already, and has no id yet */
        uint64_t down_since; /* since then the link counts as down, clock_usec(); 0: it does not */
        uint64_t spare[61];
};

/* How messages are told from each other: what stands in the logs means nothing without it. */
struct image_frame {
        uint64_t type, format, length_size, length_offset, length_adjust, delimiter_size, delimiter;
};

/* Who gets what the upstream sent. */
struct image_spread {
        uint64_t given; /* the in log, up to here, was given to its readers or counted as dropped */
        uint64_t balance;            /* 1: each message to one reader; 0: to all */
        uint64_t dealt_from;         /* what came before this was for all */
        uint64_t has_backlog;        /* 1: the cursor below keeps what comes while nobody reads */
        struct image_cursor backlog; /* for the next one who does */
        uint64_t admit; /* who waits while nothing is held gets what came from here on, and since
                           it came */
        uint64_t spare[8];
};

/* What has happened, by the words of core/events.h and core/state.h. */
struct image_facts {
        uint64_t time_usec; /* CLOCK_REALTIME, for people */
        uint64_t kind, state, cause, client_id, messages;
};

struct image_event {
        uint64_t seq;
        struct image_facts facts;
        char text[IMAGE_EVENT_TEXT];
};

/*
 * Event number n stands at n modulo IMAGE_EVENTS + 1. The one place more is for the event that is
 * being written: nobody looks at it before seq, which is stored last, says that it is there.
 */
struct image_events {
        uint64_t seq;  /* of the last event; 0: none yet */
        uint64_t link; /* which of two is the last event of the link; 0: none yet */
};

/* An operator keeps the link closed. */
struct image_hold {
        uint64_t since;      /* clock_usec(); 0: the link is not held */
        uint64_t until;      /* when it ends by itself; 0: when it is released */
        uint64_t by[8];      /* who asked for it, text ended by a NUL */
        uint64_t reason[32]; /* the same; empty: none was given */
};

/* How often something lasted how long, by the buckets of core/histogram.h. Plain stores: what a
 * crash leaves between two of them is put in order by histogram_mend(). */
struct image_histogram {
        uint64_t least; /* microseconds plus one; 0: nothing yet */
        uint64_t most, sum;
        uint64_t spare[5];
        uint64_t bucket[IMAGE_BUCKETS];
};

/* By enum latency_kind; the rest is room for more. */
enum { IMAGE_LATENCIES = 16 };

struct image {
        struct image_header header;
        struct image_undo undo;
        struct image_frame frame;
        uint64_t fd_bag; /* which of the two bags has the descriptors of the clients */
        struct image_log in, out;
        struct image_cursor acked; /* the out log's reader: everything before it is in the peer's
                                      kernel, or given up */
        struct image_turn turn;
        struct image_session session;
        struct image_spread spread;
        struct image_totals totals;
        struct image_events events;
        struct image_hold hold;
        uint64_t small; /* 1: no memory of it is in huge pages, of which a part cannot be given back
                         */
        uint64_t spare[469];
        struct image_histogram latency[IMAGE_LATENCIES];
        struct image_event event[IMAGE_EVENTS + 1] __attribute__((aligned(4096)));
        struct image_event link_event[2];
        struct image_client client[IMAGE_CLIENTS] __attribute__((aligned(4096)));
        struct image_slab slab[IMAGE_SLABS] __attribute__((aligned(4096)));
        struct image_extent extent[IMAGE_EXTENTS] __attribute__((aligned(4096)));
        unsigned char data[] __attribute__((aligned(4096))); /* IMAGE_SLABS slabs */
};
