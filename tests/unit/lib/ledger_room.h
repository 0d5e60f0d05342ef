/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A ledger beside a plain list of messages, for the tests of what becomes of each message. Each
 * function does a step with the ledger and with the list, and fails the test where both differ.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/ledger.h"

enum { MESSAGES = 3000, BEAT = 7, LARGEST = 6000 };

enum fate { QUEUED, DELIVERED, EXPIRED, NOT_RESENT, FATES };

struct room {
        struct frame_spec spec;
        struct store store;
        struct log out;
        struct ledger ledger;
        struct message {
                uint64_t size, time; /* of the frame */
                uint64_t end; /* where it ends on this connection, when it is written whole */
                enum fate fate;
                bool begun, whole, begun_before;
        } message[MESSAGES];
        size_t n, next;  /* the first that is not begun on this connection */
        bool live, half; /* half: message[next - 1] is written in part */
        bool unheard;    /* acknowledgements are provisional */
        uint64_t now;
        struct count fates[FATES], sent, resent, unacked, acked_here;
        /* The bytes of the connection: the frame that goes out now. */
        uint64_t written, acked, left, beats, beats_ahead;
        unsigned char frame[LARGEST + 16];
        uint64_t fill;
};

extern struct room room;

/* cmocka's set-up: an empty room, without a connection. */
int room_setup(void **state);

/* cmocka's teardown. */
int room_teardown(void **state);

/* Appends a message with a body of so many bytes to the out log. */
void room_append(uint64_t body);

/* Appends n messages of random size, with a time of their own. */
void room_append_some(uint64_t n);

/* Appends n messages of 100 bytes, with a time of their own. */
void room_messages(int n);

/* A connection begins, on which the ledger waits for this. */
void room_begin_as(enum ledger_unheard unheard);

/* A connection to a peer that was heard begins. */
void room_begin(void);

/* Injects a heartbeat, if there is room. */
void room_beat(void);

/* Writes at most `most` bytes to the peer, and checks each; hold: begins no message. Returns the
 * bytes written. */
uint64_t room_write(uint64_t most, bool hold);

/* Writes all that waits. */
void room_write_all(void);

/* The peer's kernel acknowledges the connection's bytes up to `acked`. */
void room_acknowledge(uint64_t acked);

/* The peer is heard. */
void room_hear(void);

/* Drops the messages accepted before this time that were not begun. */
void room_expire(uint64_t before);

/* The connection ends, with these bytes acknowledged and transmitted. */
void room_end(uint64_t acked, uint64_t transmitted, enum config_resend resend);

/* Compares the books and the ledger's counts with the list. */
void room_check(void);

/* Compares what a successor makes of the image: the image is trusted, and the books are the same.
 */
void room_check_recovery(void);
