/* SPDX-License-Identifier: MIT */
/*
 * An upgrade is a restart: what an older build of this version left, a later one goes on with. The
 * state in tests/unit/state-1 was written by the first build; it is never written anew, but before
 * the first release, with FTCPD_TEST_WRITE=PATH, where the layout may still change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/events.h"
#include "flow/fingerprint.h"
#include "flow/hold.h"
#include "flow/ledger.h"
#include "flow/recover.h"
#include "flow/spread.h"
#include "flow/turn.h"
#include "store/histogram.h"
#include "util/memfd.h"

enum { CLIENTS = 2, PAGE = 4096, FRAME_MAX = 70000, BODY_LARGE = 66000 };

static struct side {
        struct store store;
        struct log in, out;
        struct turn turn;
        struct ledger ledger;
        struct spread spread;
        struct events events;
        struct reader reader[CLIENTS];
        struct writer writer[CLIENTS];
} side;

/* A frame of this body, which tells what it is; in between it is zeros. */
static size_t frame(unsigned char *to, size_t body, unsigned char what)
{
        memset(to, 0, body + 4);
        to[1] = (unsigned char)(body >> 16);
        to[2] = (unsigned char)(body >> 8);
        to[3] = (unsigned char)body;
        to[4] = what;
        to[3 + body] = (unsigned char)~what;
        return body + 4;
}

/* ---- what the older build did ---- */

static void copy_in(const struct iovec *iov, int n, const unsigned char *from, size_t size)
{
        for (int i = 0; i < n && size; i++) {
                size_t part = iov[i].iov_len < size ? iov[i].iov_len : size;

                memcpy(iov[i].iov_base, from, part);
                from += part;
                size -= part;
        }
        assert_int_equal(size, 0);
}

static void down(const unsigned char *bytes, size_t size)
{
        struct image_session *session = &side.store.image->session;
        struct iovec iov[8];
        int n = log_room(&side.in, session->rx_base + session->rx_read, size, iov, 8);

        copy_in(iov, n, bytes, size);
        store_set(&session->rx_read, session->rx_read + size);
        log_take(&side.in, &session->rx_base, session->rx_read, NULL, 1000, 0);
        spread_taken(&side.spread);
}

static void up(int client, const unsigned char *bytes, size_t size)
{
        struct iovec iov[8];
        int n = turn_room(&side.writer[client], size, iov, 8);

        copy_in(iov, n, bytes, size);
        turn_take(&side.writer[client], size, 2000);
}

static void begin_client(int i, uint64_t id)
{
        struct image *image = side.store.image;
        struct image_client *client = &image->client[i];

        assert_true(store_client_ready(&side.store, (uint32_t)i));
        assert_true(spread_room(&side.spread));
        store_begin(&side.store);
        store_put(&side.store, &client->since, 500);
        reader_join(&side.reader[i], &side.spread, client);
        store_put(&side.store, &client->id, id);
        store_commit(&side.store);
        store_set(&image->totals.client_slots, (uint64_t)i + 1);
        store_set(&image->totals.next_client_id, id);
        writer_init(&side.writer[i], &side.turn, (uint32_t)i);
}

static void init_parts(bool recovered)
{
        struct image *image = side.store.image;

        log_init(&side.in, &side.store, &image->in, &frame_spec_default);
        log_init(&side.out, &side.store, &image->out, &frame_spec_default);
        turn_init(&side.turn, &side.out, &image->turn);
        ledger_init(&side.ledger, &side.out, recovered);
        if (recovered)
                spread_recover(&side.spread, &side.in);
        else
                spread_init(&side.spread, &side.in);
        events_init(&side.events, &side.store, NULL, NULL);
}

/* Reader 0 has one message and 3 bytes; each of the writers a part of a message, one of them the
 * turn; of seven messages to the upstream one is acknowledged, and three and a part are written. */
static void live_through_something(void)
{
        unsigned char bytes[FRAME_MAX];
        struct iovec iov[8];

        fingerprint_frame(side.store.image, &frame_spec_default);
        begin_client(0, 7);
        begin_client(1, 9);
        fingerprint_address(&side.store.image->session, "gateway.example:4001");
        ledger_begin(&side.ledger, 0, LEDGER_HEARD);
        store_set(&side.store.image->session.up_since, 600);
        down(bytes, frame(bytes, 10, 1));
        down(bytes, frame(bytes, BODY_LARGE, 2));
        down(bytes, frame(bytes, 200, 3));
        frame(bytes, 100, 4);
        down(bytes, 50);
        reader_advance(&side.reader[0], 14 + 3);
        for (unsigned char i = 0; i < 5; i++)
                up(0, bytes, frame(bytes, 96, (unsigned char)(10 + i)));
        frame(bytes, 300, 20);
        up(0, bytes, 40);
        for (unsigned char i = 0; i < 2; i++)
                up(1, bytes, frame(bytes, 96, (unsigned char)(30 + i)));
        frame(bytes, 500, 40);
        up(1, bytes, 20);
        assert_true(ledger_gather(&side.ledger, 330, false, iov, 8) > 0);
        ledger_sent(&side.ledger, 330);
        assert_true(ledger_inject(&side.ledger, &(struct iovec){(void *)"\0\0\0", 4}, 1));
        ledger_acked(&side.ledger, 110);
        store_set(&side.store.image->totals.refused_messages, 3);
        store_set(&side.store.image->totals.lost[CAUSE_SILENT], 4);
        store_set(&side.store.image->totals.failed[CAUSE_REFUSED], 5);
        histogram_add(&side.store.image->latency[LATENCY_RTT], 1234, 2);
        histogram_add(&side.store.image->latency[LATENCY_RTT], 99000000, 1);
        events_add(&side.events,
                   &(struct image_facts){.kind = EVENT_LINK, .state = LINK_UP, .time_usec = 5},
                   "connected");
}

