/* SPDX-License-Identifier: MIT */
/*
 * Random schedules of everything that happens to messages in both directions. After each step the
 * books are those of a plain model, and whoever got bytes got exactly those that it must get next.
 * FTCPD_TEST_SEED=N repeats a run, FTCPD_TEST_STEPS=N makes it so long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"
#include "lib/delivery.h"
#include "lib/often.h"

enum { STEPS = 500000, EPOCH = 5000, MOST_SLABS = 12 };

static uint64_t any_size(void)
{
        switch (random_below(8)) {
        case 0: return 1 + random_below(8);
        case 1: return 1 + random_below(100000);
        default: return 1 + random_below(1500);
        }
}

static uint32_t any_client(void)
{
        return (uint32_t)random_below(room.crowd);
}

/* ---- clients come and go ---- */

static void client_comes(uint32_t i)
{
        struct client *client = &room.client[i];
        struct image_client *image = &room.store.image->client[i];
        struct image_totals *totals = &room.store.image->totals;

        must(store_client_ready(&room.store, i), "no memory");
        *client = (struct client){.there = true};
        letter_make(&client->now, ++room.ids);
        store_begin(&room.store);
        store_put(&room.store, &image->rx_read, 0);
        store_put(&room.store, &image->sending, 0);
        store_put(&room.store, &image->accepted_messages, 0);
        store_put(&room.store, &image->accepted_bytes, 0);
        store_put(&room.store, &image->id, ++totals->next_client_id);
        if (totals->client_slots <= i)
                store_put(&room.store, &totals->client_slots, i + 1);
        store_commit(&room.store);
        down_join(i);
        writer_init(&client->writer, &room.turn, i);
}

static void client_goes(uint32_t i, enum drop_reason reason)
{
        struct client *client = &room.client[i];

        down_done(i, reason);
        writer_done(&client->writer);
        store_set(&room.store.image->client[i].id, 0);
        client->there = false;
}

/* As after a crash in the midst of a send to it. */
static void client_was_sent_to(uint32_t i, uint64_t size)
{
        store_set(&room.store.image->client[i].sending, size);
        room.audience.all[i].offered = size;
}

static void step_client(void)
{
        uint32_t i = any_client();
        struct client *client = &room.client[i];

        if (!client->there) {
                client_comes(i);
                return;
        }
        switch (random_below(room.calm)) {
        case 0:
                if (random_one_in(3))
                        client_was_sent_to(i, any_size());
                client_goes(i, DROP_CLIENT_GONE);
                break;
        case 1: down_done(i, DROP_CLIENT_GONE); break; /* a mere sender */
        case 2: client->ended = true; break;
        case 3:
                if (client->reader.role != READER_NONE)
                        must(reader_leave(&client->reader) == 0, "no memory");
                audience_leave(&room.audience, i);
                break;
        default: down_trust(i, any_size());
        }
}

/* Its grace is used up. */
static void step_slow(void)
{
        uint32_t i = any_client();

        if (!down_is_beyond(i))
                return;
        if (room.slow == DISCONNECT)
                client_goes(i, DROP_QUEUE_FULL);
        else if (room.slow == DROP)
                down_shorten(i);
}

static void step_write(void)
{
        uint32_t i = any_client();
        uint64_t off;

        down_write(i, any_size(), false);
        if (room.audience.all[i].role == READER_LEAVING &&
            audience_next(&room.audience, i, &off) == NOBODY)
                client_goes(i, DROP_CLIENT_GONE);
}

static void step_read(void)
{
        up_read(any_client(), any_size());
}

/* ---- the link ---- */

static void link_is_lost(void)
{
        up_end();
        for (uint32_t i = 0; room.dismiss && i < LISTENERS; i++) {
                if (room.audience.all[i].role == READER_NONE)
                        continue;
                must(reader_leave(&room.client[i].reader) == 0, "no memory");
                audience_leave(&room.audience, i);
        }
}

static void step_link(void)
{
        if (!room.live)
                up_begin();
        else if (random_one_in(6))
                link_is_lost();
}

static void step_link_read(void)
{
        down_read(any_size());
}

static void step_link_write(void)
{
        up_write(any_size(), random_one_in(8), false);
}

static void step_ack(void)
{
        if (!room.live)
                return;
        room.transmitted += random_below(room.written - room.transmitted + 1);
        up_acknowledge(random_one_in(4)
                               ? room.written
                               : room.acked + random_below(room.transmitted - room.acked + 1));
}

static void step_expire(void)
{
        if (room.ttl && room.now > room.ttl)
                up_expire(room.now - room.ttl);
}

