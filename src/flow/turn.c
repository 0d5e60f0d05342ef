/* SPDX-License-Identifier: MIT */
#include "flow/turn.h"

#include <assert.h>
#include <string.h>

#include "core/books.h"

enum { ASIDE_LEAST = 16 * 1024 }; /* the least room for a message aside */

void turn_init(struct turn *turn, struct log *log, struct image_turn *image)
{
        *turn = (struct turn){.log = log, .image = image};
}

static bool is_aside(const struct writer *writer)
{
        return writer->image->aside.data.head != 0;
}

uint64_t writer_partial(const struct writer *writer)
{
        const struct turn *turn = writer->turn;

        if (is_aside(writer))
                return writer->image->rx_read - writer->image->aside.base;
        if (turn->holder == writer)
                return turn->image->base + writer->image->rx_read - turn->log->image->end;
        return 0;
}

/* Returns where the bytes of a slab aside end, counted from the start of the chain. */
static uint64_t aside_limit(const struct store *store, uint32_t slab)
{
        uint32_t next = slab_next(store, slab);

        return next == SLAB_NONE ? store->image->slab[slab].aside_pos + IMAGE_SLAB_SIZE
                                 : store->image->slab[next].aside_pos;
}

/* Copies from the slab in the chain aside, which is at or before the byte `from`. */
static void aside_copy(const struct writer *writer, uint32_t slab, uint64_t from, unsigned char *to,
                       size_t size)
{
        const struct store *store = writer->turn->log->store;

        for (; size; slab = slab_next(store, slab)) {
                uint64_t limit = aside_limit(store, slab), at = store->image->slab[slab].aside_pos,
                         n;

                if (from >= limit)
                        continue;
                n = limit - from < size ? limit - from : size;
                memcpy(to, slab_data(store, slab) + (from - at), n);
                to += n;
                from += n;
                size -= n;
        }
}

size_t writer_peek(const struct writer *writer, void *to, size_t size)
{
        const struct log *log = writer->turn->log;
        uint64_t partial = writer_partial(writer);

        if (size > partial)
                size = partial;
        if (!size)
                return 0;
        if (is_aside(writer))
                aside_copy(writer, chain_head(&writer->image->aside.data), 0, to, size);
        else
                log_copy(log, log->end_slab, log->image->end, to, size);
        return size;
}

/* Reads the size of the partial message from the header, if the header is whole. */
static void learn_size(struct writer *writer)
{
        const struct frame_spec *spec = writer->turn->log->spec;
        unsigned char header[FRAME_HEADER_MAX];
        size_t size = frame_header_size(spec);

        if (spec->type == FRAME_LENGTH && writer_peek(writer, header, size) == size)
                frame_measure(spec, header, &writer->total, &writer->declared);
}

void writer_init(struct writer *writer, struct turn *turn, uint32_t slot)
{
        *writer = (struct writer){
                .turn = turn, .image = &turn->log->store->image->client[slot], .slot = slot};
        if (turn->image->holder == slot + 1)
                turn->holder = writer;
        learn_size(writer);
}

/* ---- setting aside ---- */

static void put_turn(struct turn *turn, struct writer *holder, uint64_t base)
{
        struct store *store = turn->log->store;

        store_put(store, &turn->image->holder, holder ? holder->slot + 1 : 0);
        store_put(store, &turn->image->base, base);
        turn->holder = holder;
}

/* Moves the slabs of a large partial message, behind the slab of the log's end, from the log to the
 * chain aside. begun: bytes of the message in the slab of the end. */
