/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The layers below the edge between a simulated peer and simulated clients, beside a plain model of
 * both directions, for the property test of delivery: which message is where, who must get it next,
 * what was given up and why.
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
        RING = 1 << 16, /* messages that anybody may have yet */
        LARGEST = 150000,
        BEAT = 6, /* a heartbeat's size; no message has that */
        TICK = 1000,
};

/* A message of known content. */
struct letter {
        uint64_t pos, size, time; /* of the frame in its log; when it was accepted */
        uint32_t id, salt;
};

enum fate { QUEUED, DELIVERED, EXPIRED, NOT_RESENT, FATES };

/* One on its way to the peer. */
struct sent {
        struct letter letter;
        enum fate fate;
        bool begun, whole, begun_before; /* on this connection; on an earlier one */
        uint64_t end;                    /* where it ends on this connection */
};

struct client {
        bool there, ended; /* ended: it sends nothing more */
        struct writer writer;
        struct reader reader;
        struct letter now; /* what it is sending, and how much of it was read */
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
        uint32_t crowd; /* clients at most */
        uint64_t calm;  /* how seldom they come and go */
        enum slow slow;
        enum config_resend resend;
        bool discard, dismiss;
        uint64_t queue_size, up_size, ttl; /* ttl 0: none */
        /* From the peer. */
        struct audience audience;
        struct letter down[RING], coming;
        uint32_t n_down;
        uint64_t down_pos, come; /* the end of the log; of what is coming */
        bool beat_comes;
        /* To the peer. */
        struct sent up[RING];
        uint32_t n_up, first, next; /* the first that is queued; that is not begun */
        uint32_t expired;           /* behind the last one that was too old */
        uint32_t ids;
        uint64_t up_pos;
        struct count fates[FATES], link_down, sent, resent, unacked, acked_here;
        bool live, half; /* half: the message before `next` is written in part */
        uint64_t written, transmitted, acked, left, beats, beats_ahead;
        uint64_t socket;      /* the room of its buffer, for what is not acknowledged */
        unsigned char *frame; /* that is under way to the peer */
        uint64_t frame_size;
};

extern struct room room;

void room_start(void);
void room_end(void);

/* Fails the test. */
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

void letter_make(struct letter *letter, uint32_t id);

/* Its bytes from `off` on. */
void letter_copy(const struct letter *letter, uint64_t off, unsigned char *to, uint64_t size);
bool letter_is(const struct letter *letter, uint64_t off, const unsigned char *bytes,
               uint64_t size);

/* ---- from the peer ---- */

/* Some bytes come. */
void down_read(uint64_t want);

/* Does somebody have more than it may, so that nothing is read from the peer? */
bool down_paused(void);
void down_write(uint32_t i, uint64_t limit, bool all);
void down_join(uint32_t i);
void down_trust(uint32_t i, uint64_t most);
void down_done(uint32_t i, enum drop_reason reason);
void down_shorten(uint32_t i);
bool down_is_beyond(uint32_t i);
void down_configure(bool balance, uint64_t backlog_size);
void down_check(void);

/* ---- to the peer ---- */

void up_read(uint32_t i, uint64_t want);
void up_begin(void);
void up_end(void);
uint64_t up_write(uint64_t limit, bool no_new, bool all);
void up_acknowledge(uint64_t acked);
void up_beat(void);
void up_expire(uint64_t before);
void up_check(void);