/* ---- another configuration ---- */

static void step_reload(void)
{
        bool balance = room.spread.balance;

        room.slow = (enum slow)random_below(3);
        room.resend = (enum config_resend)random_below(3);
        room.discard = random_one_in(3);
        room.turn.discard = !room.live && room.discard;
        room.dismiss = random_one_in(4);
        room.queue_size = 1 + random_below(random_one_in(2) ? 300 : 8000);
        room.up_size = 1 + random_below(20000);
        room.ttl = random_one_in(2) ? 0 : (1 + random_below(300)) * TICK;
        down_configure(random_one_in(3) ? !balance : balance, random_one_in(3) ? 0
                                                              : random_one_in(2)
                                                                      ? random_below(400)
                                                                      : random_below(20000));
}

/* ---- the schedule ---- */

static const struct {
        const char *name;
        unsigned weight;
        void (*act)(void);
} acts[] = {
        {"a client comes, is trusted or goes", 5, step_client},
        {"a slow client", 4, step_slow},
        {"a client is written to", 30, step_write},
        {"a client's bytes are read", 20, step_read},
        {"the link comes or goes", 2, step_link},
        {"the link is read", 14, step_link_read},
        {"the link is written to", 16, step_link_write},
        {"an acknowledgement", 8, step_ack},
        {"a heartbeat", 3, up_beat},
        {"what is too old", 4, step_expire},
        {"a reload", 1, step_reload},
};

static void step(void)
{
        uint64_t dice = random_below(107);
        size_t i = 0;

        for (; dice >= acts[i].weight; i++)
                dice -= acts[i].weight;
        room.step++;
        room.now += TICK * (1 + random_below(4));
        room.doing = acts[i].name;
        acts[i].act();
        up_check();
        down_check();
}

/* A successor trusts it as it stands. */
static void check_image(void)
{
        struct store store;

        must(store_open(&store, dup(room.store.fd)) == 0, "not an image");
        must(recover_image(&store, &room.spec) == NULL, "an image that is not trusted");
        store_done(&store);
}

/* Few who come and go, or many, at times all who can be there. */
static void another_crowd(void)
{
        room.crowd = random_one_in(3) ? 1 + (uint32_t)random_below(2)
                                      : 1 + (uint32_t)random_below(LISTENERS);
        room.calm = 5 + random_below(25);
}

/* Everything that is to come, comes, and nothing is left. */
static void drain(void)
{
        room.doing = "draining";
        if (!room.live)
                up_begin();
        for (uint32_t i = 0; i < LISTENERS; i++) {
                down_trust(i, any_size());
                while (listener_queued(&room.audience, &room.audience.all[i]).messages)
                        down_write(i, 100000, true);
        }
        do
                up_acknowledge(room.written);
        while (up_write(100000, false, true));
        must(room.fates[QUEUED].messages == 0, "messages to the peer are left");
        for (uint32_t i = 0; i < LISTENERS; i++)
                if (room.client[i].there)
                        client_goes(i, DROP_CLIENT_GONE);
        down_configure(room.spread.balance, 0);
        up_check();
        down_check();
        must(audience_queued(&room.audience).messages == 0, "messages to clients are left");
        must(room.store.used_bytes <= (uint64_t)MOST_SLABS * IMAGE_SLAB_SIZE, "slabs are lost");
        must(room.store.n_free_extents == room.store.extents_used, "extents are lost");
        check_image();
}

static void every_message_is_delivered_dropped_or_queued_at_every_step(void **state)
{
        uint64_t steps = often("FTCPD_TEST_STEPS", STEPS, 100 * STEPS);

        (void)state;
        random_start("every_message_is_delivered_dropped_or_queued_at_every_step");
        room_start();
        another_crowd();
        while (room.step < steps) {
                step();
                if (random_one_in(1000))
                        check_image();
                if (room.step % EPOCH == 0) {
                        drain();
                        another_crowd();
                }
        }
        drain();
        print_message("# %llu steps, %u messages from the peer, %u to it\n",
                      (unsigned long long)room.step, room.n_down, room.n_up);
        room_end();
}

/* ---- single cases ---- */

static void hold_bytes(uint64_t bytes)
{
        while (room.down_pos < bytes)
                down_read(5000);
        down_check();
}

