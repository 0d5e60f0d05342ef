/* SPDX-License-Identifier: MIT */
/*
 * What becomes of each message under every policy: a ledger beside a plain list of messages, which
 * is asked after every step of a random schedule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/ledger.h"
#include "flow/recover.h"
#include "lib/stream.h"

enum { MESSAGES = 3000, BEAT = 7, LARGEST = 6000, SCHEDULES = 400, STEPS = 1500 };

enum fate { QUEUED, DELIVERED, EXPIRED, NOT_RESENT, FATES };

static struct room {
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
} room;

static int setup(void **state)
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

static int teardown(void **state)
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

static void append(uint64_t body)
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

static void append_some(uint64_t n)
{
        room.now += 1000 + random_below(5000); /* a mark of its own */
        while (n-- && room.n < MESSAGES) {
                uint64_t body = 8 + random_size(LARGEST - 8);

                append(body % 256 == BEAT - 4 ? body + 1 : body);
        }
}

static void begin_as(enum ledger_unheard unheard)
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

static void begin(void)
{
        begin_as(LEDGER_HEARD);
}

static void beat(void)
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

static uint64_t write_once(uint64_t most, bool hold)
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

static void write_all(void)
{
        while (write_once(1 << 20, false))
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

static void acknowledge(uint64_t acked)
{
        ledger_acked(&room.ledger, acked);
        take_acked(acked);
}

static void hear(void)
{
        ledger_heard(&room.ledger);
        room.unheard = false;
        take_acked(room.acked);
}

static void expire(uint64_t before)
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

static void end(uint64_t acked, uint64_t transmitted, enum config_resend resend)
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

static void check(void)
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

/* What a successor makes of the image: it is trusted, and its books are these. */
static void check_recovery(void)
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

/* ---- single cases ---- */

static void fixed_messages(int n)
{
        room.now += 1000;
        for (int i = 0; i < n; i++)
                append(96);
}

/* Seven messages of 100 bytes: one acknowledged, the second in part; two more transmitted, but of
 * the second of these not its last byte; one more and half of another begun; one not begun. */
static void seven(enum config_resend resend)
{
        fixed_messages(7);
        begin();
        write_once(550, false);
        check();
        end(101, 399, resend);
        check();
        begin();
        write_all();
        check();
        acknowledge(room.written);
        check();
}

static void unacked_repeats_what_is_not_acknowledged(void **state)
{
        (void)state;
        seven(RESEND_UNACKED);
        assert_int_equal(room.fates[DELIVERED].messages, 7);
        assert_int_equal(room.resent.messages, 5);
}

static void unsent_drops_what_the_peer_may_have(void **state)
{
        (void)state;
        seven(RESEND_UNSENT);
        assert_int_equal(room.fates[NOT_RESENT].messages, 2);
        assert_int_equal(room.fates[DELIVERED].messages, 5);
}

static void none_drops_what_was_begun_and_keeps_the_rest(void **state)
{
        (void)state;
        seven(RESEND_NONE);
        assert_int_equal(room.fates[NOT_RESENT].messages, 5);
        assert_int_equal(room.fates[DELIVERED].messages, 2);
}

static void behind_a_half_written_message_the_others_grow_too_old(void **state)
{
        (void)state;
        fixed_messages(3);
        fixed_messages(1);
        begin();
        write_once(50, false);
        expire(room.now);
        check();
        assert_int_equal(room.fates[EXPIRED].messages, 2);
        check_recovery();
        beat();
        write_all();
        check();
        assert_int_equal(room.written, 200 + BEAT);
        acknowledge(room.written);
        check();
        assert_int_equal(room.fates[DELIVERED].messages, 2);
}

static void what_grew_too_old_with_nothing_under_way_waits_no_more(void **state)
{
        (void)state;
        fixed_messages(2);
        begin();
        write_all();
        acknowledge(room.written);
        fixed_messages(5);
        expire(room.now + 1);
        check();
        assert_int_equal(cursor_waiting(&room.ledger.acked), 0);
        assert_int_equal(cursor_oldest(&room.ledger.acked), 0);
        assert_false(ledger_pending(&room.ledger, false));
}

/* A heartbeat was on its way when messages grew too old, and everything before it was
 * acknowledged. */
static void a_hole_behind_a_heartbeat_is_in_the_books(void **state)
{
        (void)state;
        fixed_messages(1);
        begin();
        write_all();
        beat();
        write_all();
        acknowledge(100);
        fixed_messages(2);
        expire(room.now + 1);
        check();
        fixed_messages(1);
        write_all();
        check();
        check_recovery();
        end(100, room.written, RESEND_UNACKED);
        check();
        assert_int_equal(room.fates[EXPIRED].messages, 2);
        assert_int_equal(room.fates[QUEUED].messages, 1);
}

static void a_link_that_takes_nothing_for_long_does_not_fill_the_map(void **state)
{
        (void)state;
        fixed_messages(1);
        begin();
        write_once(50, false);
        for (int i = 0; i < 2000; i++) {
                fixed_messages(1);
                expire(room.now + 1);
        }
        check();
        beat();
        assert_int_equal(room.beats, 1);
        write_all();
        assert_int_equal(room.written, 100 + BEAT);
        check();
}

/* Thousands of holes, none of them acknowledged: what does not fit into the map waits, heartbeats
 * do not, and with the acknowledgement it goes on. */
static void a_map_full_of_holes_holds_messages_back_until_some_are_acknowledged(void **state)
{
        uint64_t written;

        (void)state;
        fixed_messages(1);
        begin();
        for (int i = 0; i < 900; i++) {
                write_once(100, false);
                fixed_messages(1);
                expire(room.now + 1);
                fixed_messages(1);
        }
        check();
        written = room.written;
        assert_in_range(written, 100 * 400, 100 * 600);
        beat();
        assert_int_equal(write_once(1000, false), BEAT);
        assert_int_equal(write_once(1000, false), 0);
        check();
        acknowledge(room.written);
        check();
        write_all();
        acknowledge(room.written);
        check();
        assert_int_equal(room.fates[QUEUED].messages, 0);
}

static void without_a_connection_the_oldest_go(void **state)
{
        (void)state;
        fixed_messages(3);
        fixed_messages(2);
        expire(room.now);
        check();
        begin();
        write_once(150, false);
        end(0, 150, RESEND_UNACKED);
        expire(room.now + 1);
        check();
        assert_int_equal(room.fates[EXPIRED].messages, 5);
        begin();
        write_all();
        assert_int_equal(room.written, 0);
}

/* ---- a peer of which nothing was heard ---- */

static void unheard(enum config_resend resend, uint64_t not_resent)
{
        struct image_totals *totals = &room.store.image->totals;

        fixed_messages(7);
        begin_as(LEDGER_UNHEARD);
        write_all();
        acknowledge(room.written);
        assert_int_equal(ledger_provisional(&room.ledger), room.out.image->end);
        check();
        check_recovery();
        end(room.written, room.written, resend);
        check();
        assert_int_equal(room.fates[DELIVERED].messages, 0);
        assert_int_equal(room.fates[NOT_RESENT].messages, not_resent);
        assert_int_equal(totals->connects, 0);
        assert_int_equal(totals->disconnects, 0);
}

static void what_a_silent_peer_acknowledged_goes_again(void **state)
{
        (void)state;
        unheard(RESEND_UNACKED, 0);
        begin();
        write_all();
        acknowledge(room.written);
        assert_int_equal(room.fates[DELIVERED].messages, 7);
        check();
}

static void what_a_silent_peer_acknowledged_is_told_where_it_may_not_go_again(void **state)
{
        unheard(RESEND_UNSENT, 7);
        teardown(state);
        setup(state);
        unheard(RESEND_NONE, 7);
}

static void the_first_byte_makes_all_acknowledgements_count(void **state)
{
        (void)state;
        fixed_messages(3);
        begin_as(LEDGER_UNHEARD);
        write_all();
        acknowledge(room.message[0].size);
        assert_int_equal(room.fates[QUEUED].messages, 3);
        hear();
        assert_int_equal(ledger_provisional(&room.ledger), 0);
        check();
        assert_int_equal(room.fates[DELIVERED].messages, 1);
        acknowledge(room.written);
        end(room.written, room.written, RESEND_UNACKED);
        check();
        assert_int_equal(room.fates[DELIVERED].messages, 3);
        assert_int_equal(room.store.image->totals.disconnects, 1);
}

/* Sets a word of the image to a value that recovery must refuse. */
static void refused(uint64_t *word, uint64_t value)
{
        uint64_t was = *word;
        struct store store;

        *word = value;
        assert_int_equal(store_open(&store, dup(room.store.fd)), 0);
        assert_non_null(recover_image(&store, &room.spec));
        store_done(&store);
        *word = was;
        check_recovery();
}

static void what_a_connection_waits_for_is_checked(void **state)
{
        struct image *image = room.store.image;

        (void)state;
        fixed_messages(7);
        refused(&image->session.unheard, LEDGER_UNHEARD); /* without a connection */
        begin_as(LEDGER_UNHEARD);
        write_all();
        acknowledge(room.written);
        refused(&image->session.unheard, LEDGER_UNHEARD_ANSWER + 1);
        refused(&image->session.unheard, LEDGER_HEARD);
        refused(&image->session.start, room.message[0].size);
        refused(&image->acked.pos, room.message[0].size);
}

static void heartbeats_that_a_silent_peer_acknowledges_do_not_fill_the_map(void **state)
{
        (void)state;
        fixed_messages(1);
        begin_as(LEDGER_UNHEARD);
        for (int i = 0; i < 3 * IMAGE_PIECES; i++) {
                uint64_t before = room.beats;

                append(100);
                write_all();
                beat();
                assert_int_equal(room.beats, before + 1);
                write_all();
                acknowledge(room.written);
                if (room.n == MESSAGES)
                        break;
        }
        check();
        assert_int_equal(room.fates[DELIVERED].messages, 0);
        hear();
        check();
        assert_int_equal(room.fates[QUEUED].messages, 0);
}

/* ---- random schedules ---- */

static void step(enum config_resend resend)
{
        uint64_t way = room.written - room.acked;

        if (random_one_in(4))
                append_some(random_below(8));
        if (!room.live) {
                if (random_one_in(5))
                        expire(room.now - random_below(20000));
                else if (random_one_in(3))
                        begin_as(random_one_in(2) ? LEDGER_UNHEARD : LEDGER_HEARD);
                return;
        }
        if (random_one_in(100))
                hear();
        switch (random_below(10)) {
        case 0: beat(); break;
        case 1: expire(room.now - random_below(30000)); break;
        case 2:
                if (random_one_in(20)) {
                        uint64_t acked = room.acked + random_below(way + 1);

                        end(acked, acked + random_below(room.written - acked + 1), resend);
                }
                break;
        case 3:
        case 4: acknowledge(room.acked + random_below(way + 1)); break;
        case 5: acknowledge(room.written); break;
        default: write_once(1 + random_size(20000), random_one_in(5)); break;
        }
}

static void at_every_step_the_books_are_those_of_a_plain_list(void **state)
{
        random_start("at_every_step_the_books_are_those_of_a_plain_list");
        teardown(state);
        for (int i = 0; i < SCHEDULES; i++) {
                enum config_resend resend = (enum config_resend)(i % 3);

                setup(state);
                for (int k = 0; k < STEPS; k++) {
                        step(resend);
                        check();
                        if (random_one_in(100))
                                check_recovery();
                }
                if (!room.live)
                        begin();
                hear();
                write_all();
                acknowledge(room.written);
                check();
                assert_int_equal(room.fates[QUEUED].messages, 0);
                assert_in_range(room.store.used_bytes, 0, 3 * IMAGE_SLAB_SIZE);
                teardown(state);
        }
        setup(state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                test(unacked_repeats_what_is_not_acknowledged),
                test(unsent_drops_what_the_peer_may_have),
                test(none_drops_what_was_begun_and_keeps_the_rest),
                test(behind_a_half_written_message_the_others_grow_too_old),
                test(what_grew_too_old_with_nothing_under_way_waits_no_more),
                test(a_hole_behind_a_heartbeat_is_in_the_books),
                test(a_link_that_takes_nothing_for_long_does_not_fill_the_map),
                test(a_map_full_of_holes_holds_messages_back_until_some_are_acknowledged),
                test(without_a_connection_the_oldest_go),
                test(what_a_silent_peer_acknowledged_goes_again),
                test(what_a_silent_peer_acknowledged_is_told_where_it_may_not_go_again),
                test(the_first_byte_makes_all_acknowledgements_count),
                test(what_a_connection_waits_for_is_checked),
                test(heartbeats_that_a_silent_peer_acknowledges_do_not_fill_the_map),
                test(at_every_step_the_books_are_those_of_a_plain_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
