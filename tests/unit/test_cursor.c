/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/recover.h"
#include "feed.h"
#include "stream.h"

enum { READERS = 12, RANGES = 4096 };

/* A cursor beside what it must do: ranges in the order in which they are read. */
struct reader {
        struct cursor cursor;
        bool there;
        struct {
                uint64_t from, to; /* UINT64_MAX: open */
        } range[RANGES];
        size_t first, n;
        struct count delivered, skipped;
};

struct scene {
        struct feed feed;
        struct reader reader[READERS];
};

static struct scene *scene_new(const struct frame_spec *spec)
{
        struct scene *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        feed_start(&s->feed, spec);
        assert_true(store_client_ready(&s->feed.store, READERS));
        return s;
}

static void reader_open(struct scene *s, int i, bool open)
{
        struct reader *r = &s->reader[i];

        memset(r, 0, sizeof(*r));
        r->there = true;
        cursor_init(&r->cursor, &s->feed.log, &s->feed.store.image->client[i].cursor, open);
        if (open) {
                r->range[0].from = s->feed.bytes.size;
                r->range[0].to = UINT64_MAX;
                r->n = 1;
        }
}

static void reader_close(struct reader *r)
{
        cursor_done(&r->cursor);
        r->there = false;
}

static void scene_free(struct scene *s)
{
        for (int i = 0; i < READERS; i++)
                if (s->reader[i].there)
                        reader_close(&s->reader[i]);
        log_trim(&s->feed.log);
        assert_true(feed_is_small(&s->feed));
        feed_done(&s->feed);
        free(s);
}

/* Messages that end between two places of one range, with their bytes. */
static struct count whole_between(const struct feed *feed, uint64_t from, uint64_t to)
{
        size_t a = feed_number(feed, from), b = feed_number(feed, to);

        return (struct count){b - a, feed_pos(feed, b) - feed_pos(feed, a)};
}

static void reader_moved(struct scene *s, struct reader *r, size_t bytes)
{
        uint64_t from = r->range[r->first].from;

        r->delivered = count_add(r->delivered, whole_between(&s->feed, from, from + bytes));
        r->range[r->first].from += bytes;
        if (r->range[r->first].from == r->range[r->first].to) {
                r->first++;
                r->n--;
        }
}

/* Reads at most so many bytes; each must be the one that is next. */
static size_t reader_read(struct scene *s, struct reader *r, size_t limit)
{
        struct iovec iov[5];
        size_t done = 0;

        while (done < limit) {
                int n = cursor_gather(&r->cursor, limit - done, iov, 1 + (int)random_below(5));
                size_t bytes = 0;

                if (n == 0)
                        break;
                assert_true(r->n > 0);
                for (int i = 0; i < n; i++) {
                        uint64_t pos = r->range[r->first].from + bytes;

                        assert_true(pos + iov[i].iov_len <= s->feed.bytes.size);
                        assert_true(pos + iov[i].iov_len <= r->range[r->first].to);
                        assert_memory_equal(iov[i].iov_base, s->feed.bytes.bytes + pos,
                                            iov[i].iov_len);
                        bytes += iov[i].iov_len;
                }
                assert_true(bytes > 0 && bytes <= limit - done);
                bytes = random_one_in(3) ? 1 + random_below(bytes) : bytes;
                cursor_advance(&r->cursor, bytes);
                reader_moved(s, r, bytes);
                done += bytes;
        }
        return done;
}

static void reader_check(struct scene *s, struct reader *r)
{
        struct count queued = {0, 0}, is;
        uint64_t waiting = 0, time, end = s->feed.bytes.size;

        for (size_t i = r->first; i < r->first + r->n; i++) {
                uint64_t to = r->range[i].to == UINT64_MAX ? end : r->range[i].to;

                queued = count_add(queued, whole_between(&s->feed, r->range[i].from, to));
                waiting += to - r->range[i].from;
        }
        is = cursor_queued(&r->cursor);
        assert_int_equal(is.messages, queued.messages);
        assert_int_equal(is.bytes, queued.bytes);
        is = cursor_delivered(&r->cursor);
        assert_int_equal(is.messages, r->delivered.messages);
        assert_int_equal(is.bytes, r->delivered.bytes);
        assert_int_equal(cursor_waiting(&r->cursor), waiting);
        time = cursor_oldest(&r->cursor);
        if (waiting) {
                uint64_t first = r->range[r->first].from;
                uint64_t at = s->feed.message[feed_number(&s->feed, first)].time;

                assert_true(time >= at && time < at + 1000);
        } else {
                assert_int_equal(time, 0);
        }
}

