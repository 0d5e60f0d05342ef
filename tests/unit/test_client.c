/* SPDX-License-Identifier: MIT */
/* What a client sends is read in turns that are short, and at the last call to its end; what it is
 * sent is written in turns, too. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/client.h"
#include "lib/filled.h"
#include "store/log.h"
#include "util/clock.h"

enum { ROOM = 4096, SMALL = 64, LARGE = 1 << 20, QUEUE = 24 << 20, PASS = 17 << 20 };

static struct {
        struct event_base *base;
        struct store store;
        struct frame_spec spec;
        struct log in, out;
        struct turn turn;
        struct spread spread;
        struct client_class class;
        struct client *client;
        int far; /* the client's own end */
        unsigned more;
        bool reads;  /* it reads as fast as anybody writes */
        size_t read; /* bytes, by then */
        size_t most; /* what the next sends take together; then errno is `then` */
        int then;    /* 0: sends are the kernel's */
        unsigned sends;
        bool gone;
} room;

/* In place of the C library's. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        size_t size = 0;

        room.sends++;
        if (!room.reads && !room.then)
                return syscall(SYS_sendmsg, fd, message, flags);
        for (size_t i = 0; i < message->msg_iovlen; i++)
                size += message->msg_iov[i].iov_len;
        if (room.then && !room.most) {
                errno = room.then;
                return -1;
        }
        if (room.then) {
                size = size < room.most ? size : room.most;
                room.most -= size;
        }
        room.read += size;
        return (ssize_t)size;
}

static size_t on_room(void *context, struct client *client)
{
        (void)context, (void)client;
        return ROOM;
}

static void on_accepted(void *context, struct client *client, const struct log_taken *taken)
{
        (void)context, (void)client, (void)taken;
}

static void on_more(void *context)
{
        (void)context;
        room.more++;
}

static void on_partial(void *context, struct client *client)
{
        (void)context, (void)client;
}

static void on_over(void *context, struct client *client, bool over)
{
        (void)context, (void)client, (void)over;
}

static void on_gone(void *context, struct client *client, bool quiet, const char *why)
{
        (void)context, (void)client, (void)quiet, (void)why;
        room.gone = true;
}

static const struct client_ops ops = {on_room, on_accepted, on_more, on_partial, on_over, on_gone};

static int begin(void **state)
{
        int pair[2];

        (void)state;
        memset(&room, 0, sizeof(room));
        room.base = event_base_new();
        room.spec = frame_spec_default;
        if (!room.base || store_init(&room.store) < 0 || !store_client_ready(&room.store, 0) ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
                return -1;
        log_init(&room.in, &room.store, &room.store.image->in, &room.spec);
        log_init(&room.out, &room.store, &room.store.image->out, &room.spec);
        turn_init(&room.turn, &room.out, &room.store.image->turn);
        spread_init(&room.spread, &room.in);
        room.class = (struct client_class){
                .ops = &ops,
                .poller = poller_new(room.base, &client_poller_ops),
                .deadlines = deadlines_new(room.base, client_due),
                .store = &room.store,
                .turn = &room.turn,
                .spread = &room.spread,
                .limits = {.queue_size = LARGE, .slow = SLOW_WAIT},
        };
        room.far = pair[1];
        if (!room.class.poller || !room.class.deadlines || !spread_room(&room.spread))
                return -1;
        room.client = client_new(&(struct client_setup){
                .class = &room.class, .id = 1, .fd = pair[0], .local = true});
        return room.client ? 0 : -1;
}

static int end(void **state)
{
        (void)state;
        client_end(room.client, DROP_CLIENT_GONE, true, "the test is over");
        client_free(room.client);
        close(room.far);
        deadlines_free(room.class.deadlines);
        poller_free(room.class.poller);
        spread_done(&room.spread);
        store_done(&room.store);
        event_base_free(room.base);
        return 0;
}

static void turn(void)
{
        assert_return_code(event_base_loop(room.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
}

/* So many bytes of messages of this size, which may end in the middle of one. */
static void say(size_t size, size_t bytes)
{
        unsigned char *frames = calloc(bytes, 1);

        assert_non_null(frames);
        for (size_t at = 0; at + 4 <= bytes; at += size) {
                frames[at + 1] = (unsigned char)((size - 4) >> 16);
                frames[at + 2] = (unsigned char)((size - 4) >> 8);
                frames[at + 3] = (unsigned char)(size - 4);
        }
        assert_int_equal(write(room.far, frames, bytes), bytes);
        free(frames);
}

