/* SPDX-License-Identifier: MIT */
#include "feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IOVS = 64 };

void feed_start(struct feed *feed, const struct frame_spec *spec)
{
        *feed = (struct feed){.spec = *spec, .now = 1000000};
        assert_int_equal(store_init(&feed->store), 0);
        log_init(&feed->log, &feed->store, &feed->store.image->in, &feed->spec);
}

void feed_done(struct feed *feed)
{
        store_done(&feed->store);
        stream_done(&feed->tail);
        stream_done(&feed->bytes);
        free(feed->message);
}

static void model_message(struct feed *feed, const unsigned char *frame, size_t size)
{
        if (feed->leaves_out && feed->leaves_out(&feed->spec, frame, size)) {
                feed->left_out++;
                return;
        }
        if (feed->messages == feed->room) {
                feed->room = feed->room * 2 + 64;
                feed->message = realloc(feed->message, feed->room * sizeof(*feed->message));
                assert_non_null(feed->message);
        }
        feed->message[feed->messages].pos = feed->bytes.size;
        feed->message[feed->messages++].time = feed->now;
        stream_add(&feed->bytes, frame, size);
}

static void model_take(struct feed *feed)
{
        struct stream *tail = &feed->tail;
        size_t at = 0, n;

        for (; (n = frame_at(&feed->spec, tail->bytes + at, tail->size - at, feed->seen)) > 0;
             feed->seen = 0) {
                if (n - frame_overhead(&feed->spec) > feed->spec.max_message_size)
                        break;
                model_message(feed, tail->bytes + at, n);
                at += n;
        }
        feed->seen = tail->size - at;
        if (at)
                memmove(tail->bytes, tail->bytes + at, tail->size - at);
        tail->size -= at;
}

void check_memory(const struct store *store, const struct iovec *iov, int n)
{
        for (int i = 0; i < n; i++) {
                size_t at = (size_t)((unsigned char *)iov[i].iov_base - store->image->data);

                assert_true(store->slab[at / IMAGE_SLAB_SIZE].used);
                assert_true(store->slab[at / IMAGE_SLAB_SIZE].committed >=
                            at % IMAGE_SLAB_SIZE + iov[i].iov_len);
        }
}

void feed_receive(struct feed *feed, const void *bytes, size_t size)
{
        struct image_session *session = &feed->store.image->session;
        const unsigned char *p = bytes;
        struct iovec iov[IOVS];

        stream_add(&feed->tail, bytes, size);
        while (size) {
                int n = log_room(&feed->log, session->rx_base + session->rx_read, size, iov, IOVS);

                assert_true(n > 0);
                check_memory(&feed->store, iov, n);
                for (int i = 0; i < n; i++) {
                        memcpy(iov[i].iov_base, p, iov[i].iov_len);
                        p += iov[i].iov_len;
                        size -= iov[i].iov_len;
                        store_set(&session->rx_read, session->rx_read + iov[i].iov_len);
                }
        }
}

/* What the outcome says of the partial message is what the model knows of it. */
static void check_partial(const struct feed *feed, const struct log_taken *taken)
{
        uint64_t total = 0, declared = 0;

        if (feed->spec.type == FRAME_LENGTH && feed->tail.size >= frame_overhead(&feed->spec))
                frame_measure(&feed->spec, feed->tail.bytes, &total, &declared);
        assert_int_equal(taken->total, total);
        assert_int_equal(taken->declared, declared);
}

struct log_taken feed_take(struct feed *feed)
{
        struct image_session *session = &feed->store.image->session;
        const struct image_log *image = feed->log.image;
        size_t messages = feed->messages, before = feed->bytes.size;
        struct log_taken taken, sum = {0};

        do {
                taken = log_take(&feed->log, &session->rx_base, session->rx_read, feed->filter,
                                 feed->now, feed->origin);
                sum.messages += taken.messages;
                sum.bytes += taken.bytes;
        } while (taken.more);
        taken.messages = sum.messages;
        taken.bytes = sum.bytes;
        if (!taken.no_memory)
                model_take(feed);
        assert_int_equal(taken.messages, feed->messages - messages);
        assert_int_equal(taken.bytes, feed->bytes.size - before);
        assert_int_equal(image->end, feed->bytes.size);
        assert_int_equal(image->number, feed->messages);
        assert_int_equal(session->rx_base + session->rx_read - image->end, feed->tail.size);
        if (!taken.no_memory && taken.result == FRAME_MORE)
                check_partial(feed, &taken);
        return taken;
}

struct log_taken feed_bytes(struct feed *feed, const void *bytes, size_t size)
{
        struct log_taken taken;