/* What a successor makes of the image: it is trusted, and every reader is where it was. */
static void scene_recovers(struct scene *s)
{
        struct image *image = s->feed.store.image;
        struct store store;
        struct log log;

        image->totals.client_slots = READERS;
        for (int i = 0; i < READERS; i++) {
                image->client[i].id = s->reader[i].there;
                image->client[i].reading = s->reader[i].there;
        }
        assert_int_equal(store_open(&store, dup(s->feed.store.fd)), 0);
        assert_string_equal(recover_image(&store, &s->feed.spec) ?: "good", "good");
        log_init(&log, &store, &store.image->in, &s->feed.spec);
        for (int i = 0; i < READERS; i++) {
                struct count was, is;
                struct cursor cursor;

                if (!s->reader[i].there)
                        continue;
                cursor_recover(&cursor, &log, &store.image->client[i].cursor);
                was = cursor_queued(&s->reader[i].cursor);
                is = cursor_queued(&cursor);
                assert_int_equal(was.messages, is.messages);
                assert_int_equal(was.bytes, is.bytes);
                was = cursor_delivered(&s->reader[i].cursor);
                is = cursor_delivered(&cursor);
                assert_int_equal(was.messages, is.messages);
                assert_int_equal(was.bytes, is.bytes);
                assert_int_equal(cursor_oldest(&cursor), cursor_oldest(&s->reader[i].cursor));
        }
        store_done(&store);
}

/* Some messages, with a part of one behind them now and then. */
static void feed_some(struct scene *s, int n, uint64_t largest)
{
        struct stream bytes = {0};
        size_t cut = 0;

        for (int i = 0; i < n; i++)
                stream_random(&bytes, &s->feed.spec, random_size(largest));
        if (random_one_in(2) && bytes.size)
                cut = random_below(bytes.size);
        s->feed.now += random_below(3000);
        feed_bytes(&s->feed, bytes.bytes, cut);
        feed_bytes(&s->feed, bytes.bytes + cut, bytes.size - cut);
        stream_done(&bytes);
}

/* ---- open cursors ---- */

static void readers_of_an_empty_log_get_all_that_comes(void **unused)
{
        (void)unused;
        for (int slow = 0; slow < 2; slow++) {
                struct scene *s = scene_new(&frame_spec_default);

                reader_open(s, 0, true);
                reader_open(s, 1, true);
                reader_open(s, 2, true);
                reader_close(&s->reader[2]);
                for (int i = 0; i < 20; i++)
                        feed_message(&s->feed, 20000);
                reader_read(s, &s->reader[0], SIZE_MAX);
                /* One that comes and goes takes nothing away from another. */
                reader_open(s, 2, true);
                reader_close(&s->reader[2]);
                reader_check(s, &s->reader[0]);
                reader_check(s, &s->reader[1]);
                assert_int_equal(reader_read(s, &s->reader[1], slow ? 70000 : SIZE_MAX),
                                 slow ? 70000 : s->feed.bytes.size);
                if (slow)
                        reader_close(&s->reader[1]);
                assert_true(feed_is_small(&s->feed));
                scene_free(s);
        }
}

