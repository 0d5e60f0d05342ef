/* SPDX-License-Identifier: MIT */
/* From the peer to the readers: a stream with heartbeats in it, cut anywhere. */
#include <string.h>

#include "delivery.h"

static const unsigned char heartbeat[BEAT] = {0, 0, 0, BEAT - 4, 'h', 'b'};

static bool is_heartbeat(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        unsigned char bytes[BEAT];

        (void)context;
        must(size == BEAT, "the filter is asked about a frame of another size");
        log_copy(&room.in, slab, pos, bytes, size);
        return memcmp(bytes, heartbeat, BEAT) == 0;
}

/* What comes behind the frame that is under way: cut off, it never comes. */
static void next_frame(void)
{
        room.come = 0;
        room.beat_comes = random_one_in(12);
        letter_make(&room.coming, room.n_down);
}

static void frame_came(void)
{
        if (!room.beat_comes) {
                room.coming.pos = room.down_pos;
                room.coming.time = room.now;
                room.down[room.n_down++ % RING] = room.coming;
                room.down_pos += room.coming.size;
        }
        next_frame();
}

static void fill(unsigned char *to, uint64_t size)
{
        while (size) {
                uint64_t total = room.beat_comes ? BEAT : room.coming.size;
                uint64_t n = total - room.come < size ? total - room.come : size;

                if (room.beat_comes)
                        memcpy(to, heartbeat + room.come, n);
                else
                        letter_copy(&room.coming, room.come, to, n);
                room.come += n;
                to += n;
                size -= n;
                if (room.come == total)
                        frame_came();
        }
}

void down_read(uint64_t want)
{
        struct image_session *session = &room.store.image->session;
        const struct log_filter filter = {{BEAT - 4, BEAT - 4}, is_heartbeat, NULL, 0};
        uint32_t before = room.n_down;
        struct log_taken taken;
        struct iovec iov[4];
        uint64_t got = 0;
        int n;

        if (!room.live || down_paused())
                return;
        n = log_room(&room.in, session->rx_base + session->rx_read, want, iov,
                     1 + (int)random_below(4));
        must(n > 0, "no room for the peer's bytes");
        for (int i = 0; i < n; i++) {
                uint64_t k = random_one_in(4) ? random_below(iov[i].iov_len + 1) : iov[i].iov_len;

                fill(iov[i].iov_base, k);
                got += k;
                if (k < iov[i].iov_len)
                        break;
        }
        store_set(&session->rx_read, session->rx_read + got);
        taken = log_take(&room.in, &session->rx_base, session->rx_read, &filter, room.now, 0);
        must(taken.result == FRAME_MORE && !taken.no_memory, "a frame of the peer is refused");
        must(taken.messages == room.n_down - before, "other messages are taken than came");
        must(room.in.image->end == room.down_pos, "the log ends elsewhere");
        spread_taken(&room.spread);
        room.audience.end = room.n_down;
        audience_taken(&room.audience);
        for (uint32_t i = 0; i < LISTENERS; i++)
                if (room.slow == DROP)
                        down_shorten(i);
}

/* ---- readers ---- */

bool down_is_beyond(uint32_t i)
{
        const struct listener *l = &room.audience.all[i];

        return l->role != READER_NONE && listener_waiting(&room.audience, l) > room.queue_size &&
               listener_queued(&room.audience, l).messages > 1;
}

bool down_paused(void)
{
        if (room.slow == DROP)
                return false;
        for (uint32_t i = 0; i < LISTENERS; i++)
                if (down_is_beyond(i))
                        return true;
        return false;
}

void down_shorten(uint32_t i)
{
        if (down_is_beyond(i))
                must_be(reader_shorten(&room.client[i].reader, room.queue_size),
                        audience_shorten(&room.audience, i, room.queue_size),
                        "shortening tells another number");
}

void down_join(uint32_t i)
{
        room.client[i].came = room.store.image->client[i].id;
        must(spread_room(&room.spread), "no memory");
        store_begin(&room.store);
        reader_join(&room.client[i].reader, &room.spread, &room.store.image->client[i]);
        store_commit(&room.store);
        audience_join(&room.audience, i);
}

void down_done(uint32_t i, enum drop_reason reason)
{
        if (room.audience.all[i].role == READER_NONE)
                return;
        must_be(reader_done(&room.client[i].reader, reason),
                audience_done(&room.audience, i, reason),
                "the end of a reader drops another number");
}

void down_configure(bool balance, uint64_t backlog_size)
{
        spread_configure(&room.spread, balance, backlog_size, room.queue_size);
        audience_configure(&room.audience, balance, backlog_size, room.queue_size);
}

static void check_bytes(uint32_t i, const unsigned char *bytes, uint64_t size)
{
        while (size) {
                uint64_t off, n;
                uint32_t at = audience_next(&room.audience, i, &off);
                const struct letter *letter = &room.down[at % RING];

                must(at != NOBODY, "a reader gets more than there is for it");
                n = letter->size - off < size ? letter->size - off : size;
                must(letter_is(letter, off, bytes, n), "a reader gets other bytes than it must");
                audience_advance(&room.audience, i, n);
                bytes += n;
                size -= n;
        }
}

