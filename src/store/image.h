/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The image: what stands where in the memfd, the memory that outlives a process:
 *
 *   header | undo list | frame | fd_bag | logs in, out | cursor acked | turn | session | spread
 *   | totals | events | hold | small | spare words | histograms | event[], link_event[]
 *   | client table | slab table | extent table        <- memory as entries come into use
 *   | slab | slab | slab | ...                        <- memory as bytes come into use
 *
 * The first two lines have memory from the start.
 *
 * A *word* is an aligned 64-bit integer, and one store changes it. Several words that must change
 * together change in one transaction of the store; only words from `in` on may. References to
 * slabs, extents and client slots are numbers plus one: zeroed memory says "none".
 *
 * A successor maps the same bytes, and it may be of a later build: every 1.y recovers an image that
 * any earlier 1.x left. The rule for changing this file:
 *
 * - No word moves, shrinks or changes its meaning.
 * - A new word takes the place of the first spare word of its structure, and the spare array
 *   shrinks by one. In a new word, 0 means what a build without the word would have done.
 * - A change that can't keep these two rules needs a new IMAGE_VERSION. store_open(), which
 *   refuses other versions now, must then roll back and convert images of every earlier version.
 * - tests/unit/test_upgrade.c recovers the image that the first build of each version left.
 *
 * Spare words, which only the modules named here may take:
 *
 *   image_client       4  flow/spread, flow/turn, edge/client; client slots are used again, and
 *                         fill_slot() must set a new word
 *   image_session     29  flow/ledger, edge/session, edge/link; ledger_begin() must set a word that
 *                         one connection must not leave to the next
 *   image_totals      59  any module: counts and times of the daemon, which outlive connections
 *   image_spread       8  flow/spread
 *   image_histogram    5  store/histogram, in each of IMAGE_LATENCIES histograms
 *   image            467  any module; a new structure takes the place of its size in spare words
 *
 * The other structures have no spare word and keep their size. IMAGE_CAUSES, IMAGE_REASONS and
 * IMAGE_LATENCIES leave room for new values at the end of their enums.
 */
#include <stdint.h>

enum {
        IMAGE_VERSION = 1,
        IMAGE_UNDO = 4096,           /* words one transaction may change */
        IMAGE_CLIENTS = 65536,       /* client slots */
        IMAGE_EXTENTS = 4 << 20,     /* ranges of the in log queued for single cursors */
        IMAGE_SLABS = 1 << 20,       /* 64 GiB of messages */
        IMAGE_PIECES = 1024,         /* of the ledger's map of one connection */
        IMAGE_SLAB_SIZE = 64 * 1024, /* bytes of messages in a slab */
        IMAGE_EVENTS = 256,          /* kept for readers of events */
        IMAGE_EVENT_TEXT = 264,      /* bytes with the NUL */
        IMAGE_CAUSES = 32,           /* enum link_cause, with room for more */
        IMAGE_BUCKETS = 544,         /* of a histogram: up to 38 hours */
};

#define IMAGE_MAGIC UINT64_C(0x3164706374665e2e)
#define IMAGE_OPEN  UINT64_MAX /* no position: a cursor's stop or open_from, a piece's inject */
/* In `sending`: no byte of the queue is in doubt, as all bytes of a send cut short are booked, or
 * as a heartbeat is being sent. */
#define IMAGE_SENT UINT64_MAX

struct image_header {
        uint64_t magic, version;
        uint64_t layout;   /* a checksum over the sizes and offsets below */
        uint64_t checksum; /* over the three words above */
};

/* The undo list: the old words of the transaction under way. count 0: no word was changed. */
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
        uint64_t pos;       /* of the slab's first byte in its log, or in its chain of marks */
        uint64_t aside_pos; /* of the same byte in a partial message aside; a second word, so that
                         the next position of the slab is set before the slab moves */
};

/* A mark for each run of messages of one origin, in one slab, within one millisecond (50 ms where a
 * log has very many marks, unless log.exact). */
struct image_mark {
        uint64_t pos, number; /* of the run's first message */
        uint64_t time_usec;   /* of the run's last message */
        uint64_t where;       /* slab << 32 | slot of the client of origin + 1, or 0 */
};

/* A move under way: `size` bytes of a slab in no chain go to `pos`, behind the end of the log. */
struct image_move {
        uint64_t slab, pos, size; /* slab 0: no move */
};

struct image_log {
        struct image_chain data;
        uint64_t end, number; /* committed bytes and messages since the start */
        struct image_chain marks;
        uint64_t mark_first, mark_next; /* numbers since the start; mark k is at byte 32 * k */
        struct image_move move;
};

