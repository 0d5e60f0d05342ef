/* SPDX-License-Identifier: MIT */
/* What the readers of a log keep of its memory, and what they give back. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/cursor.h"
#include "store/log.h"
#include "store/store.h"

enum { MESSAGE = 1 << 20, SLABS_A_MESSAGE = MESSAGE / IMAGE_SLAB_SIZE };

static struct store store;
static struct log in;

static int set_up(void **state)
{
        (void)state;
        assert_int_equal(store_init(&store), 0);
        assert_true(store_client_ready(&store, 2));
        log_init(&in, &store, &store.image->in, &frame_spec_default);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        store_done(&store);
        return 0;
}

/* One message of MESSAGE bytes with its length, all of them `byte`, as if it were received. */
static void receive(int byte)
{
        uint64_t base = 0, fill = in.image->end;
        uint32_t length = htonl(MESSAGE - 4);
        struct iovec iov[SLABS_A_MESSAGE + 1];
        int n = log_room(&in, fill, MESSAGE, iov, SLABS_A_MESSAGE + 1);
        size_t room = 0;

        for (int i = 0; i < n; i++) {
                memset(iov[i].iov_base, byte, iov[i].iov_len);
                room += iov[i].iov_len;
        }
        assert_int_equal(room, MESSAGE);
        memcpy(iov[0].iov_base, &length, sizeof(length));
        assert_int_equal(log_take(&in, &base, fill + MESSAGE, NULL, 1, 0).messages, 1);
}

/* Reads whatever waits; the last byte of it must be `byte`. */
static void read_all(struct cursor *cursor, int byte)
{
        struct iovec iov[64];
        int n, seen = -1;

        while ((n = cursor_gather(cursor, 4 * MESSAGE, iov, 64))) {
                const unsigned char *last = iov[n - 1].iov_base;
                size_t bytes = 0;

                seen = last[iov[n - 1].iov_len - 1];
                for (int i = 0; i < n; i++)
                        bytes += iov[i].iov_len;
                cursor_advance(cursor, bytes);
        }
        assert_int_equal(seen, byte);
}

static void open_reader(struct cursor *cursor, unsigned slot)
{
        cursor_init(cursor, &in, &store.image->client[slot].cursor, true);
}

static void a_reader_from_before_the_first_message_keeps_no_more_than_it_needs(void **state)
{
        struct cursor reader;

        (void)state;
        open_reader(&reader, 0);
        for (int i = 0; i < 64; i++) {
                receive(i);
                read_all(&reader, i);
        }
        assert_true(store.used_bytes <= 2 * MESSAGE);
        cursor_done(&reader);
}

static void a_slow_reader_from_before_the_first_message_does_not_lose_it(void **state)
{
        struct cursor slow, fast;
        struct iovec iov;

        (void)state;
        open_reader(&slow, 0);
        open_reader(&fast, 1);
        for (int i = 0; i < 64; i++) {
                receive(i + 1);
                read_all(&fast, i + 1);
        }
        for (int i = 0; i < 64; i++) {
                size_t left = MESSAGE;

                while (left && cursor_gather(&slow, left, &iov, 1)) {
                        assert_int_equal(((unsigned char *)iov.iov_base)[iov.iov_len - 1], i + 1);
                        cursor_advance(&slow, iov.iov_len);
                        left -= iov.iov_len;
                }
                assert_int_equal(left, 0);
        }
        cursor_done(&slow);
        cursor_done(&fast);
}

static void a_reader_from_before_the_first_message_may_leave_before_it_reads(void **state)
{
        struct cursor reader, gone;

        (void)state;
        open_reader(&reader, 0);
        open_reader(&gone, 1);
        cursor_done(&gone);
        open_reader(&gone, 1);
        receive(1);
        receive(2);
        cursor_done(&gone);
        read_all(&reader, 2);
        cursor_done(&reader);
        assert_true(store.used_bytes <= MESSAGE);
}

static void a_reader_that_leaves_a_long_queue_lets_go_of_all_of_it(void **state)
{
        struct cursor reader;

        (void)state;
        open_reader(&reader, 0);
        for (int i = 0; i < 300; i++) /* more slabs than one transaction has words */
                receive(i);
        assert_true(store.used_bytes >= 300u * MESSAGE);
        cursor_done(&reader);
        assert_true(store.used_bytes <= MESSAGE);
}

static void tidy(void)
{
        while (store_tidy(&store))
                ;
}

static void after_a_long_queue_memory_that_was_kept_is_used_again(void **state)
{
        struct cursor reader;
        uint32_t cold;

        (void)state;
        open_reader(&reader, 0);
        for (int i = 0; i < 64; i++)
                receive(i);
        read_all(&reader, 63);
        tidy();
        cold = store.n_cold;
        assert_true(cold > 0);
        for (int i = 0; i < 8; i++) {
                receive(i);
                read_all(&reader, i);
                tidy();
        }
        assert_int_equal(store.n_cold, cold);
        cursor_done(&reader);
}