/* ---- its state as a file: its size, then offset and content of each page that is not empty ----
 */

static void write_state(const char *path)
{
        static const unsigned char zeros[PAGE];
        const unsigned char *image = (const unsigned char *)side.store.image;
        uint64_t size = (uint64_t)lseek(side.store.fd, 0, SEEK_END);
        FILE *file = fopen(path, "wb");
        off_t at = 0;

        assert_non_null(file);
        memset(side.store.image->undo.entry, 0, sizeof(side.store.image->undo.entry));
        fwrite(&size, sizeof(size), 1, file);
        while ((at = lseek(side.store.fd, at, SEEK_DATA)) >= 0) {
                off_t end = lseek(side.store.fd, at, SEEK_HOLE);

                for (; at < end; at += PAGE) {
                        uint64_t offset = (uint64_t)at;

                        if (memcmp(image + at, zeros, PAGE) == 0)
                                continue;
                        fwrite(&offset, sizeof(offset), 1, file);
                        fwrite(image + at, PAGE, 1, file);
                }
        }
        assert_int_equal(fclose(file), 0);
}

static int read_state(const char *name)
{
        const char *top = getenv("top_srcdir");
        unsigned char page[PAGE];
        uint64_t size, offset;
        char path[512];
        FILE *file;
        int fd = memfd_make("state");

        snprintf(path, sizeof(path), "%s/tests/unit/%s", top ? top : ".", name);
        file = fopen(path, "rb");
        if (!file)
                fail_msg("%s is missing", path);
        assert_int_equal(fread(&size, sizeof(size), 1, file), 1);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        while (fread(&offset, sizeof(offset), 1, file) == 1) {
                assert_int_equal(fread(page, PAGE, 1, file), 1);
                assert_int_equal(pwrite(fd, page, PAGE, (off_t)offset), PAGE);
        }
        fclose(file);
        return fd;
}

/* ---- what this build makes of it ---- */

static void take_up(int fd)
{
        memset(&side, 0, sizeof(side));
        assert_int_equal(store_open(&side.store, fd), 0);
        assert_true(fingerprint_frame_is(side.store.image, &frame_spec_default));
        assert_string_equal(recover_image(&side.store, &frame_spec_default) ?: "good", "good");
        init_parts(true);
        for (int i = 0; i < CLIENTS; i++) {
                assert_true(spread_room(&side.spread));
                reader_recover(&side.reader[i], &side.spread, &side.store.image->client[i]);
                writer_init(&side.writer[i], &side.turn, (uint32_t)i);
        }
        spread_settle(&side.spread, 0, 0);
        spread_configure(&side.spread, false, 0, 0);
}

static void check_books(uint64_t messages, uint64_t delivered)
{
        struct books books = {0};

        ledger_books(&side.ledger, &books);
        assert_true(books_balance(&books));
        assert_int_equal(books.accepted.messages, messages);
        assert_int_equal(books.delivered.messages, delivered);
        spread_books(&side.spread, 1000, 3000, &books);
        assert_true(books_balance(&books));
}

/* Reads `skip` bytes into the first of these messages up to the end of the last one. */
static void check_reader(struct reader *reader, size_t skip, const size_t body[],
                         const unsigned char what[], int n)
{
        unsigned char want[FRAME_MAX], got[FRAME_MAX];

        for (int i = 0; i < n; i++, skip = 0) {
                size_t size = frame(want, body[i], what[i]) - skip, at = 0;

                while (at < size) {
                        struct iovec iov;

                        assert_true(cursor_gather(&reader->cursor, size - at, &iov, 1) == 1);
                        memcpy(got + at, iov.iov_base, iov.iov_len);
                        at += iov.iov_len;
                        reader_advance(reader, iov.iov_len);
                }
                assert_memory_equal(got, want + skip, size);
        }
        assert_int_equal(cursor_waiting(&reader->cursor), 0);
}