static void memory_does_not_grow_with_what_was_read(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 5) {
                struct scene *s = scene_new(&k->spec);
                uint64_t most = 0;

                reader_open(s, 0, true);
                reader_open(s, 1, true);
                for (int i = 0; i < 3000; i++) {
                        feed_some(s, 20, k->largest < 5000 ? k->largest : 5000);
                        reader_read(s, &s->reader[0], SIZE_MAX);
                        reader_read(s, &s->reader[1], SIZE_MAX);
                        if (s->feed.store.used_bytes > most)
                                most = s->feed.store.used_bytes;
                }
                assert_true(s->feed.bytes.size > 100000);
                assert_true(most <= 8 * IMAGE_SLAB_SIZE);
                assert_true(s->feed.store.slabs <= 16);
                scene_free(s);
        }
}

static void a_slow_reader_keeps_what_it_has_not_read_and_no_more(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        reader_open(s, 0, true);
        reader_open(s, 1, true);
        for (int i = 0; i < 200; i++) {
                feed_some(s, 30, 3000);
                reader_read(s, &s->reader[0], SIZE_MAX);
                if (i > 50)
                        reader_read(s, &s->reader[1], random_below(60000));
                assert_true(s->feed.store.used_bytes <=
                            cursor_waiting(&s->reader[1].cursor) + 6 * IMAGE_SLAB_SIZE);
        }
        reader_check(s, &s->reader[1]);
        reader_close(&s->reader[1]);
        assert_true(feed_is_small(&s->feed));
        scene_free(s);
}

/* ---- jumps ---- */

static void jump(struct scene *s, struct reader *r, size_t number)
{
        uint64_t to = feed_pos(&s->feed, number), from = r->range[r->first].from;
        size_t at = feed_number(&s->feed, from);
        struct count skipped = {0, 0}, is;

        if (r->n == 2) {
                uint64_t resume = r->range[r->first + 1].from;

                if (to > resume) {
                        skipped = whole_between(&s->feed, resume, to);
                        r->range[r->first + 1].from = to;
                }
        } else if (feed_pos(&s->feed, at) == from) {
                if (to > from) {
                        skipped = whole_between(&s->feed, from, to);
                        r->range[r->first].from = to;
                }
        } else if (feed_pos(&s->feed, at + 1) < to) {
                skipped = whole_between(&s->feed, feed_pos(&s->feed, at + 1), to);
                r->first = 0;
                r->n = 2;
                r->range[0].from = from;
                r->range[0].to = feed_pos(&s->feed, at + 1);
                r->range[1].from = to;
                r->range[1].to = UINT64_MAX;
        }
        is = cursor_jump(&r->cursor, to);
        assert_int_equal(is.messages, skipped.messages);
        assert_int_equal(is.bytes, skipped.bytes);
        r->skipped = count_add(r->skipped, skipped);
        if (r->n == 1 && r->first) { /* the open range is the only one again */
                r->range[0] = r->range[r->first];
                r->first = 0;
        }
}

static void a_jump_at_a_boundary_skips_at_once(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct reader *r = &s->reader[0];

        (void)unused;
        reader_open(s, 0, true);
        for (int i = 0; i < 40; i++)
                feed_message(&s->feed, 10000);
        jump(s, r, 7);
        reader_check(s, r);
        jump(s, r, 3); /* back: nothing */
        jump(s, r, 7);
        assert_int_equal(reader_read(s, r, 10004), 10004);
        reader_check(s, r);
        jump(s, r, 40);
        reader_check(s, r);
        assert_int_equal(r->skipped.messages, 39);
        assert_int_equal(reader_read(s, r, SIZE_MAX), 0);
        assert_true(feed_is_small(&s->feed));
        scene_free(s);
}

