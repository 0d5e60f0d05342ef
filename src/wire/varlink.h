/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Varlink's framing over a stream: JSON objects, each ended by one NUL. Feed bytes, take whole
 * objects until VARLINK_MORE. Knows bytes only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
        VARLINK_MESSAGE_MAX = 1024 * 1024,
        /* Parsed, a value of two bytes takes hundreds of bytes, and its time. */
        VARLINK_VALUES_MAX = 8 * 1024,
};

struct varlink_reader {
        char *data;        /* owned, grows with the bytes that arrive */
        size_t size;       /* bytes in data */
        size_t taken;      /* bytes already handed out */
        size_t seen;       /* bytes already searched for a NUL */
        size_t room;       /* allocated bytes */
        size_t max;        /* bytes of one message without the NUL; VARLINK_MESSAGE_MAX, raised by a
                              program that trusts the peer */
        size_t max_values; /* in one message; VARLINK_VALUES_MAX, raised likewise */
};

/* Sets up an empty reader with the default limits. */
void varlink_reader_init(struct varlink_reader *reader);

/* Frees the buffer; the reader becomes empty and keeps the limits. */
void varlink_reader_done(struct varlink_reader *reader);

/* Returns room for at least `want` bytes behind the data, until the next call; NULL: no memory. */
void *varlink_reader_room(struct varlink_reader *reader, size_t want);

/* Counts `size` bytes in as data, which the caller put into the room. */
void varlink_reader_fed(struct varlink_reader *reader, size_t size);

enum varlink_result {
        VARLINK_MORE,
        VARLINK_OBJECT,
        VARLINK_BAD,
        VARLINK_TOO_LARGE,
        VARLINK_STARVED
};

/* Takes the next object: *object gets a new reference. Strings may have a NUL inside, and an
 * integer that is too large is a real. VARLINK_MORE: feed more bytes. VARLINK_BAD (not JSON, not an
 * object, a member twice, a number too large for a double), _TOO_LARGE (too many bytes or values)
 * and _STARVED (no memory) are final. */
enum varlink_result varlink_take(struct varlink_reader *reader, json_t **object);

/* Returns the bytes of an object with the NUL, *size bytes, which the caller frees; NULL: no
 * memory. */
char *varlink_encode(const json_t *object, size_t *size);