static void move_slabs(struct writer *writer, uint64_t begun, uint64_t partial)
{
        struct log *log = writer->turn->log;
        struct store *store = log->store;
        uint32_t tail = slab_next(store, log->end_slab), last = tail;

        for (uint32_t slab = tail; slab != SLAB_NONE; slab = slab_next(store, slab)) {
                uint64_t at = begun + slab_pos(store, slab) - slab_pos(store, tail);

                if (at >= partial)
                        break;
                store->image->slab[slab].aside_pos = at;
                last = slab;
        }
        log_cut(log);
        slabs_free(store, slab_next(store, last));
        store_put(store, &store->image->slab[last].next, 0);
        chain_join(store, &writer->image->aside.data, tail, last);
}

/* Moves the partial message of the turn's holder aside. False: no memory. Part of a transaction. */
static bool move_partial(struct turn *turn, struct writer *writer, uint64_t partial)
{
        struct log *log = turn->log;
        struct store *store = log->store;
        uint64_t first;
        uint32_t slab;

        log->end_slab = log_seek(log, log->end_slab, log->image->end);
        first = slab_limit(store, log->end_slab) - log->image->end;
        if (partial <= IMAGE_SLAB_SIZE || first > partial)
                first = partial;
        slab = slab_new(store, first);
        if (slab == SLAB_NONE)
                return false;
        log_copy(log, log->end_slab, log->image->end, slab_data(store, slab), first);
        store_put(store, &writer->image->aside.base, writer->image->rx_read - partial);
        chain_append(store, &writer->image->aside.data, slab, 0);
        if (first < partial)
                move_slabs(writer, first, partial);
        log->scanned = log->image->end;
        writer->aside_scanned = partial;
        return true;
}

/*
 * Takes the turn from its holder, if any. The transaction has ended on return: the next writer
 * overwrites the bytes behind the end, and after a crash these must not count as the holder's.
 * False: no memory, and nothing has changed.
 */
static bool set_aside(struct turn *turn)
{
        struct writer *writer = turn->holder;
        struct store *store = turn->log->store;
        uint64_t partial = writer ? writer_partial(writer) : 0;
        bool done;

        assert(store->depth == 0);
        store_begin(store);
        done = !partial || move_partial(turn, writer, partial);
        if (done)
                put_turn(turn, NULL, 0);
        store_commit(store);
        return done;
}

/* ---- putting back ---- */

static bool copy_back(struct writer *writer, uint64_t partial)
{
        struct log *log = writer->turn->log;
        struct iovec iov[2];
        int n = log_room(log, log->image->end, partial, iov, 2);
        uint64_t at = 0;

        if (n == 0 || iov[0].iov_len + (n > 1 ? iov[1].iov_len : 0) < partial)
                return false;
        for (int i = 0; i < n; i++) {
                aside_copy(writer, chain_head(&writer->image->aside.data), at, iov[i].iov_base,
                           iov[i].iov_len);
                at += iov[i].iov_len;
        }
        slabs_free(log->store, chain_cut(log->store, &writer->image->aside.data, SLAB_NONE));
        return true;
}

static void join_back(struct writer *writer)
{
        struct log *log = writer->turn->log;
        struct store *store = log->store;
        uint32_t first = chain_head(&writer->image->aside.data),
                 last = chain_tail(&writer->image->aside.data);

        for (uint32_t slab = first; slab != SLAB_NONE; slab = slab_next(store, slab))
                store->image->slab[slab].pos = log->image->end + store->image->slab[slab].aside_pos;
        log->end_slab = log_seek(log, log->end_slab, log->image->end);
        slabs_free(store, log_cut(log));
        chain_cut(store, &writer->image->aside.data, SLAB_NONE);
        log_join(log, first, last);
}

/* Gives the turn, which is free, to the writer, and puts its partial message, if any, behind the
 * end. False: no memory. Part of a transaction. */
static bool take_turn(struct writer *writer)
{
        struct turn *turn = writer->turn;
        uint64_t partial = writer_partial(writer);
        uint64_t end = turn->log->image->end;
        uint64_t scanned = is_aside(writer) ? writer->aside_scanned : 0;

        if (partial > IMAGE_SLAB_SIZE)
                join_back(writer);
        else if (partial && !copy_back(writer, partial))
                return false;
        turn->log->scanned = end + scanned;
        put_turn(turn, writer, end + partial - writer->image->rx_read);
        return true;
}

