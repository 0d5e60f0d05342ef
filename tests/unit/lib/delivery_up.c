/* SPDX-License-Identifier: MIT */
/* From the clients to the peer, over connections that are lost at any byte. */
#include <string.h>

#include "delivery.h"

static struct sent *sent_at(uint32_t i)
{
        must(room.n_up - i <= RING, "a message waits for longer than the test remembers");
        return &room.up[i % RING];
}

static struct count one(const struct sent *s)
{
        return (struct count){1, s->letter.size};
}

static void set_fate(struct sent *s, enum fate fate)
{
        room.fates[s->fate] = count_sub(room.fates[s->fate], one(s));
        s->fate = fate;
        room.fates[fate] = count_add(room.fates[fate], one(s));
}

static void forget(void)
{
        while (room.first < room.n_up && sent_at(room.first)->fate != QUEUED)
                room.first++;
}

/* ---- clients ---- */

/* It is whole: accepted, or dropped at once. Returns whether it is queued. */
static bool letter_is_whole(struct client *client)
{
        struct letter *letter = &client->now;
        bool queued = !room.turn.discard;

        client->accepted = count_add(client->accepted, (struct count){1, letter->size});
        if (queued) {
                struct sent *s = &room.up[room.n_up++ % RING];

                letter->pos = room.up_pos;
                letter->time = room.now;
                room.up_pos += letter->size;
                *s = (struct sent){.letter = *letter, .fate = QUEUED};
                room.fates[QUEUED] = count_add(room.fates[QUEUED], one(s));
        } else {
                room.link_down = count_add(room.link_down, (struct count){1, letter->size});
        }
        letter_make(letter, ++room.ids);
        client->off = 0;
        return queued;
}

void up_read(uint32_t i, uint64_t want)
{
        struct client *client = &room.client[i];
        struct iovec iov[4];
        struct log_taken taken;
        uint64_t queued = 0, got = 0;
        int n;

        if (!client->there || client->ended || room.fates[QUEUED].bytes >= room.up_size)
                return;
        n = turn_room(&client->writer, want, iov, 1 + (int)random_below(4));
        must(n > 0, "no room for a client's bytes");
        for (int k = 0; k < n; k++)
                for (uint64_t at = 0; at < iov[k].iov_len;) {
                        uint64_t size = client->now.size - client->off;

                        if (size > iov[k].iov_len - at)
                                size = iov[k].iov_len - at;
                        letter_copy(&client->now, client->off,
                                    (unsigned char *)iov[k].iov_base + at, size);
                        client->off += size;
                        at += size;
                        got += size;
                        if (client->off == client->now.size)
                                queued += letter_is_whole(client);
                }
        taken = turn_take(&client->writer, got, room.now);
        must(taken.result == FRAME_MORE && !taken.no_memory, "a client's frame is refused");
        must(taken.messages == queued, "other messages are taken than a client sent");
}

/* ---- the connection ---- */

void up_begin(void)
{
        ledger_begin(&room.ledger, room.in.image->end, LEDGER_HEARD);
        room.live = true;
        room.turn.discard = false;
        room.written = room.transmitted = room.acked = room.left = 0;
        room.socket = 1 + random_below(random_one_in(2) ? 3000 : 200000);
        room.beats = room.beats_ahead = 0;
        room.acked_here = (struct count){0, 0};
        room.come = 0;
        letter_make(&room.coming, room.n_down);
        forget();
        room.next = room.first;
}

void up_beat(void)
{
        unsigned char frame[BEAT] = {0, 0, 0, BEAT - 4, 'B', (unsigned char)room.beats};
        struct iovec iov[2] = {{frame, 3}, {frame + 3, BEAT - 3}};

        if (!room.live || !ledger_inject(&room.ledger, iov, 2))
                return;
        room.beats++;
        room.beats_ahead++;
}

/* What must come at a boundary: a heartbeat that waits, else the next message that is queued. */
static void frame_begins(bool no_new)
{
        struct sent *s;

        if (room.beats_ahead) {
                unsigned char frame[BEAT] = {
                        0, 0, 0, BEAT - 4, 'B', (unsigned char)(room.beats - room.beats_ahead)};

                memcpy(room.frame, frame, BEAT);
                room.frame_size = room.left = BEAT;
                return;
        }
        must(!no_new, "a message is begun while none may be");
        while (room.next < room.n_up && sent_at(room.next)->fate != QUEUED)
                room.next++;
        must(room.next < room.n_up, "the peer gets more than there is");
        s = sent_at(room.next++);
        s->begun = room.half = true;
        room.frame_size = room.left = s->letter.size;
        letter_copy(&s->letter, 0, room.frame, s->letter.size);
}

static void frame_ends(void)
{
        struct sent *s;

        if (!room.half) {
                room.beats_ahead--;
                return;
        }
        s = sent_at(room.next - 1);
        room.half = false;
        s->whole = true;
        s->end = room.written;
        room.sent = count_add(room.sent, one(s));
        room.unacked = count_add(room.unacked, one(s));
        if (s->begun_before)
                room.resent = count_add(room.resent, one(s));
}

static void bytes_go(const unsigned char *bytes, uint64_t size, bool no_new)
{
        while (size) {
                uint64_t n;

                if (!room.left)
                        frame_begins(no_new);
                n = room.left < size ? room.left : size;
                must(memcmp(bytes, room.frame + room.frame_size - room.left, n) == 0,
                     "the peer gets other bytes than it must");
                room.left -= n;
                room.written += n;
                bytes += n;
                size -= n;
                if (!room.left)
                        frame_ends();
        }
}

