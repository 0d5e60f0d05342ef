/* SPDX-License-Identifier: MIT */
/* Acknowledgements of a peer of which nothing was heard: provisional until its first byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"
#include "lib/ledger_room.h"

static void unheard(enum config_resend resend, uint64_t not_resent)
{
        struct image_totals *totals = &room.store.image->totals;

        room_messages(7);
        room_begin_as(LEDGER_UNHEARD);
        room_write_all();
        room_acknowledge(room.written);
        assert_int_equal(ledger_provisional(&room.ledger), room.out.image->end);
        room_check();
        room_check_recovery();
        room_end(room.written, room.written, resend);
        room_check();
        assert_int_equal(room.fates[DELIVERED].messages, 0);
        assert_int_equal(room.fates[NOT_RESENT].messages, not_resent);
        assert_int_equal(totals->connects, 0);
        assert_int_equal(totals->disconnects, 0);
}

static void what_a_silent_peer_acknowledged_goes_again(void **state)
{
        (void)state;
        unheard(RESEND_UNACKED, 0);
        room_begin();
        room_write_all();
        room_acknowledge(room.written);
        assert_int_equal(room.fates[DELIVERED].messages, 7);
        room_check();
}

static void what_a_silent_peer_acknowledged_is_told_where_it_may_not_go_again(void **state)
{
        unheard(RESEND_UNSENT, 7);
        room_teardown(state);
        room_setup(state);
        unheard(RESEND_NONE, 7);
}

static void the_first_byte_makes_all_acknowledgements_count(void **state)
{
        (void)state;
        room_messages(3);
        room_begin_as(LEDGER_UNHEARD);
        room_write_all();
        room_acknowledge(room.message[0].size);
        assert_int_equal(room.fates[QUEUED].messages, 3);
        room_hear();
        assert_int_equal(ledger_provisional(&room.ledger), 0);
        room_check();
        assert_int_equal(room.fates[DELIVERED].messages, 1);
        room_acknowledge(room.written);
        room_end(room.written, room.written, RESEND_UNACKED);
        room_check();
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
        room_check_recovery();
}

static void what_a_connection_waits_for_is_checked(void **state)
{
        struct image *image = room.store.image;

        (void)state;
        room_messages(7);
        refused(&image->session.unheard, LEDGER_UNHEARD); /* without a connection */
        room_begin_as(LEDGER_UNHEARD);
        room_write_all();
        room_acknowledge(room.written);
        refused(&image->session.unheard, LEDGER_UNHEARD_ANSWER + 1);
        refused(&image->session.unheard, LEDGER_HEARD);
        refused(&image->session.start, room.message[0].size);
        refused(&image->acked.pos, room.message[0].size);
}

static void heartbeats_that_a_silent_peer_acknowledges_do_not_fill_the_map(void **state)
{
        (void)state;
        room_messages(1);
        room_begin_as(LEDGER_UNHEARD);
        for (int i = 0; i < 3 * IMAGE_PIECES; i++) {
                uint64_t before = room.beats;

                room_append(100);
                room_write_all();
                room_beat();
                assert_int_equal(room.beats, before + 1);
                room_write_all();
                room_acknowledge(room.written);
                if (room.n == MESSAGES)
                        break;
        }
        room_check();
        assert_int_equal(room.fates[DELIVERED].messages, 0);
        room_hear();
        room_check();
        assert_int_equal(room.fates[QUEUED].messages, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                test(what_a_silent_peer_acknowledged_goes_again),
                test(what_a_silent_peer_acknowledged_is_told_where_it_may_not_go_again),
                test(the_first_byte_makes_all_acknowledgements_count),
                test(what_a_connection_waits_for_is_checked),
                test(heartbeats_that_a_silent_peer_acknowledges_do_not_fill_the_map),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
