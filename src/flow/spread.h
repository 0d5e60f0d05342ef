/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Who gets what the upstream sent: every reader all of it (broadcast), or each message the one with
 * the shortest queue (balance). While nobody reads it is held for who comes next, or dropped.
 *
 * Where something may be held, a newcomer waits until it is trusted: then the first one gets what
 * is held, and all who wait what came since they are there.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/books.h"
#include "store/cursor.h"

/* Its numbers stand in the image. */
enum reader_role {
        READER_NONE,    /* its cursor holds nothing */
        READER_MEMBER,  /* what comes is for it, too */
        READER_WAITS,   /* to be trusted */
        READER_LEAVING, /* it gets what it has, and nothing more */
};

struct reader {
        struct spread *spread;      /* borrowed */
        struct image_client *image; /* in the store */
        struct cursor cursor;
        enum reader_role role;
        uint32_t place;    /* among all */
        uint32_t rank;     /* among the members, the shortest queue first */
        uint32_t at;       /* where it was given the last one of what another one left, */
        uint64_t at_round; /* in that round */
        uint64_t served;   /* when it was dealt something: round robin among equals */
};

struct spread {
        struct store *store; /* borrowed, as the log */
        struct log *log;
        struct image_spread *image; /* in the store */
        struct cursor backlog;
        bool balance;
        uint64_t backlog_size, queue_size;
        struct reader **all, **rank; /* borrowed */
        uint32_t n_all, n_members, room;
        uint64_t serves, rounds, backlog_at; /* the last as a reader's `at` */
        struct log_place given;              /* as in the image, with its number */
        bool news; /* readers were given something since the caller last cleared this */
        /* Told of what is dealt to one of several, before anything else becomes of it. NULL: nobody
         * is. */
        void (*dealt)(void *context, struct reader *reader, struct log_place from,
                      struct log_place to);
        void *context;
};

/* For an empty image. */
void spread_init(struct spread *spread, struct log *log);

/* For a checked image; the readers are taken up one by one, and then spread_configure() goes on
 * with what was under way, before anything else happens. */
void spread_recover(struct spread *spread, struct log *log);
void spread_done(struct spread *spread);

/* Other values; what is waiting is given anew only where it must be. hold_size in bytes; 0: nothing
 * is held. While somebody waits to be trusted, as much more is held as may be queued for one. */
void spread_configure(struct spread *spread, bool balance, uint64_t backlog_size,
                      uint64_t queue_size);

/* Makes room for one reader more; false: no memory. */
bool spread_room(struct spread *spread);

/* After the log has grown: what came goes to its readers, to what is held, or is dropped. */
void spread_taken(struct spread *spread);

/* Somebody reads what comes now. */
bool spread_has_readers(const struct spread *spread);

/* Adds accepted, delivered, dropped and queued, the fullest queue (of a reader, of at most
 * queue_limit, or what is held) and the oldest message's age. */
void spread_books(struct spread *spread, uint64_t queue_limit, uint64_t now_usec,
                  struct books *books);

/* A newcomer, for which there is room: what comes from now on is for it. Part of a transaction. */
void reader_join(struct reader *reader, struct spread *spread, struct image_client *image);

/* Takes up one that stands in a checked image. */
void reader_recover(struct reader *reader, struct spread *spread, struct image_client *image);

/* Of those who wait, it came first, so that what is held would go to it; or it does not wait. */
bool reader_is_next(const struct reader *reader);

/* What goes to it once it is trusted; NULL: nothing. */
struct cursor *reader_offer(struct reader *reader);

/* It has been there long enough and still reads: so many bytes of the offer it has taken, and its
 * word `sending` is cleared with that, last of all. */
void reader_trust(struct reader *reader, uint64_t taken);

/* So many bytes of what cursor_gather() said went to it. */
void reader_advance(struct reader *reader, uint64_t bytes);

/* It gets what it has, nothing that comes later. -ENOMEM: it has still to end at once. */
int reader_leave(struct reader *reader);

/* Drops the oldest of what it has not begun until at most `limit` bytes wait, or one message alone.
 * Returns what was dropped. */
struct count reader_shorten(struct reader *reader, uint64_t limit);

/*
 * It reads no more: what was delivered to it moves over to the totals. What it had not begun goes
 * to the others if each message is dealt to one, else it is dropped for this reason, as the rest of
 * one that it had begun; and as what a send offered that a crash cut short (its word `sending`).
 * Returns what was dropped.
 */
struct count reader_done(struct reader *reader, enum drop_reason reason);
