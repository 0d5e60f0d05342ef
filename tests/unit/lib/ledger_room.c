/* SPDX-License-Identifier: MIT */
#include "ledger_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"
#include "stream.h"

struct room room;

int room_setup(void **state)
{
        (void)state;
        memset(&room, 0, sizeof(room));
        room.spec = frame_spec_default;
        room.spec.format = FRAME_LITTLE; /* so that a frame's first byte tells a heartbeat */
        room.now = 1000000;
        if (store_init(&room.store))
                return -1;
        log_init(&room.out, &room.store, &room.store.image->out, &room.spec);
        ledger_init(&room.ledger, &room.out, false);
        return 0;
}

int room_teardown(void **state)
{
        (void)state;
        store_done(&room.store);
        return 0;
}

static void add(struct count *count, const struct message *m)
{
        *count = count_add(*count, (struct count){1, m->size});
}

static void set_fate(struct message *m, enum fate fate)
{
        room.fates[m->fate] = count_sub(room.fates[m->fate], (struct count){1, m->size});
        m->fate = fate;
        add(&room.fates[fate], m);
}

/* ---- steps ---- */

void room_append(uint64_t body)
{
        unsigned char frame[LARGEST + 16] = {(unsigned char)body, (unsigned char)(body >> 8)};
        uint64_t base = 0, end = room.out.image->end, number = room.n;

        memcpy(frame + 4, &number, sizeof(number));
        for (uint64_t at = 0; at < body + 4;) {
                struct iovec iov;

                assert_int_equal(log_room(&room.out, end, body + 4 - at, &iov, 1), 1);
                memcpy(iov.iov_base, frame + at, iov.iov_len);
                at += iov.iov_len;
                end += iov.iov_len;
        }
        log_take(&room.out, &base, end, NULL, room.now, 0);
        assert_int_equal(room.out.image->number, room.n + 1);
        room.message[room.n] = (struct message){.size = body + 4, .time = room.now};
        add(&room.fates[QUEUED], &room.message[room.n++]);
}

void room_append_some(uint64_t n)
{
        room.now += 1000 + random_below(5000); /* a mark of its own */
        while (n-- && room.n < MESSAGES) {
                uint64_t body = 8 + random_size(LARGEST - 8);

                room_append(body % 256 == BEAT - 4 ? body + 1 : body);
        }
}

void room_begin_as(enum ledger_unheard unheard)
{
        ledger_begin(&room.ledger, 0, unheard);
        room.live = true;
        room.unheard = unheard != LEDGER_HEARD;
        room.written = room.acked = room.left = 0;
        room.beats = room.beats_ahead = 0;
        room.acked_here = (struct count){0, 0};
        for (room.next = 0; room.next < room.n && room.message[room.next].fate != QUEUED;)
                room.next++;
}

void room_begin(void)
{
        room_begin_as(LEDGER_HEARD);
}

void room_beat(void)
{
        unsigned char frame[BEAT] = {BEAT - 4, 0, 0, 0, 'b', 'e', (unsigned char)room.beats};
        struct iovec iov = {frame, BEAT};

        if (ledger_inject(&room.ledger, &iov, 1)) {
                room.beats++;
                room.beats_ahead++;
        }
}

static void frame_begins(unsigned char first, bool hold)
{
        struct message *m;

        room.fill = 0;
        if (first == BEAT - 4) {
                assert_true(room.beats_ahead > 0);
                room.left = BEAT;
                return;
        }
        assert_false(hold);
        while (room.next < room.n && room.message[room.next].fate != QUEUED)
                room.next++;
        assert_true(room.next < room.n);
        m = &room.message[room.next++];
        assert_false(m->begun);
        m->begun = room.half = true;
        room.left = m->size;
}

static void frame_is_whole(void)
{
        struct message *m;
        uint64_t number;

        if (room.frame[0] == BEAT - 4) {
                assert_memory_equal(room.frame + 4, "be", 2);
                assert_int_equal(room.frame[6], (unsigned char)(room.beats - room.beats_ahead--));
                return;
        }
        assert_true(room.next > 0);
        m = &room.message[room.next - 1];
        memcpy(&number, room.frame + 4, sizeof(number));
        assert_int_equal(number, room.next - 1);
        assert_int_equal(room.fill, m->size);
        room.half = false;
        m->whole = true;
        m->end = room.written;
        add(&room.sent, m);
        add(&room.unacked, m);
        if (m->begun_before)
                add(&room.resent, m);
}

static void byte_goes(unsigned char byte, bool hold)
{
        if (!room.left)
                frame_begins(byte, hold);
        room.frame[room.fill++] = byte;
        room.written++;
        if (!--room.left)
                frame_is_whole();
}

