/* SPDX-License-Identifier: MIT */
#include "store/log_internal.h"

#include <assert.h>
#include <string.h>

#include "store/marks.h"

enum { PASS_MOST = IMAGE_UNDO / 4 }; /* slabs freed in one transaction */

void log_init(struct log *log, struct store *store, struct image_log *image,
              const struct frame_spec *spec)
{
        *log = (struct log){.store = store,
                            .image = image,
                            .spec = spec,
                            .open_slab = SLAB_NONE,
                            .scanned = image->end,
                            .left = UINT64_MAX};
        log->end_slab = log_seek(log, SLAB_NONE, image->end);
        log->fill_slab = log->end_slab;
}

uint32_t log_seek(const struct log *log, uint32_t slab, uint64_t pos)
{
        if (slab == SLAB_NONE)
                slab = chain_head(&log->image->data);
        while (slab != SLAB_NONE && pos >= slab_limit(log->store, slab)) {
                uint32_t next = slab_next(log->store, slab);

                if (next == SLAB_NONE)
                        break;
                slab = next;
        }
        return slab;
}

/* Appends a new slab to the chain; an empty chain gets its first slab at the end of the log. */
static bool attach(struct log *log)
{
        struct image_chain *data = &log->image->data;
        uint32_t tail = chain_tail(data), slab = slab_new(log->store, IMAGE_SLAB_SIZE);

        if (slab == SLAB_NONE)
                return false;
        chain_append(log->store, data, slab,
                     tail == SLAB_NONE ? log->image->end
                                       : slab_pos(log->store, tail) + IMAGE_SLAB_SIZE);
        if (tail == SLAB_NONE)
                log->end_slab = slab;
        return true;
}

bool log_ready(struct log *log)
{
        return log->end_slab != SLAB_NONE || attach(log);
}

int log_room(struct log *log, uint64_t fill, size_t want, struct iovec *iov, int max)
{
        struct store *store = log->store;
        uint32_t slab;
        int n = 0;

        if (!log_ready(log))
                return 0;
        if (log->fill_slab == SLAB_NONE || slab_pos(store, log->fill_slab) > fill)
                log->fill_slab = log->end_slab;
        slab = log->fill_slab = log_seek(log, log->fill_slab, fill);
        while (want && n < max) {
                uint64_t from = fill - slab_pos(store, slab), room = slab_limit(store, slab) - fill;

                if (room == 0) {
                        if (slab_next(store, slab) == SLAB_NONE && !attach(log))
                                break;
                        slab = slab_next(store, slab);
                        continue;
                }
                if (room > want)
                        room = want;
                /* A slab that joined the log with a partial message may have less memory. */
                if (!slab_commit(store, slab, from + room))
                        break;
                iov[n++] = (struct iovec){slab_data(store, slab) + from, room};
                fill += room;
                want -= room;
        }
        return n;
}

void log_copy(const struct log *log, uint32_t slab, uint64_t pos, void *to, size_t size)
{
        unsigned char *p = to;

        while (size) {
                uint64_t n, at;

                slab = log_seek(log, slab, pos);
                at = slab_pos(log->store, slab);
                n = slab_limit(log->store, slab) - pos;
                if (n > size)
                        n = size;
                memcpy(p, slab_data(log->store, slab) + (pos - at), n);
                p += n;
                pos += n;
                size -= n;
        }
}

bool log_is_same(const struct log *log, uint32_t slab, uint64_t pos, const void *bytes, size_t size)
{
        const unsigned char *p = bytes;
        bool same = true;

        while (size && same) {
                uint64_t n, at;

                slab = log_seek(log, slab, pos);
                at = slab_pos(log->store, slab);
                n = slab_limit(log->store, slab) - pos;
                if (n > size)
                        n = size;
                same = memcmp(slab_data(log->store, slab) + (pos - at), p, n) == 0;
                p += n;
                pos += n;
                size -= n;
        }
        return same;
}

void log_write(const struct log *log, uint32_t slab, uint64_t pos, const void *from, size_t size)
{
        const unsigned char *p = from;

        while (size) {
                uint64_t n;

                slab = log_seek(log, slab, pos);
                n = slab_limit(log->store, slab) - pos;
                if (n > size)
                        n = size;
                memcpy(slab_data(log->store, slab) + (pos - slab_pos(log->store, slab)), p, n);
                p += n;
                pos += n;
                size -= n;
        }
}

int log_gather(const struct log *log, uint32_t *slab, uint64_t pos, uint64_t to, size_t limit,
               struct iovec *iov, int max)
{
        int n = 0;

