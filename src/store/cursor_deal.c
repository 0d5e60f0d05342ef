/* SPDX-License-Identifier: MIT */
/* Messages given to a cursor, and messages dropped from a cursor unread. */
#include "store/cursor_internal.h"

#include <assert.h>
#include <errno.h>

/* ---- giving ---- */

/* Pins the slabs that [from, to) needs beyond the slabs of a range that ends at `from`. */
static void pin_range(struct cursor *cursor, uint64_t from, uint64_t to)
{
        const struct store *store = cursor->log->store;
        uint32_t slab = cursor_pin_for(cursor, from), prev;

        if (slab_pos(store, slab) < from)
                slab = slab_next(store, slab);
        else /* slabs that lost all their bytes to a filter stand at the same position */
                while ((prev = store->slab[slab].prev) != SLAB_NONE &&
                       slab_pos(store, prev) == from)
                        slab = prev;
        cursor_range_pin(cursor, slab, to, true);
}

/* Adds an extent behind the extent `prev` (0: in front). Returns its number plus one, or 0 without
 * memory. */
static uint64_t extent_insert(struct cursor *cursor, uint64_t prev, struct log_place from,
                              struct log_place to)
{
        struct store *store = cursor->log->store;
        struct image_cursor *image = cursor->image;
        uint64_t e = (uint64_t)extent_new(store) + 1;
        uint64_t *link = prev ? &extent_at(cursor, prev)->next : &image->extent_head;
        struct image_extent *extent;

        if (e == (uint64_t)UINT32_MAX + 1)
                return 0;
        extent = extent_at(cursor, e);
        store_put(store, &extent->from, from.pos);
        store_put(store, &extent->to, to.pos);
        store_put(store, &extent->from_number, from.number);
        store_put(store, &extent->to_number, to.number);
        store_put(store, &extent->next, *link);
        if (!*link)
                store_put(store, &image->extent_tail, e);
        store_put(store, link, e);
        cursor_range_pin(cursor, cursor_pin_for(cursor, from.pos), to.pos, true);
        return e;
}

static void count_extents(struct cursor *cursor, uint64_t messages, uint64_t bytes)
{
        struct image_cursor *image = cursor->image;

        store_add(cursor->log->store, &image->extent_messages, messages);
        store_add(cursor->log->store, &image->extent_bytes, bytes);
}

/* Adds [from, to) to the list of extents, in the order of the log, searching behind the extent *at.
 * A range or extent that ends at `from` grows instead. */
static int insert(struct cursor *cursor, struct log_place from, struct log_place to, uint64_t *at)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;
        uint64_t next = *at ? extent_at(cursor, *at)->next : image->extent_head;

        for (; next && extent_at(cursor, next)->from < from.pos;
             next = extent_at(cursor, next)->next)
                *at = next;
        if (!*at && image->stop == from.pos) {
                store_put(store, &image->stop, to.pos);
                store_put(store, &image->stop_number, to.number);
                pin_range(cursor, from.pos, to.pos);
                return 0;
        }
        if (*at && extent_at(cursor, *at)->to == from.pos) {
                store_put(store, &extent_at(cursor, *at)->to, to.pos);
                store_put(store, &extent_at(cursor, *at)->to_number, to.number);
                pin_range(cursor, from.pos, to.pos);
        } else {
                uint64_t e = extent_insert(cursor, *at, from, to);

                if (!e)
                        return -ENOMEM;
                *at = e;
        }
        count_extents(cursor, to.number - from.number, to.pos - from.pos);
        return 0;
}

/* Returns the first boundary at or behind the position. */
static struct log_place unbegun(const struct cursor *cursor)
{
        struct log_place at = log_place(cursor->log, cursor->image->pos);

        return at.pos < cursor->image->pos ? log_behind(cursor->log, at) : at;
}

uint64_t cursor_begun(const struct cursor *cursor)
{
        const struct image_cursor *image = cursor->image;

        if (image->pos == (cursor_is_open(cursor) ? cursor->log->image->end : image->stop))
                return 0;
        return unbegun(cursor).pos - image->pos;
}

/* Makes [from, to) the range of a cursor that has read all. */
static void begin_range(struct cursor *cursor, struct log_place from, struct log_place to)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;

        store_put(store, &image->pos, from.pos);
        store_put(store, &image->stop, to.pos);
        store_put(store, &image->stop_number, to.number);
        store_put(store, &image->from, from.pos);
        store_put(store, &image->from_number, from.number);
        cursor->slab = cursor->pin = cursor_pin_for(cursor, from.pos);
        cursor_range_pin(cursor, cursor->pin, to.pos, true);
}