/* A hole takes the kernel long: a message of a gigabyte must not stop the loop for all its slabs.
 * What is given back in one go depends on nothing that a peer sends. */
static void memory_goes_back_a_bounded_part_at_a_time(void **state)
{
        struct cursor reader;
        uint32_t cold;

        (void)state;
        open_reader(&reader, 0);
        for (int i = 0; i < 1500; i++)
                receive(i);
        cold = store.n_cold;
        cursor_done(&reader);
        assert_int_equal(store.n_cold, cold); /* nothing at once */
        for (bool more = true; more; cold = store.n_cold) {
                more = store_tidy(&store);
                assert_true(store.n_cold > cold && store.n_cold - cold <= 256);
        }
        assert_true(store.n_cold >= 1200);
        assert_true(store.free_bytes <= 8 << 20);
}

/* Slabs between others that are in use take a hole each, which is dearer than many slabs of one. */
static void memory_that_lies_apart_goes_back_a_smaller_part_at_a_time(void **state)
{
        uint32_t slab[800], cold;
        int parts = 0;

        (void)state;
        for (int i = 0; i < 800; i++)
                slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
        for (int i = 0; i < 800; i += 2)
                slab_free(&store, slab[i]);
        cold = store.n_cold;
        for (bool more = true; more; cold = store.n_cold, parts++) {
                more = store_tidy(&store);
                assert_in_range(store.n_cold - cold, 1, 32);
        }
        assert_true(parts > 8);
        for (int i = 1; i < 800; i += 2)
                slab_free(&store, slab[i]);
}

/* The neighbours of a slab that goes back are taken along, and entries for them are left over. */
static void memory_on_its_way_back_is_used_again(void **state)
{
        uint32_t slab[300];

        (void)state;
        for (int round = 0; round < 20; round++) {
                for (int i = 0; i < 300; i++) {
                        slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
                        assert_true(slab[i] != SLAB_NONE);
                        memset(slab_data(&store, slab[i]), i, IMAGE_SLAB_SIZE);
                }
                for (int i = 0; i < 300; i++)
                        assert_int_equal(slab_data(&store, slab[i])[1], i % 256);
                for (int i = 0; i < 300; i++)
                        slab_free(&store, slab[(i * 7 + round) % 300]);
                store_tidy(&store);
        }
        tidy();
        assert_int_equal(store.used_bytes, 0);
        assert_true(store.slabs < 700);
}

static bool leave_out(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        (void)context;
        (void)slab;
        (void)pos;
        return size == 4;
}

/* The empty message is a heartbeat; it came in one read with the message behind it. */
static void a_heartbeat_with_a_message_behind_it_costs_a_stuck_reader_no_slab(void **state)
{
        const struct log_filter filter = {{0, 0}, leave_out, NULL, 0};
        const uint32_t length = htonl(96);
        uint64_t *base = &store.image->session.rx_base, read = 0;
        struct cursor stuck;

        (void)state;
        open_reader(&stuck, 0);
        for (int i = 0; i < 2000; i++) {
                unsigned char bytes[104] = {0};
                struct iovec iov[2];
                int n = log_room(&in, *base + read, sizeof(bytes), iov, 2);
                size_t at = 0;

                memcpy(bytes + 4, &length, sizeof(length));
                for (int k = 0; k < n; at += iov[k++].iov_len)
                        memcpy(iov[k].iov_base, bytes + at, iov[k].iov_len);
                assert_int_equal(at, sizeof(bytes));
                read += sizeof(bytes);
                assert_int_equal(log_take(&in, base, read, &filter, 1, 0).messages, 1);
        }
        assert_int_equal(cursor_queued(&stuck).messages, 2000);
        assert_in_range(store.used_bytes, 200000, 200000 + 8 * IMAGE_SLAB_SIZE);
}

#define slab_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                slab_test(a_reader_from_before_the_first_message_keeps_no_more_than_it_needs),
                slab_test(a_slow_reader_from_before_the_first_message_does_not_lose_it),
                slab_test(a_reader_from_before_the_first_message_may_leave_before_it_reads),
                slab_test(a_reader_that_leaves_a_long_queue_lets_go_of_all_of_it),
                slab_test(a_heartbeat_with_a_message_behind_it_costs_a_stuck_reader_no_slab),
                slab_test(after_a_long_queue_memory_that_was_kept_is_used_again),
                slab_test(memory_goes_back_a_bounded_part_at_a_time),
                slab_test(memory_that_lies_apart_goes_back_a_smaller_part_at_a_time),
                slab_test(memory_on_its_way_back_is_used_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