/* True if the listener came before all others that wait. */
static bool is_next(uint32_t i)
{
        for (uint32_t k = 0; k < LISTENERS; k++)
                if (room.audience.all[k].role == READER_WAITS &&
                    room.client[k].came < room.client[i].came)
                        return false;
        return true;
}

/* It takes some of what is held, and has it then. */
void down_trust(uint32_t i, uint64_t most)
{
        static unsigned char bytes[LARGEST];
        struct reader *reader = &room.client[i].reader;
        struct cursor *offer;
        uint64_t taken = 0;
        struct iovec iov[4];

        if (room.audience.all[i].role != READER_WAITS)
                return;
        must(reader_is_next(reader) == is_next(i), "another one is the next");
        offer = reader_offer(reader);
        must((offer != NULL) == (listener_waiting(&room.audience, &room.audience.backlog) > 0),
             "something is offered, or not");
        for (int k = 0, n = offer ? cursor_gather(offer, most, iov, 4) : 0; k < n; k++) {
                memcpy(bytes + taken, iov[k].iov_base, iov[k].iov_len);
                taken += iov[k].iov_len;
        }
        taken = taken && random_one_in(2) ? 1 + random_below(taken) : taken;
        reader_trust(reader, taken);
        audience_trust(&room.audience, i, 0);
        check_bytes(i, bytes, taken);
}

void down_write(uint32_t i, uint64_t limit, bool all)
{
        struct reader *reader = &room.client[i].reader;
        struct iovec iov[6];
        uint64_t sum = 0, went, left, off;
        int n;

        if (room.audience.all[i].role == READER_NONE)
                return;
        n = cursor_gather(&reader->cursor, limit, iov, 1 + (int)random_below(6));
        for (int k = 0; k < n; k++)
                sum += iov[k].iov_len;
        must(sum <= limit, "more is offered than was asked for");
        must((sum > 0) == (audience_next(&room.audience, i, &off) != NOBODY),
             "a reader has something waiting, or has not, and should not, or should");
        went = left = all || random_one_in(2) ? sum : random_below(sum + 1);
        for (int k = 0; k < n && left; k++) {
                uint64_t size = iov[k].iov_len < left ? iov[k].iov_len : left;

                check_bytes(i, iov[k].iov_base, size);
                left -= size;
        }
        store_begin(&room.store);
        if (went)
                reader_advance(reader, went);
        store_commit(&room.store);
}

/* ---- the truth ---- */

static void check_readers(void)
{
        const struct audience *a = &room.audience;
        const struct image *image = room.store.image;

        for (uint32_t i = 0; i < LISTENERS; i++) {
                must(room.client[i].reader.role == a->all[i].role, "a reader has another role");
                must(a->all[i].role == READER_NONE ||
                             listener_is(a, &a->all[i], image, &image->client[i].cursor),
                     "a reader has something else than it should");
        }
        must(a->has_backlog == image->spread.has_backlog, "something is held, or not");
        must(a->n || a->has_backlog || !room.in.image->data.head ||
                     slab_limit(&room.store, chain_head(&room.in.image->data)) >= room.down_pos,
             "what nobody reads is kept");
        must(!a->has_backlog || listener_is(a, &a->backlog, image, &image->spread.backlog),
             "something else is held than should be");
}

static void check_oldest(const struct books *books)
{
        const struct listener *l;
        const struct audience *a = &room.audience;
        uint64_t age = BOOKS_NONE, fullest = 0, limit = room.queue_size;

        for (uint32_t i = 0; (l = audience_each(&room.audience, &i));) {
                uint64_t bytes = listener_queued(a, l).bytes, is;
                uint64_t may = l == &a->backlog ? a->backlog_size : room.queue_size;

                if (bytes * limit > fullest * may) {
                        fullest = bytes;
                        limit = may;
                }
                if (!bytes)
                        continue;
                is = room.now - room.down[l->run[0].from % RING].time;
                age = age == BOOKS_NONE || is > age ? is : age;
        }
        must(books->fullest_bytes == fullest && books->limit_bytes == limit,
             "the fullest queue is another");
        must(books->oldest_usec == age, "the oldest message has another age");
}

void down_check(void)
{
        struct books books;

        spread_books(&room.spread, room.queue_size, room.now, &books);
        must(books_balance(&books), "the books to the clients do not balance");
        must_be(books.delivered, audience_delivered(&room.audience), "delivered to clients");
        must_be(books.queued, audience_queued(&room.audience), "queued for clients");
        for (int i = 0; i < DROP_REASONS; i++)
                must_be(books.dropped[i], room.audience.dropped[i],
                        drop_reason_name((enum drop_reason)i));
        check_oldest(&books);
        check_readers();
}