        if (to - pos > limit)
                to = pos + limit;
        *slab = log_seek(log, *slab, pos);
        for (uint32_t s = *slab; pos < to && n < max; s = slab_next(log->store, s)) {
                uint64_t at = slab_pos(log->store, s), end = slab_limit(log->store, s);

                if (end > to)
                        end = to;
                if (end > pos)
                        iov[n++] = (struct iovec){slab_data(log->store, s) + (pos - at), end - pos};
                pos = end > pos ? end : pos;
        }
        return n;
}

/* ---- slabs ---- */

void log_drop(struct log *log, uint32_t slab)
{
        chain_remove(log->store, &log->image->data, slab);
        slab_free(log->store, slab);
        if (log->fill_slab == slab)
                log->fill_slab = log->end_slab;
}

bool log_may_drop(const struct log *log, uint32_t slab)
{
        const struct store *store = log->store;
        uint32_t prev = store->slab[slab].prev;

        return (log->open_slab == SLAB_NONE ||
                slab_pos(store, slab) < slab_pos(store, log->open_slab)) &&
               slab != log->end_slab && slab_pos(store, slab) < log->image->end &&
               slab_pos(store, prev) + IMAGE_SLAB_SIZE <= slab_pos(store, slab);
}

void log_pin(struct log *log, uint32_t slab)
{
        if (slab != SLAB_NONE)
                log->store->slab[slab].refs++;
}

void log_unpin(struct log *log, uint32_t slab)
{
        if (slab == SLAB_NONE)
                return;
        assert(log->store->slab[slab].refs > 0);
        if (--log->store->slab[slab].refs)
                return;
        if (slab == log->end_slab)
                log->left = log->image->end;
        if (!log->store->slab[chain_head(&log->image->data)].refs)
                log_trim(log);
        else if (log_may_drop(log, slab))
                log_drop(log, slab);
}

/* True if `slab` is `other` or before it in the chain. Slabs that lost all their bytes to a filter
 * have the position of the next slab. */
static bool is_before(const struct store *store, uint32_t slab, uint32_t other)
{
        while (slab != SLAB_NONE && slab != other &&
               slab_pos(store, slab) == slab_pos(store, other))
                slab = slab_next(store, slab);
        return slab == other ||
               (slab != SLAB_NONE && slab_pos(store, slab) < slab_pos(store, other));
}

void log_open(struct log *log, uint32_t slab)
{
        log_pin(log, slab);
        log->open++;
        log->store->slab[slab].opens++;
        if (log->open_slab == SLAB_NONE || is_before(log->store, slab, log->open_slab))
                log->open_slab = slab;
}

/* Frees slabs without readers between `slab`, which the last open cursor left, and the next slab
 * with an open cursor. */
static void pass(struct log *log, uint32_t slab)
{
        struct store *store = log->store;
        uint32_t to = slab;

        while (to != SLAB_NONE && !store->slab[to].opens)
                to = slab_next(store, to);
        log->open_slab = to;
        if (slab == chain_head(&log->image->data) && store->slab[slab].refs == 1)
                return; /* log_trim() frees the slabs, all at once */
        slab = slab_next(store, slab);
        for (unsigned n = 0; slab != to && n < PASS_MOST; n++) {
                uint32_t next = slab_next(store, slab);

                if (!store->slab[slab].refs && log_may_drop(log, slab))
                        log_drop(log, slab);
                slab = next;
        }
}

void log_shut(struct log *log, uint32_t slab)
{
        assert(log->open > 0 && log->store->slab[slab].opens > 0);
        log->open--;
        if (!--log->store->slab[slab].opens && slab == log->open_slab)
                pass(log, slab);
        log_unpin(log, slab);
}

void log_trim(struct log *log)
{
        struct image_chain *data = &log->image->data;
        uint32_t keep = chain_head(data);

        if (keep == SLAB_NONE || keep == log->end_slab || log->store->slab[keep].refs)
                return;
        /* The undo list gets the same words for any number of slabs. */
        store_begin(log->store);
        while (keep != log->end_slab && !log->store->slab[keep].refs) {
                uint32_t next = slab_next(log->store, keep);

                if (log->fill_slab == keep)
                        log->fill_slab = log->end_slab;
                slab_free(log->store, keep);
                keep = next;
        }
        chain_behead(log->store, data, keep);
        marks_trim(log, slab_pos(log->store, keep));
        store_commit(log->store);
}

uint32_t log_cut(struct log *log)
{
        if (log->end_slab == SLAB_NONE)
                return SLAB_NONE;
        log->fill_slab = log->end_slab;
        log->scanned = log->image->end;
        return chain_cut(log->store, &log->image->data, log->end_slab);
}

void log_join(struct log *log, uint32_t first, uint32_t last)
{
        chain_join(log->store, &log->image->data, first, last);
        if (log->end_slab == SLAB_NONE)
                log->end_slab = first;
        log->fill_slab = log->end_slab;
        log->scanned = log->image->end;
}
