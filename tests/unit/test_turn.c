/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/turn.h"
#include "lib/feed.h"
#include "lib/stream.h"
#include "store/cursor.h"

enum { WRITERS = 24, IOVS = 8 };

/* A client beside the model of it: what it sends, how far, and what of it must be in the log. */
struct speaker {
        struct writer writer;
        bool there;
        struct stream sent;
        size_t said;  /* of `sent`, into its room */
        size_t taken; /* of that, whole messages */
        size_t seen;  /* of what is behind, known to be no whole message */
        uint64_t messages;
};

struct scene {
        struct store store;
        struct frame_spec spec;
        struct log log;
        struct turn turn;
        struct cursor reader;
        struct speaker speaker[WRITERS];
        struct stream expected; /* the log, since the start */
        uint64_t messages, now;
        size_t read;
};

static struct scene *scene_new(const struct frame_spec *spec)
{
        struct scene *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        s->spec = *spec;
        s->now = 1000000;
        assert_int_equal(store_init(&s->store), 0);
        assert_true(store_client_ready(&s->store, WRITERS));
        log_init(&s->log, &s->store, &s->store.image->out, &s->spec);
        turn_init(&s->turn, &s->log, &s->store.image->turn);
        cursor_init(&s->reader, &s->log, &s->store.image->acked, true);
        return s;
}

static struct speaker *speaker_come(struct scene *s, uint32_t slot)
{
        struct speaker *p = &s->speaker[slot];

        memset(&s->store.image->client[slot], 0, sizeof(struct image_client));
        memset(p, 0, sizeof(*p));
        p->there = true;
        writer_init(&p->writer, &s->turn, slot);
        return p;
}

static void speaker_go(struct speaker *p)
{
        const struct image_client *image = p->writer.image;

        assert_int_equal(image->accepted_messages, p->messages);
        assert_int_equal(image->accepted_bytes, p->taken);
        writer_done(&p->writer);
        assert_int_equal(image->aside.data.head, 0);
        stream_done(&p->sent);
        p->there = false;
}

/* Reads up to so many bytes and looks at each. */
static void scene_read(struct scene *s, size_t limit)
{
        struct iovec iov[IOVS];
        int n;

        while (limit && (n = cursor_gather(&s->reader, limit, iov, IOVS)) > 0) {
                size_t bytes = 0;

                for (int i = 0; i < n; i++) {
                        assert_true(s->read + iov[i].iov_len <= s->expected.size);
                        assert_memory_equal(iov[i].iov_base, s->expected.bytes + s->read,
                                            iov[i].iov_len);
                        s->read += iov[i].iov_len;
                        bytes += iov[i].iov_len;
                }
                cursor_advance(&s->reader, bytes);
                limit -= bytes;
        }
}

static void scene_free(struct scene *s)
{
        for (int i = 0; i < WRITERS; i++)
                if (s->speaker[i].there)
                        speaker_go(&s->speaker[i]);
        scene_read(s, SIZE_MAX);
        assert_int_equal(s->read, s->expected.size);
        assert_int_equal(s->log.image->number, s->messages);
        assert_int_equal(s->store.image->turn.holder, 0);
        /* The slab of the end, one before it, room that was made ready, the marks. */
        assert_true(s->store.used_bytes <= 8 * IMAGE_SLAB_SIZE);
        cursor_done(&s->reader);
        store_done(&s->store);
        stream_done(&s->expected);
        free(s);
}

/* Everything that is whole must be taken now. */
static void model_take(struct scene *s, struct speaker *p)
{
        const unsigned char *bytes = p->sent.bytes;
        size_t n;

        for (; (n = frame_at(&s->spec, bytes + p->taken, p->said - p->taken, p->seen)) > 0;
             p->seen = 0) {
                if (n - frame_overhead(&s->spec) > s->spec.max_message_size)
                        break;
                stream_add(&s->expected, bytes + p->taken, n);
                p->taken += n;
                p->messages++;
                s->messages++;
        }
        p->seen = p->said - p->taken;
}

static struct log_taken take(struct scene *s, struct speaker *p, size_t n)
{
        size_t before = s->expected.size;
        uint64_t messages = s->messages;
        struct log_taken taken = turn_take(&p->writer, n, s->now);