/* The rest of the message that is half written, the heartbeat, and then the log. */
static void check_wire(void)
{
        static const unsigned char order[] = {13, 14, 30, 31, 40, 20};
        static const size_t bodies[] = {96, 96, 96, 96, 500, 300};
        unsigned char want[2000], got[2000];
        size_t size = 0, at = 0;

        size = frame(want, 96, 13) - 30;
        memmove(want, want + 30, size);
        size += 4;
        memset(want + size - 4, 0, 4);
        for (size_t i = 1; i < sizeof(order); i++)
                size += frame(want + size, bodies[i], order[i]);
        while (at < size) {
                struct iovec iov;

                assert_int_equal(ledger_gather(&side.ledger, size - at, false, &iov, 1), 1);
                memcpy(got + at, iov.iov_base, iov.iov_len);
                at += iov.iov_len;
                ledger_sent(&side.ledger, iov.iov_len);
        }
        assert_memory_equal(got, want, size);
        ledger_acked(&side.ledger, 330 + size);
}

static void check_latency(const struct image_histogram *rtt)
{
        uint64_t median = histogram_quantile(rtt, 500);

        assert_int_equal(histogram_count(rtt), 3);
        assert_int_equal(histogram_min(rtt), 1234);
        assert_int_equal(histogram_max(rtt), 99000000);
        assert_int_equal(histogram_up_to(rtt, 2047), 2);
        assert_true(median >= 1234 - 1234 / 32 && median <= 1234 + 1234 / 32);
}

static void check_goes_on(void)
{
        static const size_t body[] = {BODY_LARGE, 200, 100}, all[] = {10, BODY_LARGE, 200, 100};
        static const unsigned char what[] = {2, 3, 4}, whole[] = {1, 2, 3, 4};
        unsigned char bytes[FRAME_MAX];

        assert_int_equal(side.store.image->session.epoch, 1);
        assert_string_equal(fingerprint_address_of(&side.store.image->session),
                            "gateway.example:4001");
        assert_int_equal(side.store.image->client[1].id, 9);
        assert_int_equal(writer_partial(&side.writer[0]), 40);
        assert_int_equal(writer_partial(&side.writer[1]), 20);
        check_books(7, 1);
        assert_int_equal(side.store.image->totals.refused_messages, 3);
        assert_int_equal(side.store.image->totals.lost[CAUSE_SILENT], 4);
        assert_int_equal(side.store.image->totals.failed[CAUSE_REFUSED], 5);
        check_latency(&side.store.image->latency[LATENCY_RTT]);
        assert_string_equal(events_get(&side.events, 1)->text, "connected");
        frame(bytes, 100, 4);
        down(bytes + 50, 54);
        check_reader(&side.reader[0], 3, body, what, 3);
        check_reader(&side.reader[1], 0, all, whole, 4);
        frame(bytes, 500, 40);
        up(1, bytes + 20, 484);
        frame(bytes, 300, 20);
        up(0, bytes + 40, 264);
        check_wire();
        check_books(9, 9);
}

static void what_the_first_version_left_is_gone_on_with(void **state)
{
        (void)state;
        take_up(read_state("state-1"));
        assert_false(hold_is_on(side.store.image)); /* it knew no hold */
        check_goes_on();
        spread_done(&side.spread);
        store_done(&side.store);
}

/* Should a state have to be written again, this is what it would be. */
static void what_this_build_leaves_is_gone_on_with(void **state)
{
        const char *path = getenv("FTCPD_TEST_WRITE");
        int fd;

        (void)state;
        memset(&side, 0, sizeof(side));
        assert_int_equal(store_init(&side.store), 0);
        init_parts(false);
        live_through_something();
        if (path)
                write_state(path);
        fd = dup(side.store.fd);
        spread_done(&side.spread);
        store_done(&side.store);
        take_up(fd);
        check_goes_on();
        spread_done(&side.spread);
        store_done(&side.store);
}

/* The first store of two that belong together was made. */
static void a_figure_that_was_half_written_is_mended(void **state)
{
        const struct image_histogram *beat;
        int fd;

        (void)state;
        memset(&side, 0, sizeof(side));
        assert_int_equal(store_init(&side.store), 0);
        init_parts(false);
        live_through_something();
        store_set(&side.store.image->latency[LATENCY_HEARTBEAT].bucket[7], 1);
        fd = dup(side.store.fd);
        spread_done(&side.spread);
        store_done(&side.store);
        take_up(fd);
        beat = &side.store.image->latency[LATENCY_HEARTBEAT];
        assert_int_equal(histogram_min(beat), 7);
        assert_int_equal(histogram_max(beat), 7);
        spread_done(&side.spread);
        store_done(&side.store);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_this_build_leaves_is_gone_on_with),
                cmocka_unit_test(what_the_first_version_left_is_gone_on_with),
                cmocka_unit_test(a_figure_that_was_half_written_is_mended),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
