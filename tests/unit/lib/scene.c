/* SPDX-License-Identifier: MIT */
#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/recover.h"

struct scene *scene_new(const struct frame_spec *spec)
{
        struct scene *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        feed_start(&s->feed, spec);
        assert_true(store_client_ready(&s->feed.store, READERS));
        return s;
}

void reader_open(struct scene *s, int i, bool open)
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

void reader_close(struct reader *r)
{
        cursor_done(&r->cursor);
        r->there = false;
}

void scene_free(struct scene *s)
{
        for (int i = 0; i < READERS; i++)
                if (s->reader[i].there)
                        reader_close(&s->reader[i]);
        log_trim(&s->feed.log);
        assert_true(feed_is_small(&s->feed));
        feed_done(&s->feed);
        free(s);
}

struct count whole_between(const struct feed *feed, uint64_t from, uint64_t to)
{
        size_t a = feed_number(feed, from), b = feed_number(feed, to);

        return (struct count){b - a, feed_pos(feed, b) - feed_pos(feed, a)};
}

static void reader_moved(struct scene *s, struct reader *r, size_t bytes)
{
        while (bytes) {
                uint64_t from = r->range[r->first].from, n = r->range[r->first].to - from;

                n = n < bytes ? n : bytes;
                r->delivered = count_add(r->delivered, whole_between(&s->feed, from, from + n));
                r->range[r->first].from += n;
                bytes -= n;
                if (r->range[r->first].from == r->range[r->first].to) {
                        r->first++;
                        r->n--;
                }
        }
}

/* Compares what is offered with what stands in its ranges, one behind the other. */
static size_t check_offer(struct scene *s, struct reader *r, const struct iovec *iov, int n)
{
        size_t bytes = 0, range = r->first;
        uint64_t pos = r->range[range].from;

        for (int i = 0; i < n; i++) {
                if (pos == r->range[range].to) {
                        range++;
                        assert_true(range < r->first + r->n);
                        pos = r->range[range].from;
                }
                assert_true(pos + iov[i].iov_len <= s->feed.bytes.size);
                assert_true(pos + iov[i].iov_len <= r->range[range].to);
                assert_memory_equal(iov[i].iov_base, s->feed.bytes.bytes + pos, iov[i].iov_len);
                pos += iov[i].iov_len;
                bytes += iov[i].iov_len;
        }
        return bytes;
}

size_t reader_read(struct scene *s, struct reader *r, size_t limit)
{
        struct iovec iov[5];
        size_t done = 0;

        while (done < limit) {
                int n = cursor_gather(&r->cursor, limit - done, iov, 1 + (int)random_below(5));
                size_t bytes;

                if (n == 0)
                        break;
                assert_true(r->n > 0);
                bytes = check_offer(s, r, iov, n);
                assert_true(bytes > 0 && bytes <= limit - done);
                bytes = random_one_in(3) ? 1 + random_below(bytes) : bytes;
                cursor_advance(&r->cursor, bytes);
                reader_moved(s, r, bytes);
                done += bytes;
        }
        return done;
}

void reader_check(struct scene *s, struct reader *r)
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

void scene_recovers(struct scene *s)
{
        struct image *image = s->feed.store.image;
        struct store store;
        struct log log;

        image->totals.client_slots = READERS;
        image->spread.given = image->in.end;
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

void feed_some(struct scene *s, int n, uint64_t largest)
{
        struct stream bytes = {0};
        size_t cut = 0;

        for (int i = 0; i < n; i++)
                stream_random(&bytes, &s->feed.spec, random_size(largest));
        if (random_one_in(2) && bytes.size)
                cut = random_below(bytes.size);
        s->feed.now += random_below(3000);
        if (n == 0)
                return;
        feed_bytes(&s->feed, bytes.bytes, cut);
        feed_bytes(&s->feed, bytes.bytes + cut, bytes.size - cut);
        stream_done(&bytes);
}