        feed_receive(feed, bytes, size);
        taken = feed_take(feed);
        assert_false(taken.no_memory);
        return taken;
}

struct log_taken feed_chunks(struct feed *feed, const void *bytes, size_t size, size_t chunk)
{
        const unsigned char *p = bytes;
        struct log_taken taken = {0};

        while (size) {
                size_t n = size < chunk ? size : chunk;

                taken = feed_bytes(feed, p, n);
                p += n;
                size -= n;
        }
        return taken;
}

void feed_message(struct feed *feed, size_t body)
{
        struct stream s = {0};

        stream_random(&s, &feed->spec, body);
        feed_bytes(feed, s.bytes, s.size);
        stream_done(&s);
}

void feed_align(struct feed *feed, uint64_t pos)
{
        size_t overhead = frame_overhead(&feed->spec), largest = 200;
        struct stream s = {0};
        uint64_t left;

        for (const struct kind *k = kinds; k < kinds + n_kinds; k++)
                if (frame_spec_same(&k->spec, &feed->spec) && k->largest < largest)
                        largest = k->largest;
        while ((left = pos - feed->log.image->end - s.size) > 2 * (largest + overhead))
                stream_random(&s, &feed->spec, largest);
        if (left > largest + overhead)
                left -= stream_random(&s, &feed->spec, left / 2 - overhead);
        stream_random(&s, &feed->spec, left - overhead);
        feed_bytes(feed, s.bytes, s.size);
        stream_done(&s);
        assert_int_equal(feed->log.image->end, pos);
}

uint64_t feed_pos(const struct feed *feed, size_t k)
{
        return k < feed->messages ? feed->message[k].pos : feed->bytes.size;
}

size_t feed_number(const struct feed *feed, uint64_t pos)
{
        size_t low = 0, high = feed->messages;

        if (pos == feed->bytes.size)
                return feed->messages;
        while (high - low > 1) {
                size_t middle = low + (high - low) / 2;

                if (feed->message[middle].pos <= pos)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

size_t feed_read(struct feed *feed, struct cursor *cursor, size_t limit)
{
        struct iovec iov[8];
        size_t done = 0;

        while (done < limit) {
                uint64_t pos = cursor->image->pos;
                int n = cursor_gather(cursor, limit - done, iov, 1 + (int)random_below(8));
                size_t bytes = 0;

                if (n == 0)
                        break;
                for (int i = 0; i < n; i++) {
                        assert_true(pos + bytes + iov[i].iov_len <= feed->bytes.size);
                        assert_memory_equal(iov[i].iov_base, feed->bytes.bytes + pos + bytes,
                                            iov[i].iov_len);
                        bytes += iov[i].iov_len;
                }
                assert_true(bytes > 0 && bytes <= limit - done);
                cursor_advance(cursor, bytes);
                done += bytes;
        }
        return done;
}

bool feed_is_small(const struct feed *feed)
{
        /* The slab of the end, the one before it, and the last one of the marks. */
        return feed->store.used_bytes <= 4 * IMAGE_SLAB_SIZE;
}

/* Of what is still there: from a reader's place on. */
static void check_places(const struct feed *feed, uint64_t from)
{
        struct log_place place = log_place(&feed->log, feed->bytes.size);

        assert_int_equal(place.pos, feed->bytes.size);
        assert_int_equal(place.number, feed->messages);
        assert_int_equal(place.time_usec, 0);
        for (int i = 0; i < 40 && from < feed->bytes.size; i++) {
                uint64_t pos = from + random_below(feed->bytes.size - from);
                size_t number = feed_number(feed, pos);

                place = log_place(&feed->log, pos);
                assert_int_equal(place.pos, feed_pos(feed, number));
                assert_int_equal(place.number, number);
                place = log_behind(&feed->log, place);
                assert_int_equal(place.pos, feed_pos(feed, number + 1));
                assert_int_equal(place.number, number + 1);
        }
}

void follower_start(struct follower *f, const struct frame_spec *spec)
{
        feed_start(&f->feed, spec);
        cursor_init(&f->cursor, &f->feed.log, &f->feed.store.image->client[0].cursor, true);
}

void follower_done(struct follower *f)
{
        check_places(&f->feed, f->cursor.image->pos);
        feed_read(&f->feed, &f->cursor, SIZE_MAX);
        assert_int_equal(f->cursor.image->pos, f->feed.bytes.size);
        slabs_free(&f->feed.store, log_cut(&f->feed.log));
        assert_true(feed_is_small(&f->feed));
        cursor_done(&f->cursor);
        feed_done(&f->feed);
}