        if (!taken.no_memory)
                model_take(s, p);
        assert_int_equal(taken.messages, s->messages - messages);
        assert_int_equal(taken.bytes, s->expected.size - before);
        assert_int_equal(s->log.image->end, s->expected.size);
        assert_int_equal(s->log.image->number, s->messages);
        assert_int_equal(writer_partial(&p->writer), p->said - p->taken);
        return taken;
}

/* Says at most `most` bytes of what it still has into room for `want`. Returns how many. */
static size_t speak(struct scene *s, struct speaker *p, size_t want, size_t most)
{
        struct iovec iov[IOVS];
        int n = turn_room(&p->writer, want, iov, 1 + (int)random_below(IOVS));
        size_t said = 0, left = p->sent.size - p->said;

        check_memory(&s->store, iov, n);
        most = most < left ? most : left;
        for (int i = 0; i < n && most; i++) {
                size_t part = iov[i].iov_len < most ? iov[i].iov_len : most;

                memcpy(iov[i].iov_base, p->sent.bytes + p->said + said, part);
                most -= part;
                said += part;
        }
        p->said += said;
        if (n > 0)
                assert_false(take(s, p, said).no_memory);
        return said;
}

/* All of it, alone. */
static void speak_all(struct scene *s, struct speaker *p)
{
        while (p->said < p->sent.size)
                assert_true(speak(s, p, 300000, SIZE_MAX) > 0);
}

static void check_peek(struct speaker *p)
{
        unsigned char first[100];
        size_t partial = p->said - p->taken, n = writer_peek(&p->writer, first, sizeof(first));

        assert_int_equal(n, partial < sizeof(first) ? partial : sizeof(first));
        assert_memory_equal(first, p->sent.bytes + p->taken, n);
}

static void add_random(const struct kind *k, struct stream *stream, uint64_t largest)
{
        uint64_t body = random_size(largest < k->largest ? largest : k->largest);

        stream_random(stream, &k->spec, body < k->smallest ? k->smallest : body);
}

/* ---- what must hold ---- */

static void messages_of_many_writers_go_in_whole_in_any_schedule(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct scene *s = scene_new(&k->spec);

                for (int step = 0; step < 6000; step++) {
                        uint32_t slot = (uint32_t)random_below(WRITERS);
                        struct speaker *p = &s->speaker[slot];
                        size_t most =
                                random_one_in(5) ? 1 + random_below(3) : 1 + random_size(300000);

                        if (!p->there)
                                p = speaker_come(s, slot);
                        while (p->sent.size - p->said < 100)
                                add_random(k, &p->sent, 200000);
                        s->now += random_below(100);
                        assert_true(speak(s, p, 1 + random_size(300000), most) > 0);
                        check_peek(p);
                        if (random_one_in(100))
                                speaker_go(p);
                        if (random_one_in(10))
                                scene_read(s, random_size(1 << 20));
                }
                scene_free(s);
        }
}

static void every_cut_between_two_writers_is_mended(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct scene *s = scene_new(&k->spec);
                struct speaker *a = speaker_come(s, 0), *b = speaker_come(s, 1);

                for (size_t cut = 1; cut < 60; cut++) {
                        for (int i = 0; i < 4; i++) {
                                stream_random(&a->sent, &k->spec, k->smallest + random_below(7));
                                stream_random(&b->sent, &k->spec, k->smallest + random_below(7));
                        }
                        speak(s, a, 100, cut);
                        speak(s, b, 100, 1 + cut / 2);
                        speak(s, a, 100, 1);
                        speak(s, b, 100, 1);
                        speak_all(s, b);
                        speak_all(s, a);
                        assert_int_equal(writer_partial(&a->writer), 0);
                        assert_int_equal(writer_partial(&b->writer), 0);
                }
                scene_free(s);
        }
}