static void a_jump_in_a_message_finishes_it_first(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct reader *r = &s->reader[0];

        (void)unused;
        reader_open(s, 0, true);
        feed_message(&s->feed, 300000);
        for (int i = 0; i < 40; i++)
                feed_message(&s->feed, 10000);
        for (int round = 0; round < 3; round++) {
                size_t next = feed_number(&s->feed, r->range[r->first].from) + 1;

                reader_read(s, r, round ? 1 : 70000);
                jump(s, r, next); /* what it does anyway */
                jump(s, r, next + 3);
                jump(s, r, next + 2);
                jump(s, r, next + 5);
                reader_check(s, r);
                reader_read(s, r, 1);
                jump(s, r, next + 6);
                reader_check(s, r);
                reader_read(s, r, feed_pos(&s->feed, next) - r->range[r->first].from);
                reader_check(s, r);
                assert_int_equal(r->range[r->first].from, feed_pos(&s->feed, next + 6));
        }
        reader_read(s, r, 5);
        jump(s, r, 41);
        reader_check(s, r);
        feed_message(&s->feed, 5);
        reader_check(s, r);
        reader_read(s, r, SIZE_MAX);
        assert_int_equal(r->delivered.messages + r->skipped.messages, 42);
        assert_true(feed_is_small(&s->feed));
        scene_free(s);
}

static void random_readers_come_read_jump_and_go(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 3) {
                struct scene *s = scene_new(&k->spec);

                for (int step = 0; step < 1000; step++) {
                        int i = (int)random_below(READERS);
                        struct reader *r = &s->reader[i];

                        if (random_one_in(6))
                                feed_some(s, (int)random_below(30), k->largest);
                        if (!r->there) {
                                if (random_one_in(4))
                                        reader_open(s, i, true);
                                continue;
                        }
                        if (random_one_in(60))
                                reader_close(r);
                        else if (random_one_in(5) && s->feed.messages)
                                jump(s, r, s->feed.messages - random_below(30) % s->feed.messages);
                        else
                                reader_read(s, r, 1 + random_size(300000));
                        if (r->there)
                                reader_check(s, r);
                        if (random_one_in(200))
                                scene_recovers(s);
                }
                scene_free(s);
        }
}

/* ---- extents ---- */

static struct log_place place_of(const struct feed *feed, size_t number)
{
        return (struct log_place){feed_pos(feed, number), number, 0};
}

static void extend(struct scene *s, struct reader *r, size_t from, size_t to)
{
        size_t last = r->first + r->n;

        assert_int_equal(
                cursor_extend(&r->cursor, place_of(&s->feed, from), place_of(&s->feed, to)), 0);
        if (r->n && r->range[last - 1].to == feed_pos(&s->feed, from)) {
                r->range[last - 1].to = feed_pos(&s->feed, to);
                return;
        }
        if (last == RANGES) {
                memmove(r->range, r->range + r->first, r->n * sizeof(r->range[0]));
                r->first = 0;
                last = r->n;
        }
        assert_true(last < RANGES);
        r->range[last].from = feed_pos(&s->feed, from);
        r->range[last].to = feed_pos(&s->feed, to);
        r->n++;
}

/* Gives all messages from number `from` on to readers that are there, some in a row to one. */
static void deal(struct scene *s, size_t from, int first, int n)
{
        int i = first + (int)random_below((uint64_t)n);

        while (from < s->feed.messages) {
                size_t to = from + 1 + random_size(40);

                to = to < s->feed.messages ? to : s->feed.messages;
                if (!random_one_in(3))
                        i = first + (int)random_below((uint64_t)n);
                if (!s->reader[i].there)
                        reader_open(s, i, false);
                extend(s, &s->reader[i], from, to);
                from = to;
        }
}

static bool drop_empty(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        (void)context;
        (void)slab;
        (void)pos;
        (void)size;
        return true;
}

static bool is_empty(const struct frame_spec *spec, const unsigned char *frame, size_t size)
{
        (void)frame;
        return size == frame_overhead(spec);
}

static const struct log_filter no_empty = {{0, 0}, drop_empty, NULL};