uint64_t room_write(uint64_t most, bool hold)
{
        struct iovec iov[4];
        int n = ledger_gather(&room.ledger, most, hold, iov, 4);
        uint64_t went = 0;

        for (int i = 0; i < n; i++)
                for (size_t k = 0; k < iov[i].iov_len && went < most; k++, went++)
                        byte_goes(((unsigned char *)iov[i].iov_base)[k], hold);
        ledger_sent(&room.ledger, went);
        return went;
}

void room_write_all(void)
{
        while (room_write(1 << 20, false))
                ;
}

static void take_acked(uint64_t acked)
{
        for (size_t i = 0; i < room.n && !room.unheard; i++) {
                struct message *m = &room.message[i];

                if (m->fate != QUEUED || !m->whole || m->end > acked)
                        continue;
                set_fate(m, DELIVERED);
                add(&room.acked_here, m);
                room.unacked = count_sub(room.unacked, (struct count){1, m->size});
        }
        room.acked = acked;
}

void room_acknowledge(uint64_t acked)
{
        ledger_acked(&room.ledger, acked);
        take_acked(acked);
}

void room_hear(void)
{
        ledger_heard(&room.ledger);
        room.unheard = false;
        take_acked(room.acked);
}

void room_expire(uint64_t before)
{
        struct count dropped = ledger_expire(&room.ledger, before), expected = {0, 0};

        for (size_t i = 0; i < room.n; i++) {
                struct message *m = &room.message[i];

                if (m->fate != QUEUED || m->begun || m->time >= before)
                        continue;
                set_fate(m, EXPIRED);
                add(&expected, m);
        }
        assert_int_equal(dropped.messages, expected.messages);
        assert_int_equal(dropped.bytes, expected.bytes);
}

static void assert_same(struct count is, struct count should)
{
        assert_int_equal(is.messages, should.messages);
        assert_int_equal(is.bytes, should.bytes);
}

/* Everything queued before a message that was too old is too old itself. */
static void expire_before_holes(void)
{
        size_t last = 0;

        for (size_t i = 0; i < room.n; i++)
                if (room.message[i].fate == EXPIRED)
                        last = i;
        for (size_t i = 0; i < last; i++)
                if (room.message[i].fate == QUEUED)
                        set_fate(&room.message[i], EXPIRED);
}

void room_end(uint64_t acked, uint64_t transmitted, enum config_resend resend)
{
        struct ledger_end is = ledger_end(&room.ledger, acked, transmitted, resend), should = {0};

        take_acked(acked);
        should.acked = room.acked_here;
        for (size_t i = 0; i < room.n; i++) {
                struct message *m = &room.message[i];

                if (m->fate == QUEUED && m->begun) {
                        bool maybe = m->whole && m->end <= transmitted;

                        add(maybe ? &should.unacked : &should.unsent, m);
                        m->begun_before = true;
                        if (resend == RESEND_NONE || (resend == RESEND_UNSENT && maybe))
                                set_fate(m, NOT_RESENT);
                }
                m->begun = m->whole = false;
        }
        expire_before_holes();
        assert_same(is.acked, should.acked);
        assert_same(is.unacked, should.unacked);
        assert_same(is.unsent, should.unsent);
        assert_int_equal(is.unheard, room.unheard);
        room.live = room.half = room.unheard = false;
        room.unacked = (struct count){0, 0};
        room.next = 0;
}

void room_check(void)
{
        struct books books = {0};

        ledger_books(&room.ledger, &books);
        assert_true(books_balance(&books));
        assert_same(books.accepted, (struct count){room.n, room.out.image->end});
        assert_same(books.delivered, room.fates[DELIVERED]);
        assert_same(books.queued, room.fates[QUEUED]);
        assert_same(books.dropped[DROP_EXPIRED], room.fates[EXPIRED]);
        assert_same(books.dropped[DROP_NOT_RESENT], room.fates[NOT_RESENT]);
        assert_same(ledger_sent_count(&room.ledger), room.sent);
        assert_same(ledger_resent_count(&room.ledger), room.resent);
        assert_same(ledger_unacked(&room.ledger, UINT64_MAX), room.unacked);
        assert_true(ledger_in_message(&room.ledger) == (room.live && room.half));
}

void room_check_recovery(void)
{
        struct store store;
        struct log out;
        struct ledger ledger;
        struct books was = {0}, is = {0};

        assert_int_equal(store_open(&store, dup(room.store.fd)), 0);
        assert_string_equal(recover_image(&store, &room.spec) ?: "good", "good");
        log_init(&out, &store, &store.image->out, &room.spec);
        ledger_init(&ledger, &out, true);
        ledger_books(&room.ledger, &was);
        ledger_books(&ledger, &is);
        assert_memory_equal(&was, &is, sizeof(was));
        assert_same(ledger_unacked(&ledger, UINT64_MAX), room.unacked);
        store_done(&store);
}

void room_messages(int n)
{
        room.now += 1000;
        for (int i = 0; i < n; i++)
                room_append(96);
}