/* ---- room ---- */

/* True if the partial message goes on growing aside. A message whose size is unknown or refused
 * goes back to the log, where log_take() judges the header. */
static bool stays_aside(const struct writer *writer)
{
        return is_aside(writer) && (writer->turn->log->spec->type == FRAME_DELIMITER ||
                                    writer->total > writer_partial(writer));
}

static int aside_room(struct writer *writer, size_t want, struct iovec *iov, int max)
{
        struct store *store = writer->turn->log->store;
        struct image_chain *chain = &writer->image->aside.data;
        uint64_t fill = writer_partial(writer);
        uint32_t slab = chain_tail(chain);
        int n = 0;

        while (store->image->slab[slab].aside_pos > fill)
                slab = store->slab[slab].prev; /* room that an earlier call made ready */
        while (want && n < max) {
                uint64_t from = fill - store->image->slab[slab].aside_pos;
                uint64_t room =
                        aside_limit(store, slab) - store->image->slab[slab].aside_pos - from;

                if (room > want)
                        room = want;
                if (room == 0) {
                        uint32_t more = slab_next(store, slab);

                        if (more == SLAB_NONE) {
                                more = slab_new(store,
                                                want < IMAGE_SLAB_SIZE ? want : IMAGE_SLAB_SIZE);
                                if (more == SLAB_NONE)
                                        return n;
                                chain_append(store, chain, more, fill);
                        }
                        slab = more;
                        continue;
                }
                if (!slab_commit(store, slab, from + room))
                        return n;
                iov[n++] = (struct iovec){slab_data(store, slab) + from, room};
                fill += room;
                want -= room;
        }
        return n;
}

int turn_room(struct writer *writer, size_t want, struct iovec *iov, int max)
{
        struct turn *turn = writer->turn;
        struct log *log = turn->log;
        bool aside = stays_aside(writer);
        uint64_t partial = writer_partial(writer), most = IMAGE_SLAB_SIZE;
        int n = 0;

        if (!aside && turn->holder != writer && !set_aside(turn))
                return 0;
        store_begin(log->store);
        if (aside) {
                /* Exactly the missing bytes: bytes of the next message would have to be copied. */
                if (log->spec->type == FRAME_LENGTH)
                        most = writer->total - partial;
                /* Memory grows with the bytes received, not with the length declared. */
                if (most > partial && most > ASIDE_LEAST)
                        most = partial > ASIDE_LEAST ? partial : ASIDE_LEAST;
                n = aside_room(writer, want < most ? want : most, iov, max);
        } else if (turn->holder == writer || take_turn(writer)) {
                n = log_room(log, log->image->end + writer_partial(writer), want, iov, max);
        }
        store_commit(log->store);
        return n;
}

/* ---- taking ---- */

/* Returns the slab aside with this byte, which is in `slab` or before. */
static uint32_t aside_before(const struct store *store, uint32_t slab, uint64_t byte)
{
        while (store->image->slab[slab].aside_pos > byte)
                slab = store->slab[slab].prev;
        return slab;
}