struct image_cursor {
        uint64_t pos, stop,
                stop_number; /* the range [pos, stop); then the extents, then from open_from on */
        uint64_t from, from_number;             /* where the current range begins */
        uint64_t open_from, open_from_number;   /* IMAGE_OPEN: nothing behind the extents */
        uint64_t extent_head, extent_tail;      /* numbers plus one */
        uint64_t done_messages, done_bytes;     /* read up to `from` */
        uint64_t extent_messages, extent_bytes; /* in the list of extents */
};

struct image_extent {
        uint64_t from, to, from_number, to_number, next;
};

/* Whose bytes grow behind the out log's end: byte k of the holder's stream goes to base + k. */
struct image_turn {
        uint64_t holder, base;
};

/* A partial message aside: byte k of the client's stream is byte k - base of the chain. */
struct image_aside {
        struct image_chain data;
        uint64_t base;
};

struct image_client {
        uint64_t id;       /* 0: the slot is free */
        uint64_t since;    /* when the client was accepted, clock_usec() */
        uint64_t unplaced; /* 1: bytes of the stream were thrown away, no boundary is known */
        uint64_t rx_read;  /* bytes read from the socket; the kernel's count is the truth */
        uint64_t reading;  /* enum reader_role; 0: no reader, `cursor` is stale */
        uint64_t waits; /* a position of the in log plus one: the reader waits for trust, and reads
                           from here on if another reader gets the backlog; 0: no waiting */
        uint64_t sending; /* bytes that the send under way offers, from the client's cursor on or,
                             while the client waits for trust, from the backlog's; 0: no send. After
                             a crash any of the bytes may have gone. The first builds set 1 for any
                             number */
        struct image_aside aside;
        struct image_cursor cursor;
        uint64_t accepted_messages, accepted_bytes; /* whole messages received from the client */
        uint64_t gone_messages, gone_bytes;         /* delivered, once `cursor` is stale */
        uint64_t dropped_messages, dropped_bytes;   /* dropped from the client's queue */
        uint64_t inherited; /* bytes that the client got from the backlog: but with SlowClient=wait
                               the queue's limit is larger by as much, until the queue is within
                               the limit alone */
        uint64_t partial_since; /* when the partial message began, clock_usec(); stale without a
                                   partial message; 0: a build that did not note the time */
        uint64_t spare[4];
};

/*
 * From this TCP offset on, the connection carries the out log from `log` on; or, where inject is
 * not IMAGE_OPEN, the inject log from `inject` on, while the out log waits at `log`.
 */
struct image_piece {
        uint64_t offset, log, inject;
};

struct image_session {
        uint64_t epoch;       /* grows by one a connection; 0 before the first connection */
        uint64_t live;        /* 1: the session has a connection */
        uint64_t up_since;    /* since when messages are let through, clock_usec(); 0: not yet */
        uint64_t made_from;   /* a checksum over the keys of the configuration for the connection */
        uint64_t address[32]; /* as configured, text ended by a NUL */
        uint64_t rx_base;     /* byte k of the connection goes to rx_base + k of the in log */
        uint64_t rx_read; /* bytes read from the connection; the kernel's count is the truth, as for
                             written */
        uint64_t written, acked; /* TCP offsets */
        uint64_t piece_first, piece_next;
        struct image_piece piece[IMAGE_PIECES];
        struct image_log inject; /* heartbeats, greetings and answers; a log without marks */
        uint64_t inject_next; /* from here on the inject log is not begun, where the last piece is
                               the out log's */
        uint64_t start, start_number; /* of the out log, where the connection began */
        uint64_t skip_from, skip_to;  /* boundaries of the out log: messages dropped behind a
                                         message that is half written; 0: none */
        uint64_t skipped_messages, skipped_bytes; /* in holes that the connection passed */
        uint64_t skipped_begun_messages, skipped_begun_bytes; /* the part before `begun` */
        uint64_t begun, begun_number; /* the boundary behind the last message begun on any earlier
                                         connection */
        uint64_t lingers;             /* the epoch of an ended connection that lingers; 0: none */
        uint64_t linger_until;        /* the end of lingering, clock_usec() */
        uint64_t unheard; /* enum ledger_unheard: the connection is provisional, the cursor `acked`
                             stays at `start`, whatever the kernel acknowledged; 0: it counts */
        uint64_t spare[29];
};

enum { IMAGE_REASONS = 16 };