/* They were held while each was for all, but nobody else has got them. */
static void what_is_held_goes_on_to_others_when_messages_are_dealt_out_now(void **state)
{
        (void)state;
        random_start("what_is_held_goes_on_to_others_when_messages_are_dealt_out_now");
        room_start();
        up_begin();
        down_configure(false, 1 << 20);
        hold_bytes(20000);
        down_configure(true, 1 << 20);
        client_comes(0);
        client_comes(1);
        down_trust(0, 100);
        client_goes(0, DROP_CLIENT_GONE);
        down_check();
        must(listener_queued(&room.audience, &room.audience.all[1]).messages > 0,
             "nothing is given on");
        drain();
        room_end();
}

/* It was dealt out, if to nobody yet, before each was for all again: another one who waits, however
 * long, does not get what the socket of the first may have. */
static void what_one_alone_may_have_got_before_a_crash_nobody_else_gets(void **state)
{
        struct count before, left;

        (void)state;
        random_start("what_one_alone_may_have_got_before_a_crash_nobody_else_gets");
        room_start();
        up_begin();
        down_configure(true, 1 << 20);
        client_comes(0);
        client_comes(1);
        hold_bytes(20000);
        down_configure(false, 1 << 20);
        before = listener_queued(&room.audience, &room.audience.backlog);
        client_was_sent_to(0, 5000);
        client_goes(0, DROP_CLIENT_GONE);
        down_check();
        left = listener_queued(&room.audience, &room.audience.backlog);
        must(before.bytes - left.bytes >= 5000, "it is for the other one");
        drain();
        room_end();
}

/* What the first one takes at once is more than a slab, and the other one has got it to read. */
static void others_who_wait_get_what_the_first_one_takes_at_once(void **state)
{
        (void)state;
        random_start("others_who_wait_get_what_the_first_one_takes_at_once");
        room_start();
        room.queue_size = 1 << 20;
        up_begin();
        down_configure(false, 1 << 20);
        client_comes(0);
        client_comes(1);
        hold_bytes(400000);
        down_trust(0, LARGEST);
        down_check();
        drain();
        room_end();
}

/* Whoever waited when messages came gets them, each one of those who wait. */
static void what_came_while_clients_waited_is_theirs_when_nothing_is_held_any_more(void **state)
{
        struct count before, all;

        (void)state;
        random_start("what_came_while_clients_waited_is_theirs_when_nothing_is_held_any_more");
        for (int balance = 0; balance < 2; balance++) {
                room_start();
                up_begin();
                down_configure(true, 1 << 20);
                hold_bytes(10000);
                before = listener_queued(&room.audience, &room.audience.backlog);
                client_comes(0);
                client_comes(1);
                hold_bytes(30000);
                all = listener_queued(&room.audience, &room.audience.backlog);
                down_configure(balance, 0);
                down_check();
                must_be(room.audience.dropped[DROP_HOLD_FULL], before, "more is dropped");
                must_be(count_add(listener_queued(&room.audience, &room.audience.all[0]),
                                  listener_queued(&room.audience, &room.audience.all[1])),
                        count_sub(all, before), "they have something else");
                drain();
                room_end();
        }
}

/* A successor with a smaller HoldSize= first drops what may have gone to the socket, and only then
 * what is too much. */
static void a_smaller_limit_after_a_crash_comes_after_what_was_offered(void **state)
{
        struct count gone;

        (void)state;
        random_start("a_smaller_limit_after_a_crash_comes_after_what_was_offered");
        room_start();
        up_begin();
        down_configure(false, 1 << 20);
        hold_bytes(20000);
        client_comes(0);
        client_was_sent_to(0, 1);
        spread_settle(&room.spread, 5000, 1);
        audience_settle(&room.audience, 5000, 1);
        down_check();
        must(room.audience.dropped[DROP_HOLD_FULL].messages == 0, "dropped too early");
        client_goes(0, DROP_CLIENT_GONE);
        gone = room.audience.dropped[DROP_CLIENT_GONE];
        must(gone.messages == 1, "more is dropped than was offered");
        down_check();
        must(listener_queued(&room.audience, &room.audience.backlog).bytes <= 5000, "too much");
        drain();
        room_end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_held_goes_on_to_others_when_messages_are_dealt_out_now),
                cmocka_unit_test(what_one_alone_may_have_got_before_a_crash_nobody_else_gets),
                cmocka_unit_test(others_who_wait_get_what_the_first_one_takes_at_once),
                cmocka_unit_test(
                        what_came_while_clients_waited_is_theirs_when_nothing_is_held_any_more),
                cmocka_unit_test(a_smaller_limit_after_a_crash_comes_after_what_was_offered),
                cmocka_unit_test(every_message_is_delivered_dropped_or_queued_at_every_step),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
