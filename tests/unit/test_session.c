/* SPDX-License-Identifier: MIT */
/* One pass over the link is short, however fast the peer reads and however much it sends. */
#include <errno.h>
#include <linux/sockios.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/wire_messages.h"
#include "edge/session.h"
#include "lib/filled.h"

enum { SIZE = 1 << 20, QUEUE = 12 << 20, PASS = 5 << 20, READS = 1000 };
enum { LOOKS = 32768, MOST = 2 << 20 }; /* heartbeats in one pass; bytes of a flood */

static struct {
        struct event_base *base;
        struct config config;
        struct wire_messages wire_messages;
        struct store store;
        struct log in, out;
        struct ledger ledger;
        struct session *session;
        int near, far;
        size_t piece; /* each read gives so many bytes, without end; 0: the kernel's */
        unsigned reads;
        int there; /* what the kernel says can be read */
        uint64_t got;
        bool lost;
} room;

/* In place of the C library's: the peer reads as fast as anybody writes. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
        size_t size = 0;

        if (fd != room.near)
                return syscall(SYS_sendmsg, fd, message, flags);
        for (size_t i = 0; i < message->msg_iovlen; i++)
                size += message->msg_iov[i].iov_len;
        return (ssize_t)size;
}

/* In place of the C library's: a message of 64 KiB in each read that is not smaller, or a part of
 * one. */
ssize_t readv(int fd, const struct iovec *iov, int n)
{
        size_t size = 0;

        if (fd != room.near || !room.piece)
                return syscall(SYS_readv, fd, iov, n);
        if (room.reads++ >= READS) {
                errno = EAGAIN;
                return -1;
        }
        for (int i = 0; i < n && size < room.piece; i++) {
                size_t part =
                        iov[i].iov_len < room.piece - size ? iov[i].iov_len : room.piece - size;

                memset(iov[i].iov_base, 0, part);
                size += part;
        }
        room.got += size;
        return (ssize_t)size;
}

/* In place of the C library's: what can be read. */
int ioctl(int fd, unsigned long request, ...)
{
        va_list args;
        int *value;

        va_start(args, request);
        value = va_arg(args, int *);
        va_end(args);
        if (fd != room.near || request != SIOCINQ)
                return (int)syscall(SYS_ioctl, fd, request, value);
        *value = room.there;
        return 0;
}

static void on_up(void *context)
{
        (void)context;
}

static void on_received(void *context, const struct log_taken *taken)
{
        (void)context, (void)taken;
}

static void on_silent(void *context, bool silent, const char *text)
{
        (void)context, (void)silent, (void)text;
}

static bool on_may_linger(void *context)
{
        (void)context;
        return false;
}

static void on_lingers(void *context, int fd)
{
        (void)context, (void)fd;
}

static void on_lost(void *context, enum link_cause cause, const char *text,
                    const struct ledger_end *end)
{
        (void)context, (void)cause, (void)text, (void)end;
        room.lost = true;
}

static const struct session_ops ops = {on_up,         on_received, on_silent,
                                       on_may_linger, on_lingers,  on_lost};

static int begin(void **state)
{
        int pair[2];

        (void)state;
        memset(&room, 0, sizeof(room));
        room.base = event_base_new();
        if (!room.base || store_init(&room.store) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
                return -1;
        room.near = pair[0];
        room.far = pair[1];
        room.config.frame = frame_spec_default;
        room.config.message_ttl_usec = CONFIG_INFINITY;
        room.config.client_queue_size = 64 << 20;
        room.wire_messages.range = FRAME_NO_RANGE;
        log_init(&room.in, &room.store, &room.store.image->in, &room.config.frame);
        log_init(&room.out, &room.store, &room.store.image->out, &room.config.frame);
        ledger_init(&room.ledger, &room.out, false);
        room.session = session_new(&(struct session_setup){.base = room.base,
                                                           .config = &room.config,
                                                           .wire_messages = &room.wire_messages,
                                                           .in = &room.in,
                                                           .ledger = &room.ledger,
                                                           .ops = &ops,
                                                           .fd = room.near});
        return room.session ? 0 : -1;
}

static int end(void **state)
{
        (void)state;
        session_free(room.session);
        close(room.far);
        store_done(&room.store);
        event_base_free(room.base);
        return 0;
}

static void turn(void)
{
        assert_return_code(event_base_loop(room.base, EVLOOP_ONCE | EVLOOP_NONBLOCK), 0);
        assert_false(room.lost);
}

static void a_peer_that_reads_as_fast_as_it_is_written_to_lets_others_have_their_turn(void **state)
{
        size_t passes = 0;

        (void)state;
        turn();
        fill_log(&room.out, SIZE, QUEUE);
        session_write(room.session);
        assert_in_range(ledger_written(&room.ledger), 1, PASS);
        while (ledger_written(&room.ledger) < QUEUE) {
                uint64_t before = ledger_written(&room.ledger);

                assert_true(++passes < 100);
                turn();
                assert_true(ledger_written(&room.ledger) - before <= PASS);
        }
}

static void what_a_peer_sends_without_end_is_read_in_turns(void **state)
{
        (void)state;
        turn();
        room.piece = SIZE;
        assert_int_equal(write(room.far, "", 1), 1);
        turn();
        assert_in_range(room.got, 1, PASS);
}

/* A timer that is to judge the peer needs to know what came before, and no more: the peer sends on.
 */
static void who_is_to_be_judged_is_read_as_far_as_bytes_were_there(void **state)
{
        (void)state;
        turn();
        room.piece = SIZE;
        room.there = 5 * SIZE;
        while (!session_catch_up(room.session))
                ;
        assert_in_range(room.got, 5 * SIZE, 6 * SIZE);
        room.got = 0;
        room.there = 0;
        while (!session_catch_up(room.session))
                ;
        assert_in_range(room.got, 1, SIZE);
}

static void a_flood_of_heartbeats_leaves_every_pass_to_the_others(void **state)
{
        struct config_bytes beat = {(unsigned char *)"\0\0\0\0", 4};
        const uint64_t *beats = &room.store.image->totals.heartbeats_received;
        uint64_t before = 0;
        int passes = 0;

        (void)state;
        room.wire_messages.received = &beat;
        room.wire_messages.n_received = 1;
        room.wire_messages.range = (struct frame_range){0, 0};
        turn();
        for (room.piece = MOST; room.got < MOST; passes++) {
                assert_true(passes < 100);
                assert_int_equal(write(room.far, "", 1), 1);
                turn();
                assert_true(*beats - before <= LOOKS);
                before = *beats;
        }
        room.reads = READS; /* nothing more comes */
        for (; *beats < room.got / 4; passes++) {
                assert_true(passes < 200);
                turn();
                assert_true(*beats - before <= LOOKS);
                before = *beats;
        }
        assert_int_equal(*beats, room.got / 4);
        assert_int_equal(session_look(room.session).partial, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_peer_that_reads_as_fast_as_it_is_written_to_lets_others_have_their_turn),
                TEST(what_a_peer_sends_without_end_is_read_in_turns),
                TEST(who_is_to_be_judged_is_read_as_far_as_bytes_were_there),
                TEST(a_flood_of_heartbeats_leaves_every_pass_to_the_others),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
