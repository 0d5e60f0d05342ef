/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Varlink's framing over a stream: JSON objects, each ended by one NUL. Feed bytes, take whole
 * objects until there are no more. Knows bytes only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum {
        VARLINK_MESSAGE_MAX = 1024 * 1024,
        /* Parsed, a value of two bytes becomes hundreds, and each takes its time. */
        VARLINK_VALUES_MAX = 8 * 1024,
};

struct varlink_reader {
        char *data;   /* grows with what arrived, owned */
        size_t size;  /* bytes in data */
        size_t taken; /* of them already handed out */
        size_t seen;  /* of them already searched for a NUL */
        size_t room;
        size_t max;        /* bytes of one message without its NUL; VARLINK_MESSAGE_MAX, raised by a
                              program that trusts the other side */
        size_t max_values; /* in one message; VARLINK_VALUES_MAX, raised likewise */
};

void varlink_reader_init(struct varlink_reader *reader);
void varlink_reader_done(struct varlink_reader *reader);

/* Returns room for at least `want` bytes behind the data, or NULL without memory; then
 * varlink_reader_fed(). */
void *varlink_reader_room(struct varlink_reader *reader, size_t want);
void varlink_reader_fed(struct varlink_reader *reader, size_t size);

enum varlink_result { VARLINK_MORE, VARLINK_OBJECT, VARLINK_BAD, VARLINK_TOO_LARGE };

/* The next object into *object, a new reference. Its strings may have a NUL within, and an integer
 * that is too large is a real. VARLINK_BAD (not JSON, not an object, a member twice, a number that
 * not even a double holds) and _TOO_LARGE (too many bytes or values) are final. */
enum varlink_result varlink_take(struct varlink_reader *reader, json_t **object);

/* The bytes of an object with its NUL, to be freed; NULL without memory. */
char *varlink_encode(const json_t *object, size_t *size);