static uint64_t accepted(void)
{
        return room.client->image->accepted_messages;
}

static void who_sends_much_is_read_in_turns_and_tells_of_the_next(void **state)
{
        (void)state;
        say(SMALL, 10 * ROOM);
        turn();
        assert_in_range(accepted(), ROOM / SMALL, 4 * ROOM / SMALL); /* less on a busy host */
        assert_int_equal(room.more, 1);
        for (int i = 0; i < 10 && accepted() < 10 * ROOM / SMALL; i++)
                turn();
        assert_int_equal(accepted(), 10 * ROOM / SMALL);
        assert_in_range(room.more, 3, 10);
}

static void a_large_message_that_is_not_whole_tells_of_no_next_turn(void **state)
{
        (void)state;
        say(LARGE, 20 * ROOM);
        for (int i = 0; i < 20 && room.client->image->rx_read < 8 * ROOM; i++)
                turn(); /* a busy host reads less at a time */
        assert_in_range(room.client->image->rx_read, 8 * ROOM, 12 * ROOM);
        assert_int_equal(room.more, 0);
}

static void at_the_last_call_all_that_was_sent_is_taken(void **state)
{
        (void)state;
        say(SMALL, 20 * ROOM);
        client_call(room.client);
        assert_int_equal(accepted(), 20 * ROOM / SMALL);
        say(SMALL, ROOM + SMALL / 2);
        client_call(room.client);
        assert_int_equal(accepted(), 21 * ROOM / SMALL);
        client_call(room.client);
        assert_int_equal(accepted(), 21 * ROOM / SMALL);
}

static unsigned looks;

/* A successor that finds the client in the table, amid a message of which the first bytes are
 * discarded, must know of no boundary. */
static void look_at_a_successor(void)
{
        const struct image *image = room.store.image;

        looks++;
        if (!image->undo.count && image->client[0].id)
                assert_true(image->turn.holder == 1 || image->client[0].unplaced);
}

static void a_crash_amid_the_end_of_a_client_leaves_nobody_to_read_amid_a_message(void **state)
{
        (void)state;
        say(LARGE, 2 * ROOM);
        turn();
        assert_int_equal(room.store.image->turn.holder, 1);
        store_hook = look_at_a_successor;
        client_end(room.client, DROP_CLIENT_GONE, true, "the test ends it");
        store_hook = NULL;
        assert_true(looks > 0);
        assert_int_equal(room.store.image->client[0].id, 0);
}

/* Messages of LARGE bytes come from the upstream. */
static void receive(size_t bytes)
{
        fill_log(&room.in, LARGE, bytes);
        spread_taken(&room.spread);
}

static void who_reads_as_fast_as_it_is_written_to_lets_others_have_their_turn(void **state)
{
        size_t passes = 0;

        (void)state;
        receive(QUEUE);
        room.reads = true;
        client_write(room.client, clock_usec());
        assert_in_range(room.read, 1, PASS);
        while (room.read < QUEUE) {
                size_t before = room.read;

                assert_true(++passes < 100);
                turn();
                assert_true(room.read - before <= PASS);
        }
        assert_int_equal(cursor_waiting(&room.client->reader.cursor), 0);
}

/* ---- heartbeats ---- */

static struct config_bytes beat = {(unsigned char[]){"beat"}, 4};

enum { BEAT_USEC = 1000000, BEAT_FRAME = 8 };

/* The client is idle for as long as a heartbeat waits, and its deadline comes. */
static void idle(void)
{
        room.class.heartbeat = &beat;
        room.class.heartbeat_usec = BEAT_USEC;
        room.client->settled = true;
        room.client->heartbeat_from = 1;
        room.client->last_progress = 0;
        client_due(&room.client->due, clock_usec());
}

static size_t arrived(void)
{
        char bytes[64];
        ssize_t n = recv(room.far, bytes, sizeof(bytes), MSG_DONTWAIT);

        return n > 0 ? (size_t)n : 0;
}