/* Ends the range at the boundary `at`, at or behind pos; the remainder becomes the first extent.
 * The range may be empty then. -ENOMEM: nothing has changed. */
static int split_range(struct cursor *cursor, struct log_place at)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;
        struct log_place stop = {image->stop, image->stop_number, 0};
        uint32_t pin = cursor->pin;

        if (!extent_insert(cursor, 0, at, stop))
                return -ENOMEM;
        count_extents(cursor, stop.number - at.number, stop.pos - at.pos);
        store_put(store, &image->stop, at.pos);
        store_put(store, &image->stop_number, at.number);
        if (image->pos == at.pos)
                cursor_range_done(cursor, at.pos, at.number);
        else
                cursor_range_pin(cursor, pin, at.pos, true);
        cursor_range_pin(cursor, pin, stop.pos, false);
        return 0;
}

int cursor_insert(struct cursor *cursor, struct log_place from, struct log_place to, uint64_t *at)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;
        int result = 0;

        assert(!cursor_is_open(cursor) && image->open_from == IMAGE_OPEN);
        store_begin(store);
        if (from.pos < image->pos && image->pos < image->stop) {
                struct log_place begun = unbegun(cursor);

                if (begun.pos < image->stop)
                        result = split_range(cursor, begun);
        }
        if (result == 0 && image->pos < image->stop)
                result = insert(cursor, from, to, at);
        else if (result == 0)
                begin_range(cursor, from, to);
        store_commit(store);
        return result;
}

int cursor_extend(struct cursor *cursor, struct log_place from, struct log_place to)
{
        uint64_t at = cursor->image->extent_tail;

        return cursor_insert(cursor, from, to, &at);
}

bool cursor_grows(const struct cursor *cursor, uint64_t from)
{
        const struct image_cursor *image = cursor->image;

        if (image->pos == image->stop)
                return true;
        return from ==
               (image->extent_tail ? extent_at(cursor, image->extent_tail)->to : image->stop);
}

/* ---- open and closed ---- */

/* Replaces open_from by an extent up to the log's end. -ENOMEM: nothing has changed. */
static int close_later(struct cursor *cursor)
{
        struct image_cursor *image = cursor->image;
        struct log *log = cursor->log;
        struct log_place from = {image->open_from, image->open_from_number, 0},
                         to = {log->image->end, log->image->number, 0};

        if (from.pos < to.pos) {
                if (!extent_insert(cursor, image->extent_tail, from, to))
                        return -ENOMEM;
                count_extents(cursor, to.number - from.number, to.pos - from.pos);
        }
        store_put(log->store, &image->open_from, IMAGE_OPEN);
        log_shut(log, cursor->open_pin);
        cursor->open_pin = SLAB_NONE;
        return 0;
}

int cursor_close(struct cursor *cursor)
{
        struct image_cursor *image = cursor->image;
        struct log *log = cursor->log;
        uint32_t pin;
        int result = 0;

        store_begin(log->store);
        if (image->open_from != IMAGE_OPEN) {
                result = close_later(cursor);
        } else if (cursor_is_open(cursor)) {
                store_put(log->store, &image->stop, log->image->end);
                store_put(log->store, &image->stop_number, log->image->number);
                pin = cursor->pin;
                if (image->pos < image->stop) {
                        cursor_range_pin(cursor, pin, image->stop, true);
                } else {
                        cursor_range_done(cursor, image->stop, image->stop_number);
                        cursor->pin = cursor->slab = SLAB_NONE;
                }
                log_shut(log, pin);
        }
        store_commit(log->store);
        return result;
}

void cursor_open(struct cursor *cursor, struct log_place from)
{
        struct image_cursor *image = cursor->image;
        struct log *log = cursor->log;
        struct store *store = log->store;
        uint32_t pin;

        if (cursor_is_open(cursor) || image->open_from != IMAGE_OPEN)
                return;
        store_begin(store);
        pin = cursor_pin_for(cursor, from.pos);
        log_open(log, pin);
        if (image->pos < image->stop) {
                store_put(store, &image->open_from, from.pos);
                store_put(store, &image->open_from_number, from.number);
                cursor->open_pin = pin;
        } else {
                store_put(store, &image->pos, from.pos);
                store_put(store, &image->stop, IMAGE_OPEN);
                store_put(store, &image->from, from.pos);
                store_put(store, &image->from_number, from.number);
                cursor->slab = cursor->pin = pin;
        }
        store_commit(store);
}