static void large_messages_drip_in_while_others_speak(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k += 1) {
                struct scene *s = scene_new(&k->spec);
                struct speaker *slow[3];

                if (k->largest < 100000) {
                        scene_free(s);
                        continue;
                }
                for (uint32_t i = 0; i < 3; i++) {
                        slow[i] = speaker_come(s, i);
                        stream_random(&slow[i]->sent, &k->spec, (i + 1) << 19);
                }
                for (bool more = true; more;) {
                        struct speaker *fast = speaker_come(s, 3 + (uint32_t)random_below(5));

                        more = false;
                        for (int i = 0; i < 3; i++) {
                                struct speaker *p = slow[i];

                                speak(s, p, 1 + random_below(1 << 18), random_below(40000));
                                check_peek(p);
                                more |= p->said < p->sent.size;
                        }
                        for (int i = 0; i < 5; i++)
                                add_random(k, &fast->sent, 3000);
                        speak_all(s, fast);
                        speaker_go(fast);
                        scene_read(s, 100000);
                }
                for (int i = 0; i < 3; i++)
                        assert_int_equal(slow[i]->messages, 1);
                scene_free(s);
        }
}

static void a_delimiter_across_the_slabs_of_a_message_set_aside_is_found(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                for (uint32_t before = 0; before <= k->spec.delimiter_size; before++) {
                        struct scene *s = scene_new(&k->spec);
                        struct speaker *slow = speaker_come(s, 0), *fast = speaker_come(s, 1);

                        if (k->spec.type == FRAME_DELIMITER) {
                                stream_random(&slow->sent, &k->spec, IMAGE_SLAB_SIZE - before);
                                stream_random(&slow->sent, &k->spec, 1000);
                                stream_random(&fast->sent, &k->spec, 5);
                                speak(s, slow, 1000, 1000);
                                speak_all(s, fast);
                                speak_all(s, slow);
                                assert_int_equal(slow->messages, 2);
                        }
                        scene_free(s);
                }
        }
}

/* A line that grows aside would be searched from its first byte at each read. The delimiters that
 * are written where none was found would be found by a search. */
static void a_long_line_set_aside_is_searched_once(void **unused)
{
        enum { LONG = 3 * IMAGE_SLAB_SIZE };

        const struct frame_spec spec = {.type = FRAME_DELIMITER,
                                        .delimiter = "\r\n",
                                        .delimiter_size = 2,
                                        .max_message_size = LONG};
        struct scene *s = scene_new(&spec);
        struct speaker *slow = speaker_come(s, 0), *fast = speaker_come(s, 1);
        struct store *store = &s->store;
        unsigned char *bytes, was[2];

        (void)unused;
        stream_random(&slow->sent, &spec, LONG);
        stream_random(&fast->sent, &spec, 5);
        while (slow->said < 2 * IMAGE_SLAB_SIZE)
                speak(s, slow, 2 * IMAGE_SLAB_SIZE - slow->said, SIZE_MAX);
        speak_all(s, fast);
        assert_true(slow->writer.image->aside.data.head);
        bytes = slab_data(store, chain_head(&slow->writer.image->aside.data)) + 100;
        memcpy(was, bytes, 2);
        memcpy(bytes, "\r\n", 2);
        speak(s, slow, 100, 100);
        assert_true(slow->writer.image->aside.data.head); /* it is not whole */
        while (slow->said < slow->sent.size)
                speak(s, slow, slow->sent.size - slow->said, SIZE_MAX);
        assert_int_equal(slow->messages, 1);
        memcpy(bytes, was, 2);
        scene_free(s);
}

/* The memory that a dripping message takes is what arrived, and the room that was asked for. */
static void room_for_a_message_set_aside_grows_with_what_arrived(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct speaker *slow = speaker_come(s, 0), *fast = speaker_come(s, 1);
        struct iovec iov[IOVS];
        uint64_t before;

        (void)unused;
        stream_random(&slow->sent, &s->spec, 8 << 20);
        speak(s, slow, 100, 100);
        stream_random(&fast->sent, &s->spec, 100);
        speak_all(s, fast);
        before = s->store.used_bytes;
        assert_true(turn_room(&slow->writer, 256 * 1024, iov, IOVS) > 0);
        assert_true(s->store.used_bytes - before <= 20 * 1024);
        scene_free(s);
}