uint64_t up_write(uint64_t limit, bool no_new, bool all)
{
        struct iovec iov[4];
        uint64_t sum = 0, went, left;
        int n;

        if (!room.live)
                return 0;
        n = ledger_gather(&room.ledger, limit, no_new, iov, 1 + (int)random_below(4));
        for (int i = 0; i < n; i++)
                sum += iov[i].iov_len;
        must(sum <= limit, "more is to be written than was asked for");
        went = all || random_one_in(2) ? sum : random_below(sum + 1);
        if (went > room.socket - (room.written - room.acked))
                went = room.socket - (room.written - room.acked);
        left = went;
        for (int i = 0; i < n && left; i++) {
                uint64_t size = iov[i].iov_len < left ? iov[i].iov_len : left;

                bytes_go(iov[i].iov_base, size, no_new);
                left -= size;
        }
        if (went)
                ledger_sent(&room.ledger, went);
        return went;
}

static void take_acked(uint64_t acked)
{
        for (uint32_t i = room.first; i < room.next; i++) {
                struct sent *s = sent_at(i);

                if (s->fate != QUEUED)
                        continue;
                if (!s->whole || s->end > acked)
                        break;
                set_fate(s, DELIVERED);
                room.acked_here = count_add(room.acked_here, one(s));
                room.unacked = count_sub(room.unacked, one(s));
        }
        room.acked = acked;
        forget();
}

void up_acknowledge(uint64_t acked)
{
        if (room.transmitted < acked)
                room.transmitted = acked;
        ledger_acked(&room.ledger, acked);
        take_acked(acked);
}

void up_expire(uint64_t before)
{
        struct count is = ledger_expire(&room.ledger, before), should = {0, 0};

        for (uint32_t i = room.first; i < room.n_up; i++) {
                struct sent *s = sent_at(i);

                if (s->fate != QUEUED || s->begun || s->letter.time >= before)
                        continue;
                set_fate(s, EXPIRED);
                should = count_add(should, one(s));
                room.expired = i + 1;
        }
        must_be(is, should, "other messages are too old");
        forget();
}

/* What this connection made of a message that it had begun. */
static void settle(struct sent *s, struct ledger_end *should)
{
        bool there = s->whole && s->end <= room.transmitted;
        struct count *class = there ? &should->unacked : &should->unsent;

        if (s->fate == QUEUED && s->begun) {
                *class = count_add(*class, one(s));
                s->begun_before = true;
                if (room.resend == RESEND_NONE || (room.resend == RESEND_UNSENT && there)) {
                        set_fate(s, NOT_RESENT);
                        should->dropped = count_add(should->dropped, one(s));
                }
        }
        s->begun = s->whole = false;
}

/* Lost at whatever was acknowledged and transmitted; of a message that was cut off, nothing was
 * ever taken. */
void up_end(void)
{
        struct ledger_end is = ledger_end(&room.ledger, room.acked, room.transmitted, room.resend);
        struct ledger_end should = {.acked = room.acked_here};

        for (uint32_t i = room.first; i < room.n_up; i++)
                settle(sent_at(i), &should);
        for (uint32_t i = room.first; i < room.expired; i++) {
                if (sent_at(i)->fate != QUEUED)
                        continue; /* what stands behind one that is too old is younger */
                set_fate(sent_at(i), EXPIRED);
                should.dropped = count_add(should.dropped, one(sent_at(i)));
        }
        must_be(is.acked, should.acked, "acknowledged");
        must_be(is.unacked, should.unacked, "unacked");
        must_be(is.unsent, should.unsent, "unsent");
        must_be(is.dropped, should.dropped, "not to be sent again");
        room.live = room.half = false;
        room.turn.discard = room.discard;
        room.unacked = (struct count){0, 0};
        forget();
        room.next = room.first;
}

/* ---- the truth ---- */

void up_check(void)
{
        struct books books = {0};

        ledger_books(&room.ledger, &books);
        must(books_balance(&books), "the books to the peer do not balance");
        must_be(books.accepted, count_add((struct count){room.n_up, room.up_pos}, room.link_down),
                "accepted");
        must_be(books.delivered, room.fates[DELIVERED], "delivered to the peer");
        must_be(books.queued, room.fates[QUEUED], "queued for the peer");
        must_be(books.dropped[DROP_EXPIRED], room.fates[EXPIRED], "expired");
        must_be(books.dropped[DROP_NOT_RESENT], room.fates[NOT_RESENT], "not_resent");
        must_be(books.dropped[DROP_LINK_DOWN], room.link_down, "link_down");
        must_be(ledger_sent_count(&room.ledger), room.sent, "sent");
        must_be(ledger_resent_count(&room.ledger), room.resent, "resent");
        must_be(ledger_unacked(&room.ledger, UINT64_MAX), room.unacked, "not acknowledged");
        must(ledger_in_message(&room.ledger) == (room.live && room.half), "half written");
        for (uint32_t i = 0; i < LISTENERS; i++) {
                const struct client *client = &room.client[i];
                const struct image_client *image = &room.store.image->client[i];

                if (!client->there)
                        continue;
                must_be((struct count){image->accepted_messages, image->accepted_bytes},
                        client->accepted, "accepted from a client");
                must(writer_partial(&client->writer) == client->off, "a partial message");
        }
}