static void an_idle_client_gets_one_heartbeat_and_no_other_while_one_is_unread(void **state)
{
        (void)state;
        idle();
        idle();
        assert_int_equal(room.sends, 1);
        assert_int_equal(arrived(), BEAT_FRAME);
        idle();
        assert_int_equal(arrived(), BEAT_FRAME);
        assert_int_equal(room.client->image->sending, 0);
        assert_int_equal(cursor_delivered(&room.client->reader.cursor).messages, 0);
}

static void the_next_heartbeat_is_due_an_interval_after_the_last_message_or_heartbeat(void **state)
{
        uint64_t now;

        (void)state;
        idle();
        now = clock_usec();
        assert_in_range(room.client->due.at, now + 1, now + BEAT_USEC);
        arrived();
        client_due(&room.client->due, now);
        assert_int_equal(room.sends, 1);
        room.client->heartbeat_from = 1;
        room.client->last_progress = now;
        client_due(&room.client->due, now);
        assert_int_equal(room.sends, 1);
        assert_in_range(room.client->due.at, now + 1, now + BEAT_USEC);
}

/* The socket is empty: only the client's cursor tells that a message is under way. */
static void no_heartbeat_stands_within_a_message_that_the_host_had_no_memory_for(void **state)
{
        (void)state;
        receive(LARGE);
        room.most = 10;
        room.then = ENOBUFS;
        client_write(room.client, clock_usec());
        assert_int_equal(room.read, 10);
        room.then = 0;
        room.reads = true;
        idle(); /* the rest of the message is tried again, and nothing else */
        assert_int_equal(room.read, LARGE);
        room.reads = false;
        idle();
        assert_int_equal(arrived(), BEAT_FRAME);
}

static void a_heartbeat_that_the_host_had_no_memory_for_is_tried_again_soon(void **state)
{
        uint64_t before = clock_usec();
        size_t size;

        (void)state;
        room.then = ENOBUFS;
        idle();
        assert_in_range(room.client->due.at, before + SOCKET_RETRY_USEC,
                        clock_usec() + SOCKET_RETRY_USEC);
        assert_false(room.client->blocked);
        assert_false(room.gone);
        room.then = 0;
        while ((size = arrived()) == 0)
                assert_int_equal(event_base_loop(room.base, EVLOOP_ONCE), 0);
        assert_int_equal(size, BEAT_FRAME);
}

/* As TCP may, where the host runs out of memory. */
static void a_client_that_got_a_part_of_a_heartbeat_gets_nothing_behind_it(void **state)
{
        (void)state;
        room.client->local = false;
        room.client->who.address = NULL;
        room.most = 3;
        room.then = ENOBUFS;
        idle();
        assert_true(room.gone);
        assert_int_equal(room.sends, 1);
}

static void a_reader_that_is_no_member_gets_no_heartbeat(void **state)
{
        (void)state;
        assert_int_equal(reader_leave(&room.client->reader), 0);
        idle();
        assert_int_equal(room.sends, 0);
}

static void a_heartbeat_tells_that_the_client_shut_down_its_reading_side(void **state)
{
        (void)state;
        assert_int_equal(shutdown(room.far, SHUT_RD), 0);
        idle();
        assert_true(room.client->send_only);
        assert_false(room.gone);
        idle();
        assert_int_equal(room.sends, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        const struct CMUnitTest tests[] = {
                TEST(who_sends_much_is_read_in_turns_and_tells_of_the_next),
                TEST(a_large_message_that_is_not_whole_tells_of_no_next_turn),
                TEST(at_the_last_call_all_that_was_sent_is_taken),
                TEST(who_reads_as_fast_as_it_is_written_to_lets_others_have_their_turn),
                TEST(an_idle_client_gets_one_heartbeat_and_no_other_while_one_is_unread),
                TEST(the_next_heartbeat_is_due_an_interval_after_the_last_message_or_heartbeat),
                TEST(no_heartbeat_stands_within_a_message_that_the_host_had_no_memory_for),
                TEST(a_heartbeat_that_the_host_had_no_memory_for_is_tried_again_soon),
                TEST(a_client_that_got_a_part_of_a_heartbeat_gets_nothing_behind_it),
                TEST(a_reader_that_is_no_member_gets_no_heartbeat),
                TEST(a_heartbeat_tells_that_the_client_shut_down_its_reading_side),
                TEST(a_crash_amid_the_end_of_a_client_leaves_nobody_to_read_amid_a_message),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