static void extents_are_read_in_order_each_by_its_reader(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 3) {
                struct scene *s = scene_new(&k->spec);

                if (!k->smallest) {
                        s->feed.filter = &no_empty;
                        s->feed.leaves_out = is_empty;
                }
                for (int step = 0; step < 300; step++) {
                        int i = (int)random_below(READERS);
                        size_t from = s->feed.messages;

                        feed_some(s, (int)random_below(30), k->largest);
                        deal(s, from, 0, READERS);
                        for (int j = 0; j < READERS; j++)
                                if (s->reader[j].there && random_one_in(2))
                                        reader_read(s, &s->reader[j], random_size(300000));
                        if (!s->reader[i].there)
                                continue;
                        reader_check(s, &s->reader[i]);
                        if (random_one_in(20))
                                reader_close(&s->reader[i]);
                        if (random_one_in(60))
                                scene_recovers(s);
                }
                for (int i = 0; i < READERS; i++) {
                        if (!s->reader[i].there)
                                continue;
                        reader_read(s, &s->reader[i], SIZE_MAX);
                        reader_check(s, &s->reader[i]);
                        assert_int_equal(s->reader[i].n, 0);
                }
                assert_true(feed_is_small(&s->feed));
                scene_free(s);
        }
}

static void extents_and_open_readers_share_a_log(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        for (int step = 0; step < 600; step++) {
                struct reader *tap = &s->reader[random_below(3)];
                size_t from = s->feed.messages;

                feed_some(s, (int)random_below(30), 60000);
                deal(s, from, 3, READERS - 3);
                if (!tap->there)
                        reader_open(s, (int)(tap - s->reader), true);
                else if (random_one_in(30))
                        reader_close(tap);
                else
                        reader_read(s, tap, random_size(1 << 20));
                for (int j = 3; j < READERS; j++)
                        if (s->reader[j].there && random_one_in(2))
                                reader_read(s, &s->reader[j], random_size(1 << 20));
                if (s->reader[4].there)
                        reader_check(s, &s->reader[4]);
                if (random_one_in(60))
                        scene_recovers(s);
        }
        scene_free(s);
}

/* One has a message at the very beginning and hangs; the others' slabs behind it go. */
static void slabs_in_the_middle_are_freed_while_one_reader_hangs(void **unused)
{
        static const size_t bodies[] = {60, 100, 252, 8188, 20000, 65532};

        (void)unused;
        for (size_t b = 0; b < 2 * sizeof(bodies) / sizeof(*bodies); b++) {
                size_t body = bodies[b / 2], a_read = 4 * IMAGE_SLAB_SIZE / (body + 4);
                struct scene *s = scene_new(&frame_spec_default);

                if (b % 2) { /* cut at heartbeats, too */
                        s->feed.filter = &no_empty;
                        s->feed.leaves_out = is_empty;
                }
                reader_open(s, 0, false);
                feed_message(&s->feed, body);
                extend(s, &s->reader[0], 0, 1);
                feed_align(&s->feed, 2 * IMAGE_SLAB_SIZE);
                for (int round = 0; round < 60; round++) {
                        size_t from = s->feed.messages;
                        struct stream bytes = {0};

                        for (size_t i = 0; i < a_read; i++) {
                                if (b % 2 && (i == 0 || random_one_in(3)))
                                        stream_frame(&bytes, &s->feed.spec, NULL, 0);
                                stream_random(&bytes, &s->feed.spec, body);
                        }
                        feed_bytes(&s->feed, bytes.bytes, bytes.size);
                        stream_done(&bytes);
                        deal(s, from, 1, 5);
                        for (int j = 1; j < 6; j++)
                                if (s->reader[j].there)
                                        reader_read(s, &s->reader[j], SIZE_MAX);
                        assert_true(s->feed.store.used_bytes <= 6 * IMAGE_SLAB_SIZE);
                        scene_recovers(s);
                }
                reader_check(s, &s->reader[0]);
                scene_free(s);
        }
}

/* The end leaves a slab whose readers are through; what came behind them waits to be dealt. */
static void what_is_dealt_late_is_still_there(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);

        (void)unused;
        reader_open(s, 0, false);
        reader_open(s, 1, false);
        feed_align(&s->feed, IMAGE_SLAB_SIZE + 1000);
        extend(s, &s->reader[0], 0, 1);
        extend(s, &s->reader[1], 1, s->feed.messages);
        reader_read(s, &s->reader[1], SIZE_MAX);
        for (uint64_t slab = 2; slab < 6; slab++) {
                size_t from = s->feed.messages;

                feed_align(&s->feed, slab * IMAGE_SLAB_SIZE);
                feed_align(&s->feed, slab * IMAGE_SLAB_SIZE + 1000);
                extend(s, &s->reader[1], from, s->feed.messages);
                reader_check(s, &s->reader[1]);
                reader_read(s, &s->reader[1], SIZE_MAX);
        }
        scene_free(s);
}