void cursor_inherit(struct cursor *heir, struct cursor *cursor)
{
        const uint64_t *from = (const uint64_t *)cursor->image;
        struct image_cursor *image = heir->image;
        struct store *store = heir->log->store;

        assert(!cursor_is_open(heir) && image->pos == image->stop &&
               image->open_from == IMAGE_OPEN);
        store_begin(store);
        for (size_t i = 0; i < sizeof(*image) / sizeof(*from); i++)
                store_put(store, (uint64_t *)image + i, from[i]);
        *heir = *cursor;
        heir->image = image;
        store_commit(store);
        cursor->pin = cursor->open_pin = SLAB_NONE;
}

/* ---- dropping ---- */

bool cursor_first(const struct cursor *cursor, uint64_t most, struct log_range *range)
{
        const struct image_cursor *image = cursor->image;
        const struct image_log *log = cursor->log->image;
        struct log_place end = {log->end, log->number, 0}, to;
        bool found = false;

        if (image->pos < (cursor_is_open(cursor) ? log->end : image->stop)) {
                range->from = unbegun(cursor);
                if (!cursor_is_open(cursor))
                        end = (struct log_place){image->stop, image->stop_number, 0};
                found = range->from.pos < end.pos;
        }
        if (!found && image->extent_head) {
                const struct image_extent *extent = extent_at(cursor, image->extent_head);

                range->from = (struct log_place){extent->from, extent->from_number, 0};
                end = (struct log_place){extent->to, extent->to_number, 0};
                found = true;
        } else if (!found && image->open_from != IMAGE_OPEN) {
                range->from = (struct log_place){image->open_from, image->open_from_number, 0};
                end = (struct log_place){log->end, log->number, 0};
                found = image->open_from < log->end;
        }
        if (!found)
                return false;
        range->to = end;
        if (end.pos - range->from.pos <= most)
                return true;
        to = log_place(cursor->log, range->from.pos + most);
        range->to = to.pos > range->from.pos ? to : log_behind(cursor->log, range->from);
        return true;
}

/* Drops messages at the front of the range, or behind the message that is begun. -ENOMEM: nothing
 * has changed. */
static int drop_read(struct cursor *cursor, const struct log_range *range)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;
        struct log_place stop = {image->stop, image->stop_number, 0};
        uint32_t pin = cursor->pin;

        if (range->from.pos == image->pos) {
                cursor_range_done(cursor, range->from.pos, range->from.number);
                store_put(store, &image->pos, range->to.pos);
                store_put(store, &image->from, range->to.pos);
                store_put(store, &image->from_number, range->to.number);
                cursor_range_passed(cursor);
                if (image->pos == image->stop)
                        cursor_range_next(cursor);
                return 0;
        }
        if (range->to.pos < stop.pos) {
                if (!extent_insert(cursor, 0, range->to, stop))
                        return -ENOMEM;
                count_extents(cursor, stop.number - range->to.number, stop.pos - range->to.pos);
        }
        store_put(store, &image->stop, range->from.pos);
        store_put(store, &image->stop_number, range->from.number);
        cursor_range_pin(cursor, pin, range->from.pos, true);
        cursor_range_pin(cursor, pin, stop.pos, false);
        return 0;
}

/* Drops messages at the front of the first extent. */
static void drop_extent(struct cursor *cursor, const struct log_range *range)
{
        struct image_cursor *image = cursor->image;
        struct store *store = cursor->log->store;
        uint64_t e = image->extent_head;
        struct image_extent *extent = extent_at(cursor, e);
        uint32_t pin = cursor_pin_for(cursor, extent->from);
        uint64_t to = extent->to;

        count_extents(cursor, range->from.number - range->to.number,
                      range->from.pos - range->to.pos);
        if (range->to.pos == to) {
                store_put(store, &image->extent_head, extent->next);
                if (!extent->next)
                        store_put(store, &image->extent_tail, 0);
                extent_free(store, (uint32_t)e - 1);
        } else {
                store_put(store, &extent->from, range->to.pos);
                store_put(store, &extent->from_number, range->to.number);
                cursor_range_pin(cursor, cursor_pin_for(cursor, range->to.pos), to, true);
        }
        cursor_range_pin(cursor, pin, to, false);
}

int cursor_drop(struct cursor *cursor, const struct log_range *range)
{
        const struct image_cursor *image = cursor->image;
        int result = 0;

        store_begin(cursor->log->store);
        if (cursor_is_open(cursor) || range->from.pos == image->open_from)
                cursor_jump(cursor, range->to.pos);
        else if (range->from.pos >= image->pos && range->to.pos <= image->stop)
                result = drop_read(cursor, range);
        else
                drop_extent(cursor, range);
        store_commit(cursor->log->store);
        return result;
}