/* True if a delimiter ends in the chain aside, which has `fill` bytes. */
static bool aside_has_delimiter(struct writer *writer, uint64_t fill)
{
        const struct store *store = writer->turn->log->store;
        const struct frame_spec *spec = writer->turn->log->spec;

        if (fill >= spec->max_message_size + spec->delimiter_size)
                return true; /* too large: log_take() will say so */
        for (uint32_t slab = chain_tail(&writer->image->aside.data); slab != SLAB_NONE;
             slab = store->slab[slab].prev) {
                uint64_t at = store->image->slab[slab].aside_pos, limit = aside_limit(store, slab),
                         from;

                if (limit <= writer->aside_scanned)
                        break;
                if (limit > fill)
                        limit = fill;
                from = writer->aside_scanned > at ? writer->aside_scanned : at;
                for (; from < limit; from++) {
                        const unsigned char *hit =
                                memchr(slab_data(store, slab) + (from - at),
                                       spec->delimiter[spec->delimiter_size - 1], limit - from);
                        unsigned char bytes[FRAME_DELIMITER_MAX];
                        uint32_t size = spec->delimiter_size;

                        if (!hit)
                                break;
                        from = at + (uint64_t)(hit - slab_data(store, slab));
                        if (from + 1 < size)
                                continue;
                        if (from + 1 - size >= at)
                                memcpy(bytes, hit + 1 - size, size);
                        else
                                aside_copy(writer, aside_before(store, slab, from + 1 - size),
                                           from + 1 - size, bytes, size);
                        if (memcmp(bytes, spec->delimiter, size) == 0)
                                return true;
                }
        }
        writer->aside_scanned = fill;
        return false;
}

/* True if, with `bytes` more bytes, the message aside is whole and has to go to the log. */
static bool aside_is_whole(struct writer *writer, uint64_t bytes)
{
        uint64_t fill = writer_partial(writer) + bytes;

        if (!is_aside(writer))
                return false;
        return writer->turn->log->spec->type == FRAME_DELIMITER ? aside_has_delimiter(writer, fill)
                                                                : fill >= writer->total;
}

/* The drop() of a log_filter for turn.discard: leaves out and counts every message. */
static bool discard_frame(void *context, uint32_t slab, uint64_t pos, uint64_t size)
{
        struct writer *writer = context;
        struct store *store = writer->turn->log->store;
        uint64_t *dropped = store->image->totals.out_dropped[DROP_LINK_DOWN];

        (void)slab;
        (void)pos;
        store_add(store, &dropped[0], 1);
        store_add(store, &dropped[1], size);
        store_add(store, &writer->image->accepted_messages, 1);
        store_add(store, &writer->image->accepted_bytes, size);
        return true;
}

struct log_taken turn_take(struct writer *writer, uint64_t bytes, uint64_t now_usec)
{
        struct turn *turn = writer->turn;
        struct log *log = turn->log;
        struct log_taken taken = {
                .result = FRAME_MORE, .total = writer->total, .declared = writer->declared};
        const struct log_filter all = {{0, UINT64_MAX - 1}, discard_frame, writer, 0};
        uint64_t partial;
        bool whole = aside_is_whole(writer, bytes);

        taken.no_memory = whole && !set_aside(turn);
        store_begin(log->store);
        store_put(log->store, &writer->image->rx_read, writer->image->rx_read + bytes);
        if (whole && !taken.no_memory)
                taken.no_memory = !take_turn(writer);
        if (turn->holder == writer && !taken.no_memory) {
                taken = log_take(log, &turn->image->base, writer->image->rx_read,
                                 turn->discard ? &all : NULL, now_usec, writer->slot + 1);
                store_put(log->store, &writer->image->accepted_messages,
                          writer->image->accepted_messages + taken.messages);
                store_put(log->store, &writer->image->accepted_bytes,
                          writer->image->accepted_bytes + taken.bytes);
                writer->total = taken.total;
                writer->declared = taken.declared;
        }
        partial = writer_partial(writer);
        if (partial && partial <= bytes) /* the message began with these bytes */
                store_put(log->store, &writer->image->partial_since, now_usec);
        store_commit(log->store);
        return taken;
}

void writer_done(struct writer *writer)
{
        struct turn *turn = writer->turn;
        struct store *store = turn->log->store;

        store_begin(store);
        if (turn->holder == writer) {
                put_turn(turn, NULL, 0);
                slabs_free(store, log_cut(turn->log));
        }
        slabs_free(store, chain_cut(store, &writer->image->aside.data, SLAB_NONE));
        store_commit(store);
}
