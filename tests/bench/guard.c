/* SPDX-License-Identifier: MIT */
/*
 * guard WORK: a fixed workload through the layers below the edge, in memory only, in the steps and
 * the sizes in which the edge takes them. It measures nothing itself: its instructions are counted
 * from outside, in guard_measure() and what it calls. Prints how many messages that handled.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "flow/ledger.h"
#include "flow/spread.h"
#include "flow/turn.h"
#include "store/cursor.h"
#include "store/histogram.h"
#include "store/log.h"
#include "store/store.h"

enum {
        READ_SIZE = 256 * 1024,
        WRITE_SIZE = 1024 * 1024,
        READ_IOV = 5,
        WRITE_IOV = 20,
        CLIENTS = 16,
        WARM = 4,                /* turns before those that are counted */
        MIXED_SIZE = 60 * 1000,  /* a read that ends within a message of 64 bytes */
        ASK_BYTES = 1024 * 1024, /* written between two looks at what is acknowledged */
        PATTERN = READ_SIZE + 4096,
        MAPPED = 1024 * 1024 * 1024,
};

struct work {
        const char *name;
        size_t size;      /* of a message, with its length field */
        unsigned readers; /* down; or: */
        unsigned writers; /* up */
        size_t read;      /* bytes of a read */
        unsigned turns;
};

static const struct work works[] = {
        {"down-64", 64, 1, 0, READ_SIZE, 64},
        {"down-4k", 4096, 1, 0, READ_SIZE, 512},
        {"fanout-64-to-16", 64, 16, 0, READ_SIZE, 64},
        {"each-64-to-16", 64, 16, 0, 64, 4096},
        {"up-64", 64, 0, 1, READ_SIZE, 64},
        {"up-4k", 4096, 0, 1, READ_SIZE, 512},
        {"up-64-from-4", 64, 0, 4, MIXED_SIZE, 64},
        {"echo-64", 64, 1, 1, 64, 4096},
};

static struct machine {
        const struct work *work;
        struct store store;
        struct log in, out;
        struct turn turn;
        struct ledger ledger;
        struct spread spread;
        struct client {
                struct reader reader;
                struct writer writer;
                size_t at; /* in the pattern */
        } client[CLIENTS];
        size_t at;
        uint64_t now, asked, messages;
        char pattern[PATTERN];
} m;

/* Linked in place of mmap(): the image reserves 64 GiB of addresses, more than there are under
 * valgrind, and this work touches the first of them only. */
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
        return __real_mmap(at, size < MAPPED ? size : MAPPED, prot, flags, fd, offset);
}

/* As many equal messages as fit, and the beginning of one more. */
static void pattern_init(size_t size)
{
        for (size_t at = 0; at < sizeof(m.pattern); at++)
                m.pattern[at] = (char)(at % size);
        for (size_t at = 0; at + 4 <= sizeof(m.pattern); at += size)
                memcpy(m.pattern + at,
                       (unsigned char[]){0, 0, (unsigned char)((size - 4) >> 8),
                                         (unsigned char)(size - 4)},
                       4);
}

/* What a read does. Returns how many bytes it got. */
static size_t receive(const struct iovec *iov, int n, size_t want, size_t *at)
{
        size_t got = 0;

        for (int i = 0; i < n && got < want; i++) {
                size_t size = iov[i].iov_len < want - got ? iov[i].iov_len : want - got;

                memcpy(iov[i].iov_base, m.pattern + *at % m.work->size + got, size);
                got += size;
        }
        *at += got;
        return got;
}

static size_t bytes_of(const struct iovec *iov, int n)
{
        size_t sum = 0;

        for (int i = 0; i < n; i++)
                sum += iov[i].iov_len;
        return sum;
}

/* Heartbeats, the empty message, are asked about; there are none. */
static bool is_heartbeat(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        (void)context, (void)slab, (void)pos, (void)size;
        return true;
}

static void deliver(struct reader *reader)
{
        struct iovec iov[WRITE_IOV];
        int n;

        while ((n = cursor_gather(&reader->cursor, WRITE_SIZE, iov, WRITE_IOV)) > 0) {
                store_set(&reader->image->sending, 1);
                store_begin(&m.store);
                store_put(&m.store, &reader->image->sending, 0);
                cursor_tell_waits(&reader->cursor, bytes_of(iov, n), m.now,
                                  &m.store.image->latency[LATENCY_TO_CLIENTS]);
                reader_advance(reader, bytes_of(iov, n));
                store_commit(&m.store);
        }
}

