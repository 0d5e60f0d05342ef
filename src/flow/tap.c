/* SPDX-License-Identifier: MIT */
#include "flow/tap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/base64.h"
#include "util/clock.h"

void taps_init(struct taps *taps)
{
        *taps = (struct taps){.credit = TAP_BURST};
        LIST_INIT(&taps->list);
}

bool taps_any(const struct taps *taps)
{
        return !LIST_EMPTY(&taps->list);
}

void taps_add(struct taps *taps, struct tap *tap)
{
        tap->missed = 0;
        LIST_INSERT_HEAD(&taps->list, tap, link);
}

void taps_remove(struct tap *tap)
{
        LIST_REMOVE(tap, link);
}

void taps_client_gone(struct taps *taps, uint64_t client_id)
{
        struct tap *tap, *next;

        for (tap = LIST_FIRST(&taps->list); tap; tap = next) {
                next = LIST_NEXT(tap, link);
                if (tap->client_id != client_id)
                        continue;
                taps_remove(tap);
                tap->ops->ended(tap->subject);
        }
}

/* ---- which tap sees which batch ---- */

/* True if messages for all readers are for this reader, too. */
static bool reads(const struct reader *reader)
{
        return reader->role == READER_MEMBER || reader->role == READER_WAITS;
}

static bool concerns(const struct tap *tap, const struct tap_batch *batch)
{
        if (!tap->ways[batch->way])
                return false;
        if (!tap->client_id || tap->client_id == batch->client_id)
                return true;
        return batch->way == TAP_IN && !batch->client_id && reads(tap->reader);
}

static void refill(struct taps *taps, uint64_t now)
{
        uint64_t span = now - taps->credit_at, rate = TAP_BYTES_A_SECOND / (USEC_PER_SEC / 1000);

        if (span > 60 * USEC_PER_SEC)
                span = 60 * USEC_PER_SEC;
        if (span < 1000)
                return; /* keep the fraction of a millisecond */
        taps->credit += (int64_t)(span / 1000 * rate);
        taps->credit_at = now - span % 1000;
        if (taps->credit > TAP_BURST)
                taps->credit = TAP_BURST;
}

static void miss(struct tap *tap, uint64_t messages)
{
        if (!tap->missed && messages)
                tap->ops->misses(tap->subject);
        tap->missed += messages;
}

bool taps_want(struct taps *taps, const struct tap_batch *batch)
{
        bool any = false;
        struct tap *tap;

        for (tap = LIST_FIRST(&taps->list); tap; tap = LIST_NEXT(tap, link)) {
                tap->open = concerns(tap, batch);
                if (!tap->open)
                        continue;
                tap->way = batch->way;
                tap->open = tap->ops->room(tap->subject, TAP_ROOM);
                if (!tap->open)
                        miss(tap, batch->messages);
                any |= tap->open;
        }
        return any;
}

/* ---- replies ---- */

static const char tail_none[] = "\",\"missed\":0},\"continues\":true}";

/* Writes the beginning of every reply. */
static int write_begin(char *to, size_t room, enum tap_way way, uint64_t wall)
{
        return snprintf(to, room, "{\"parameters\":{\"direction\":\"%s\",\"timeUsec\":%" PRIu64,
                        way == TAP_IN ? "in" : "out", wall);
}

/* Writes the head of a reply, up to the message; the same for all messages of a batch. */
static size_t write_head(char *to, size_t room, const struct tap_batch *batch, uint64_t wall)
{
        int n = write_begin(to, room, batch->way, wall);

        if (batch->client_id)
                n += snprintf(to + n, room - (size_t)n, ",\"clientId\":%" PRIu64, batch->client_id);
        n += snprintf(to + n, room - (size_t)n, ",\"message\":\"");
        return (size_t)n;
}

/* Writes the tail of a reply, with a NUL; returns the size, with the NUL. */
static size_t write_tail(char *to, uint64_t missed)
{
        if (!missed) {
                memcpy(to, tail_none, sizeof(tail_none));
                return sizeof(tail_none);
        }
        return 1 + (size_t)sprintf(to, "\",\"missed\":%" PRIu64 "},\"continues\":true}", missed);
}

enum {
        HEAD_MAX = 128, /* with two numbers of all digits */
        TAIL_MAX = sizeof(tail_none) + 19,
};

/* A message in the log, and the head of its reply. */
struct shown {
        const struct log *log;
        uint32_t slab;
        uint64_t pos;
        size_t size;
        uint64_t wall;
        char head[HEAD_MAX];
        size_t head_size;
};

/* Gives the message to the tap. Returns the size of the reply; 0: no room. */
static size_t give(struct tap *tap, const struct shown *shown)
{
        size_t text = base64_size(shown->size);
        char *to, *bytes;
        size_t size;

        /* An empty message with `missed` would read like a reply of tap_tell_missed(). */
        if (!shown->size && tap->missed)
                tap_tell_missed(tap, shown->wall);
        to = tap->ops->room(tap->subject, shown->head_size + text + TAIL_MAX);
        if (!to || (!shown->size && tap->missed))
                return 0;
        memcpy(to, shown->head, shown->head_size);
        to += shown->head_size;
        bytes = to + text - shown->size;
        log_copy(shown->log, shown->slab, shown->pos, bytes, shown->size);
        base64_encode(to, bytes, shown->size);
        size = shown->head_size + text + write_tail(to + text, tap->missed);
        tap->ops->given(tap->subject, size);
        tap->missed = 0;
        return size;
}

/* Gives the message to all open taps. left: messages of the batch from this message on. False: no
 * tap is open any more. */
static bool give_all(struct taps *taps, const struct shown *shown, uint64_t left)
{
        bool any = false;
        struct tap *tap;

        for (tap = LIST_FIRST(&taps->list); tap; tap = LIST_NEXT(tap, link)) {
                size_t size;

                if (!tap->open)
                        continue;
                size = taps->credit > 0 ? give(tap, shown) : 0;
                taps->credit -= (int64_t)size;
                /* A smaller message behind a large message may fit. */
                tap->open = size || (taps->credit > 0 && tap->ops->room(tap->subject, TAP_ROOM));
                if (!size)
                        miss(tap, tap->open ? 1 : left);
                any |= tap->open;
        }
        return any;
}

void taps_show(struct taps *taps, const struct log *log, const struct tap_batch *batch,
               uint64_t now_usec, uint64_t wall_usec)
{
        struct log_place place = batch->from, next;
        struct shown shown = {.log = log, .slab = SLAB_NONE, .wall = wall_usec};
        uint64_t left = batch->messages;
        size_t before, behind;
        bool any = true;

        refill(taps, now_usec);
        frame_margins(log->spec, &before, &behind);
        shown.head_size = write_head(shown.head, sizeof(shown.head), batch, wall_usec);
        for (; any && left; left--, place = next) {
                next = log_step(log, &shown.slab, place);
                shown.pos = place.pos + before;
                shown.size = (size_t)(next.pos - place.pos - before - behind);
                any = give_all(taps, &shown, left);
        }
}

void tap_tell_missed(struct tap *tap, uint64_t wall_usec)
{
        enum { SIZE = HEAD_MAX + TAIL_MAX };
        char *to = tap->missed ? tap->ops->room(tap->subject, SIZE) : NULL;
        int n;

        if (!to)
                return;
        n = write_begin(to, SIZE, tap->way, wall_usec);
        n += snprintf(to + n, (size_t)(SIZE - n), ",\"message\":\"");
        tap->ops->given(tap->subject, (size_t)n + write_tail(to + n, tap->missed));
        tap->missed = 0;
}