static void a_partial_message_takes_no_more_memory_than_it_has_bytes(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct speaker *slow = speaker_come(s, 0), *fast = speaker_come(s, 1);

        (void)unused;
        stream_random(&slow->sent, &s->spec, 8 << 20);
        for (int i = 0; i < 500; i++) {
                speak(s, slow, 200000, 5000);
                stream_random(&fast->sent, &s->spec, 100);
                speak_all(s, fast);
                scene_read(s, SIZE_MAX);
                /* Room is asked for as if all of it could come at once, and given as it comes. */
                assert_true(s->store.used_bytes <= 2 * slow->said + 8 * IMAGE_SLAB_SIZE);
        }
        for (uint32_t slab = 0; slab < s->store.slabs; slab++)
                assert_true(s->store.slab[slab].committed <= IMAGE_SLAB_SIZE);
        scene_free(s);
}

static void a_writer_that_vanishes_takes_only_its_part_along(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct scene *s = scene_new(&k->spec);

                for (int round = 0; round < 16; round++) {
                        struct speaker *a = speaker_come(s, 0), *b = speaker_come(s, 1);
                        uint64_t large = k->largest < 200000 ? k->largest : 200000;

                        stream_random(&a->sent, &k->spec, large);
                        stream_random(&a->sent, &k->spec, large);
                        stream_random(&b->sent, &k->spec, large / 2 + k->smallest);
                        speak(s, a, 1 << 20, random_below(a->sent.size));
                        if (round % 3)
                                speak(s, b, 1 << 20, random_below(b->sent.size));
                        speak(s, a, 1 << 20, random_below(a->sent.size));
                        if (round % 2)
                                speak(s, b, 1 << 20, random_below(b->sent.size));
                        speaker_go(a);
                        speak_all(s, b);
                        speaker_go(b);
                        scene_read(s, SIZE_MAX);
                        assert_true(s->store.used_bytes <= 8 * IMAGE_SLAB_SIZE);
                }
                scene_free(s);
        }
}

/* Not only is it told: what it was comes to nobody else's bytes. */
static void a_message_too_large_costs_its_writer_alone(void **unused)
{
        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct frame_spec spec = k->spec;
                struct scene *s;
                uint64_t largest = k->largest - 1 < 150000 ? k->largest - 1 : 150000;

                spec.max_message_size = largest;
                s = scene_new(&spec);
                for (int round = 0; round < 3; round++) {
                        struct speaker *bad = speaker_come(s, 0), *good = speaker_come(s, 1);
                        enum frame_result result = FRAME_MORE;

                        stream_random(&bad->sent, &spec, k->smallest);
                        stream_random(&bad->sent, &spec, largest + 1);
                        while (result == FRAME_MORE) {
                                struct iovec iov[1];
                                size_t n = (size_t)turn_room(&bad->writer, 1 + random_below(100000),
                                                             iov, 1);

                                assert_int_equal(n, 1);
                                n = bad->sent.size - bad->said;
                                n = iov[0].iov_len < n ? iov[0].iov_len : n;
                                assert_true(n > 0);
                                memcpy(iov[0].iov_base, bad->sent.bytes + bad->said, n);
                                bad->said += n;
                                result = take(s, bad, n).result;
                                check_peek(bad);
                                stream_random(&good->sent, &spec,
                                              k->smallest + random_below(largest));
                                speak(s, good, 100000, random_below(good->sent.size));
                        }
                        assert_int_equal(result, FRAME_TOO_LARGE);
                        speaker_go(bad);
                        bad = speaker_come(s, 2);
                        for (int i = 0; i < 4; i++)
                                stream_random(&bad->sent, &spec, largest);
                        speak_all(s, bad);
                        speaker_go(bad);
                        speak_all(s, good);
                        speaker_go(good);
                        scene_read(s, SIZE_MAX);
                        assert_true(s->store.used_bytes <= 8 * IMAGE_SLAB_SIZE);
                }
                scene_free(s);
        }
}

static void what_is_peeked_and_told_of_a_partial_message_is_so(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        struct speaker *a = speaker_come(s, 0), *b = speaker_come(s, 1);
        struct log_taken taken;
        struct iovec iov[4];

        (void)unused;
        stream_random(&a->sent, &s->spec, 100000);
        stream_random(&b->sent, &s->spec, 10);
        for (int i = 0; i < 5; i++) {
                assert_int_equal(turn_room(&a->writer, 50, iov, 1), 1);
                memcpy(iov[0].iov_base, a->sent.bytes + a->said, 3);
                a->said += 3;
                taken = take(s, a, 3);
                assert_int_equal(taken.result, FRAME_MORE);
                assert_int_equal(taken.total, a->said < 4 ? 0 : 100004);
                assert_int_equal(taken.declared, a->said < 4 ? 0 : 100000);
                speak(s, b, 50, 1);
        }
        speak_all(s, b);
        speak_all(s, a);
        scene_free(s);
}