/* Counts and times that no cursor tells (any more). */
struct image_totals {
        uint64_t in_messages, in_bytes; /* accepted: delivered to readers now gone, or dropped */
        uint64_t in_done_messages, in_done_bytes; /* delivered to readers that are gone */
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
        uint64_t client_slots; /* entries of the client table ever used */
        uint64_t last_drop;    /* when a message was last dropped for a reason that nobody chose,
                                  clock_usec() */
        uint64_t lost[IMAGE_CAUSES];   /* connections by enum link_cause; the sum is disconnects */
        uint64_t failed[IMAGE_CAUSES]; /* attempts without a connection, by enum link_cause */
        uint64_t admitted;   /* id plus one of the last client that was counted as accepted or
                                refused; 1: no client yet; 0: a build that did not count */
        uint64_t accepting;  /* 1: a client may be accepted already that has no id yet */
        uint64_t down_since; /* since when the link counts as down, clock_usec(); 0: not down */
        uint64_t unheard;    /* connections in a row that ended while provisional */
        uint64_t crowded;    /* clients that made room for another user's */
        uint64_t spare[59];
};

/* The frame of the link (struct frame_spec), without which the logs can't be read. */
struct image_frame {
        uint64_t type, format, length_size, length_offset, length_adjust, delimiter_size, delimiter;
};

/* The spread. Positions are of the in log. */
struct image_spread {
        uint64_t given;       /* messages before are given to readers or the backlog, or counted as
                                 dropped */
        uint64_t balance;     /* 1: balance; 0: broadcast */
        uint64_t dealt_from;  /* messages before were broadcast */
        uint64_t has_backlog; /* 1: the cursor below keeps messages while no client reads */
        struct image_cursor backlog; /* for the next reader */
        uint64_t admit; /* without a backlog: a reader that still waits for trust reads from here or
                           from its `waits` on, whichever is later */
        uint64_t spare[8];
};

/* The facts of an event: enum event_kind, enum link_state, enum link_cause. */
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
 * Event number n stands in event[n modulo (IMAGE_EVENTS + 1)]. The place beyond IMAGE_EVENTS is for
 * the event that is being written: readers go by seq, which is stored last.
 */
struct image_events {
        uint64_t seq;  /* of the last event; 0: none yet */
        uint64_t link; /* 1 or 2: which link_event is the link's last event; 0: none yet */
};

/* The operator's hold: the link is kept closed. */
struct image_hold {
        uint64_t since;      /* clock_usec(); 0: the link is not held */
        uint64_t until;      /* when the hold ends by itself; 0: at its release */
        uint64_t by[8];      /* the operator, text ended by a NUL */
        uint64_t reason[32]; /* text ended by a NUL; empty: no reason was given */
};

/* Durations, counted by the buckets of store/histogram.c, with plain stores: histogram_mend() mends
 * the words after a crash between two stores. */
struct image_histogram {
        uint64_t least; /* microseconds plus one; 0: no duration yet */
        uint64_t most, sum;
        uint64_t spare[5];
        uint64_t bucket[IMAGE_BUCKETS];
};

/* Histograms, by enum latency_kind, with room for more. */
enum { IMAGE_LATENCIES = 16 };

struct image {
        struct image_header header;
        struct image_undo undo;
        struct image_frame frame;
        uint64_t fd_bag; /* which of the two fd_bags has the clients' descriptors */
        struct image_log in, out;
        struct image_cursor acked; /* the out log's reader: all messages before are in the peer's
                                      kernel or dropped */
        struct image_turn turn;
        struct image_session session;
        struct image_spread spread;
        struct image_totals totals;
        struct image_events events;
        struct image_hold hold;
        uint64_t small;  /* 1: no page of the memfd is huge; no part of a huge page can be freed */
        uint64_t starts; /* in a row that recovered this state and did not become ready yet */
        uint64_t starts_since; /* the first of them, clock_usec() */
        uint64_t spare[467];
        struct image_histogram latency[IMAGE_LATENCIES];
        struct image_event event[IMAGE_EVENTS + 1] __attribute__((aligned(4096)));
        struct image_event link_event[2];
        struct image_client client[IMAGE_CLIENTS] __attribute__((aligned(4096)));
        struct image_slab slab[IMAGE_SLABS] __attribute__((aligned(4096)));
        struct image_extent extent[IMAGE_EXTENTS] __attribute__((aligned(4096)));
        unsigned char data[] __attribute__((aligned(4096))); /* IMAGE_SLABS slabs */
};