/* ---- the store below ---- */

static void however_many_slabs_leave_a_chain_one_transaction_holds_it(void **unused)
{
        struct image_chain *chain;
        struct store store;

        (void)unused;
        assert_int_equal(store_init(&store), 0);
        chain = &store.image->in.data;
        for (uint64_t i = 0; i < 3 * IMAGE_JOURNAL; i++)
                chain_append(&store, chain, slab_new(&store, 0), i * IMAGE_SLAB_SIZE);
        store_begin(&store);
        for (uint32_t i = 0; i < IMAGE_JOURNAL; i++) { /* from the front, then from the middle */
                uint32_t head = chain_head(chain);

                chain_remove(&store, chain, head);
                slab_free(&store, head);
        }
        for (uint32_t i = 1; i < IMAGE_JOURNAL; i++) {
                uint32_t second = slab_next(&store, chain_head(chain));

                chain_remove(&store, chain, second);
                slab_free(&store, second);
        }
        store_commit(&store);
        assert_int_equal(slab_pos(&store, chain_head(chain)), IMAGE_JOURNAL * IMAGE_SLAB_SIZE);
        assert_int_equal(slab_pos(&store, slab_next(&store, chain_head(chain))),
                         UINT64_C(2) * IMAGE_JOURNAL * IMAGE_SLAB_SIZE);
        assert_int_equal(store.n_free + store.n_cold, 2 * IMAGE_JOURNAL - 1);
        store_done(&store);
}

static void memory_beyond_some_megabytes_goes_back(void **unused)
{
        uint32_t slab[300];
        struct store store;

        (void)unused;
        assert_int_equal(store_init(&store), 0);
        for (int i = 0; i < 300; i++)
                slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
        assert_int_equal(store.used_bytes, 300 * IMAGE_SLAB_SIZE);
        for (int i = 0; i < 300; i++)
                slab_free(&store, slab[i]);
        assert_int_equal(store.used_bytes, 0);
        assert_true(store.free_bytes <= 8 << 20);
        for (int i = 0; i < 300; i++) {
                slab[i] = slab_new(&store, IMAGE_SLAB_SIZE);
                memset(slab_data(&store, slab[i]), i & 0xff, IMAGE_SLAB_SIZE);
        }
        assert_int_equal(store.used_bytes, 300 * IMAGE_SLAB_SIZE);
        assert_int_equal(store.free_bytes, 0);
        for (int i = 0; i < 300; i++)
                assert_int_equal(slab_data(&store, slab[i])[IMAGE_SLAB_SIZE - 1], i & 0xff);
        store_done(&store);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(readers_of_an_empty_log_get_all_that_comes),
                cmocka_unit_test(memory_does_not_grow_with_what_was_read),
                cmocka_unit_test(a_slow_reader_keeps_what_it_has_not_read_and_no_more),
                cmocka_unit_test(a_jump_at_a_boundary_skips_at_once),
                cmocka_unit_test(a_jump_in_a_message_finishes_it_first),
                cmocka_unit_test(random_readers_come_read_jump_and_go),
                cmocka_unit_test(extents_are_read_in_order_each_by_its_reader),
                cmocka_unit_test(extents_and_open_readers_share_a_log),
                cmocka_unit_test(slabs_in_the_middle_are_freed_while_one_reader_hangs),
                cmocka_unit_test(what_is_dealt_late_is_still_there),
                cmocka_unit_test(however_many_slabs_leave_a_chain_one_transaction_holds_it),
                cmocka_unit_test(memory_beyond_some_megabytes_goes_back),
        };

        random_start("cursor");
        return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