static void origins_are_told_of_long_messages(void **unused)
{
        struct scene *s = scene_new(&frame_spec_default);
        uint64_t hint = 0;

        (void)unused;
        for (uint32_t i = 0; i < WRITERS; i++) {
                struct speaker *p = speaker_come(s, i);

                stream_random(&p->sent, &s->spec, 70000);
                speak(s, p, 1000, 1000);
        }
        for (uint32_t i = WRITERS; i-- > 0;)
                speak_all(s, &s->speaker[i]);
        for (uint32_t i = 0; i < WRITERS; i++) {
                const struct image_mark *mark = log_find_mark(&s->log, i * 70004u, &hint);

                assert_int_equal((uint32_t)mark->where, WRITERS - i);
        }
        scene_free(s);
}

/* ---- memory ---- */

/* With little memory, whoever asks waits or gives up; nobody else notices, nothing is torn. */
static void without_memory_only_the_one_that_asked_is_stopped(void **unused)
{
        size_t refused = 0, untaken = 0;

        (void)unused;
        for (const struct kind *k = kinds; k < kinds + n_kinds; k++) {
                struct scene *s = scene_new(&k->spec);

                for (int step = 0; step < 3000; step++) {
                        uint32_t slot = (uint32_t)random_below(WRITERS);
                        struct speaker *p = &s->speaker[slot];
                        struct iovec iov[IOVS];
                        size_t n = 0;
                        int rooms;

                        s->store.limit_bytes = random_below(40) * IMAGE_SLAB_SIZE / 4;
                        s->now += random_below(400);
                        if (!p->there)
                                p = speaker_come(s, slot);
                        while (p->sent.size - p->said < 100)
                                add_random(k, &p->sent, 200000);
                        rooms = turn_room(&p->writer, 1 + random_size(300000), iov, IOVS);
                        check_memory(&s->store, iov, rooms);
                        if (rooms == 0) {
                                refused++;
                                if (random_one_in(20))
                                        speaker_go(p);
                                else
                                        scene_read(s, random_size(1 << 20));
                                continue;
                        }
                        for (int i = 0; i < rooms; i++) {
                                size_t part = p->sent.size - p->said - n;

                                part = iov[i].iov_len < part ? iov[i].iov_len : part;
                                memcpy(iov[i].iov_base, p->sent.bytes + p->said + n, part);
                                n += part;
                        }
                        p->said += n;
                        for (bool again = take(s, p, n).no_memory; again;
                             again = take(s, p, 0).no_memory) {
                                untaken++;
                                if (random_one_in(3)) {
                                        speaker_go(p);
                                        break;
                                }
                                if (random_one_in(2))
                                        s->store.limit_bytes = UINT64_MAX;
                                scene_read(s, SIZE_MAX);
                        }
                        if (p->there)
                                check_peek(p);
                }
                s->store.limit_bytes = UINT64_MAX;
                scene_free(s);
        }
        assert_true(refused > 100);
        assert_true(untaken > 10);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_of_many_writers_go_in_whole_in_any_schedule),
                cmocka_unit_test(every_cut_between_two_writers_is_mended),
                cmocka_unit_test(large_messages_drip_in_while_others_speak),
                cmocka_unit_test(a_delimiter_across_the_slabs_of_a_message_set_aside_is_found),
                cmocka_unit_test(a_long_line_set_aside_is_searched_once),
                cmocka_unit_test(room_for_a_message_set_aside_grows_with_what_arrived),
                cmocka_unit_test(a_partial_message_takes_no_more_memory_than_it_has_bytes),
                cmocka_unit_test(a_writer_that_vanishes_takes_only_its_part_along),
                cmocka_unit_test(a_message_too_large_costs_its_writer_alone),
                cmocka_unit_test(what_is_peeked_and_told_of_a_partial_message_is_so),
                cmocka_unit_test(origins_are_told_of_long_messages),
                cmocka_unit_test(without_memory_only_the_one_that_asked_is_stopped),
        };

        random_start("turn");
        return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