static void down(void)
{
        const struct log_filter filter = {{0, 0}, is_heartbeat, NULL, 0};
        struct image_session *session = &m.store.image->session;
        struct iovec iov[READ_IOV];
        int n = log_room(&m.in, session->rx_base + session->rx_read, READ_SIZE, iov, READ_IOV);
        struct log_taken taken;

        store_set(&session->rx_read, session->rx_read + receive(iov, n, m.work->read, &m.at));
        taken = log_take(&m.in, &session->rx_base, session->rx_read, &filter, m.now, 0);
        if (!taken.messages || taken.result != FRAME_MORE)
                errx(1, "what came is not taken");
        m.messages += taken.messages;
        spread_taken(&m.spread);
        for (unsigned i = 0; i < m.work->readers; i++)
                deliver(&m.client[i].reader);
}

static void up(void)
{
        struct iovec iov[WRITE_IOV];
        int n;

        for (unsigned i = 0; i < m.work->writers; i++) {
                struct client *client = &m.client[i];
                size_t got = receive(iov, turn_room(&client->writer, READ_SIZE, iov, READ_IOV),
                                     m.work->read, &client->at);
                struct log_taken taken = turn_take(&client->writer, got, m.now);

                if (!taken.messages || taken.result != FRAME_MORE)
                        errx(1, "what a client sent is not taken");
                m.messages += taken.messages;
        }
        while ((n = ledger_gather(&m.ledger, WRITE_SIZE, false, iov, WRITE_IOV)) > 0) {
                ledger_tell_waits(&m.ledger, bytes_of(iov, n), m.now);
                ledger_sent(&m.ledger, bytes_of(iov, n));
        }
        if (m.ledger.image->written - m.asked >= ASK_BYTES) {
                m.asked = m.ledger.image->written;
                ledger_acked(&m.ledger, m.asked);
        }
}

static void machine_init(const struct work *work)
{
        struct image *image;

        m.work = work;
        m.now = 1000000;
        pattern_init(work->size);
        if (store_init(&m.store) != 0 || !store_client_ready(&m.store, CLIENTS))
                errx(1, "no memory");
        image = m.store.image;
        log_init(&m.in, &m.store, &image->in, &frame_spec_default);
        log_init(&m.out, &m.store, &image->out, &frame_spec_default);
        turn_init(&m.turn, &m.out, &image->turn);
        ledger_init(&m.ledger, &m.out, false);
        spread_init(&m.spread, &m.in);
        ledger_begin(&m.ledger, 0, LEDGER_HEARD);
        for (unsigned i = 0; i < CLIENTS; i++) {
                image->client[i].id = i + 1;
                writer_init(&m.client[i].writer, &m.turn, i);
                if (i >= work->readers)
                        continue;
                if (!spread_room(&m.spread))
                        errx(1, "no memory");
                store_begin(&m.store);
                reader_join(&m.client[i].reader, &m.spread, &image->client[i]);
                store_commit(&m.store);
        }
}

static void run(unsigned turns)
{
        for (unsigned i = 0; i < turns; i++, m.now += 100) {
                if (m.work->readers)
                        down();
                if (m.work->writers)
                        up();
        }
}

/* Its name is what the counting looks for. */
__attribute__((noinline)) void guard_measure(unsigned turns);

void guard_measure(unsigned turns)
{
        run(turns);
}

int main(int argc, char **argv)
{
        for (size_t i = 0; argc == 2 && i < sizeof(works) / sizeof(*works); i++) {
                if (strcmp(argv[1], works[i].name) != 0)
                        continue;
                machine_init(&works[i]);
                run(WARM);
                m.messages = 0;
                guard_measure(works[i].turns);
                printf("%llu\n", (unsigned long long)m.messages);
                return 0;
        }
        fprintf(stderr, "usage: guard WORK; works:");
        for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++)
                fprintf(stderr, " %s", works[i].name);
        fprintf(stderr, "\n");
        return 2;
}
