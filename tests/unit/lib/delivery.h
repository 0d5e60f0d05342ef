/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The layers below the edge between a simulated peer and simulated clients, beside a plain model of
 * both directions, for the property test of delivery. The model knows the place of each message,
 * its next receiver, and the reason of each drop. A *letter* is a message of known content. *Down*
 * is from the peer to the clients, *up* is from the clients to the peer.
 */
#include <stdbool.h>
#include <stdint.h>

#include "audience.h"
#include "flow/ledger.h"
#include "flow/spread.h"
#include "flow/turn.h"
#include "store/log.h"
#include "stream.h"

enum {
        RING = 1 << 16, /* messages of a direction that the model remembers */
        LARGEST = 150000,
        BEAT = 6, /* size of a heartbeat, and of no message */
        TICK = 1000,
};

/* A message whose content follows from id, salt and size. */
struct letter {
        uint64_t pos, size, time; /* of the frame in its log; when it was accepted */
        uint32_t id, salt;
};

enum fate { QUEUED, DELIVERED, EXPIRED, NOT_RESENT, FATES };

/* A message on its way to the peer. */
struct sent {
        struct letter letter;
        enum fate fate;
        bool begun, whole, begun_before; /* on this connection; on an earlier one */
        uint64_t end;                    /* where it ends on this connection */
};

struct client {
        bool there, ended; /* ended: the client sends no more */
        struct writer writer;
        struct reader reader;
        struct letter now; /* under way from the client; off bytes were read */
        uint64_t off;
        struct count accepted;
        uint64_t came;
};

enum slow { WAIT, DROP, DISCONNECT };

struct room {
        struct frame_spec spec;
        struct store store;
        struct log in, out;
        struct turn turn;
        struct ledger ledger;
        struct spread spread;
        struct client client[LISTENERS];
        uint64_t now, step;
        const char *doing;
        /* The configuration. */
        uint32_t crowd; /* the most clients at a time */
        uint64_t calm;  /* clients come and go in one of so many steps */
        enum slow slow;
        enum config_resend resend;
        bool discard, dismiss;
        uint64_t queue_size, up_size, ttl; /* ttl 0: none */
        /* From the peer. */
        struct audience audience;
        struct letter down[RING], coming;
        uint32_t n_down;
        uint64_t down_pos, come; /* the in log's end; bytes of `coming` that came */
        bool beat_comes;
        /* To the peer. */
        struct sent up[RING];
        uint32_t n_up, first, next; /* the first message queued; the first not begun */
        uint32_t expired;           /* behind the last message that was too old */
        uint32_t ids;
        uint64_t up_pos;
        struct count fates[FATES], link_down, sent, resent, unacked, acked_here;
        bool live, half; /* half: the message before `next` is written in part */
        uint64_t written, transmitted, acked, left, beats, beats_ahead;
        uint64_t socket;      /* size of the send buffer, for unacknowledged bytes */
        unsigned char *frame; /* under way to the peer, owned */
        uint64_t frame_size;
};

extern struct room room;

/* Makes an empty room with random letters, for one scenario. */
void room_start(void);

/* Frees the room. */
void room_end(void);

/* Fails the test; the words name the step. */
__attribute__((noreturn)) void room_fail(const char *what);

static inline void must(bool good, const char *what)
{
        if (!good)
                room_fail(what);
}

static inline void must_be(struct count is, struct count should, const char *what)
{
        must(is.messages == should.messages && is.bytes == should.bytes, what);
}

/* ---- messages ---- */

/* Makes a letter of random size and content. */
void letter_make(struct letter *letter, uint32_t id);

/* Copies `size` bytes of the letter's frame from `off` on. */
void letter_copy(const struct letter *letter, uint64_t off, unsigned char *to, uint64_t size);

/* True if the bytes are the letter's frame from `off` on. */
bool letter_is(const struct letter *letter, uint64_t off, const unsigned char *bytes,
               uint64_t size);

/* ---- from the peer ---- */

/* The functions change the layers and the model alike, and fail the test where both differ; i is
 * the slot of a client. */

/* Reads at most `want` bytes of the peer; none without a connection or if down_paused(). */
void down_read(uint64_t want);

/* True if a reader is beyond its limit, and the peer therefore is not read. */
bool down_paused(void);

/* Writes at most `limit` bytes to a reader; unless `all`, at random fewer. */
void down_write(uint32_t i, uint64_t limit, bool all);

/* A reader joins. */
void down_join(uint32_t i);

/* Offers at most `most` bytes of the backlog to a reader that waits, and gives it the backlog. */
void down_trust(uint32_t i, uint64_t most);

/* Ends a reader, for this reason if messages are dropped. */
void down_done(uint32_t i, enum drop_reason reason);

/* Drops messages of a reader beyond its limit. */
void down_shorten(uint32_t i);

/* True if a reader has more than queue_size bytes waiting, and more than one message. */
bool down_is_beyond(uint32_t i);

/* Sets the mode and HoldSize=. */
void down_configure(bool balance, uint64_t backlog_size);

/* Compares books, backlog and readers with the model. */
void down_check(void);

/* ---- to the peer ---- */

/* Reads at most `want` bytes of a client; none after its end, or if up_size bytes are queued. */
void up_read(uint32_t i, uint64_t want);

/* A connection to the peer begins. */
void up_begin(void);

/* The connection is lost, with the present `acked` and `transmitted`. */
void up_end(void);

/* Writes at most `limit` bytes to the peer; unless `all`, at random fewer. no_new: begins no
 * message. Returns the bytes written. */
uint64_t up_write(uint64_t limit, bool no_new, bool all);

/* The peer's kernel acknowledges the connection's bytes up to `acked`. */
void up_acknowledge(uint64_t acked);

/* Injects a heartbeat, if there is a connection and room. */
void up_beat(void);

/* Drops the messages accepted before this time that were not begun. */
void up_expire(uint64_t before);

/* Compares the books, the ledger and the clients' counts with the model. */
void up_check(void);
