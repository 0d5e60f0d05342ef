/* SPDX-License-Identifier: MIT */
#include "wire/varlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A drained buffer of more than KEEP bytes is freed: an idle connection shall cost little. */
enum { KEEP = 16 * 1024, ROOM_MIN = 4096 };

void varlink_reader_init(struct varlink_reader *reader)
{
        *reader = (struct varlink_reader){.max = VARLINK_MESSAGE_MAX,
                                          .max_values = VARLINK_VALUES_MAX};
}

void varlink_reader_done(struct varlink_reader *reader)
{
        free(reader->data);
        *reader = (struct varlink_reader){.max = reader->max, .max_values = reader->max_values};
}

static void forget_taken(struct varlink_reader *reader)
{
        if (reader->taken == 0)
                return;
        memmove(reader->data, reader->data + reader->taken, reader->size - reader->taken);
        reader->size -= reader->taken;
        reader->seen -= reader->taken;
        reader->taken = 0;
}

void *varlink_reader_room(struct varlink_reader *reader, size_t want)
{
        size_t room;

        if (reader->room - reader->size >= want && reader->data)
                return reader->data + reader->size;
        forget_taken(reader);
        if (want > SIZE_MAX / 2 - reader->size)
                return NULL;
        room = reader->room > ROOM_MIN ? reader->room : ROOM_MIN;
        while (room < reader->size + want)
                room *= 2;
        if (room > reader->room) {
                char *data = realloc(reader->data, room);
                if (!data)
                        return NULL;
                reader->data = data;
                reader->room = room;
        }
        return reader->data + reader->size;
}

void varlink_reader_fed(struct varlink_reader *reader, size_t size)
{
        reader->size += size;
}

static void drained(struct varlink_reader *reader)
{
        reader->size = reader->taken = reader->seen = 0;
        if (reader->room > KEEP)
                varlink_reader_done(reader);
}

/* Returns the number of values in JSON text, or a little more: each value but the first stands
 * behind a brace, a bracket or a comma. Text that is no JSON gets some number. */
static size_t count_values(const char *text, size_t size)
{
        bool in_string = false;
        size_t n = 1;

        for (size_t i = 0; i < size; i++) {
                char c = text[i];

                if (c == '"')
                        in_string = !in_string;
                else if (c == '\\' && in_string)
                        i++;
                else if (!in_string)
                        n += c == '{' || c == '[' || c == ',';
        }
        return n;
}

/* Turns reals back into integers where a real is whole and small enough to be exact, in objects
 * inside objects, too, not in arrays. */
static void mend_numbers(json_t *object)
{
        const json_int_t most = (json_int_t)1 << 53;
        const char *key;
        json_t *value;

        json_object_foreach(object, key, value)
        {
                double real = json_is_real(value) ? json_real_value(value) : 0;

                if (json_is_object(value))
                        mend_numbers(value);
                else if (json_is_real(value) && real >= -(double)most && real <= (double)most &&
                         (double)(json_int_t)real == real)
                        json_object_set_new(object, key, json_integer((json_int_t)real));
        }
}

/* Memory for one request: jansson's parser takes no notice of some failed allocations, and misreads
 * the text or ends the program. While a request is parsed, what malloc() refuses comes from here;
 * the request is thrown away then. */
static struct {
        char *from, *at, *end; /* NULL: no request is being parsed */
        bool used;
} spare;

static void *spare_malloc(size_t size)
{
        const size_t unit = _Alignof(max_align_t);
        char *bytes = malloc(size);

        if (bytes || !spare.from)
                return bytes;
        spare.used = true;
        size = (size + unit - 1) / unit * unit;
        if (size > (size_t)(spare.end - spare.at))
                return NULL;
        bytes = spare.at;
        spare.at += size;
        return bytes;
}

static void spare_free(void *bytes)
{
        if (!spare.from || (char *)bytes < spare.from || (char *)bytes >= spare.end)
                free(bytes);
}

/* Returns false without memory. */
static bool spare_begin(size_t size, size_t values)
{
        size_t room = 16 * size + 512 * values + 4096;

        json_set_alloc_funcs(spare_malloc, spare_free);
        spare.used = false;
        spare.from = spare.at = malloc(room);
        spare.end = spare.from + (spare.from ? room : 0);
        return spare.from;
}

static void spare_end(void)
{
        free(spare.from);
        spare.from = NULL;
}

/* Parses JSON; NULL: malformed. A NUL in a string and an integer of any size are well-formed, and
 * pass (the integer as a real): the caller, which knows the method, judges the values. */
static json_t *load(const char *text, size_t size)
{
        json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);

        if (!value)
                value = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        if (value)
                return value;
        value = json_loadb(text, size,
                           JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        if (json_is_object(value))
                mend_numbers(value);
        return value;
}

static enum varlink_result parse(const char *text, size_t size, json_t **object)
{
        json_t *value;

        if (!spare_begin(size, count_values(text, size)))
                return VARLINK_STARVED;
        value = load(text, size);
        if (spare.used || !json_is_object(value)) {
                json_decref(value);
                value = NULL;
        }
        spare_end();
        *object = value;
        return value ? VARLINK_OBJECT : spare.used ? VARLINK_STARVED : VARLINK_BAD;
}

enum varlink_result varlink_take(struct varlink_reader *reader, json_t **object)
{
        const char *begin, *end;
        enum varlink_result result;
        size_t size;

        if (reader->size == reader->taken)
                return VARLINK_MORE;
        begin = reader->data + reader->taken;
        end = memchr(reader->data + reader->seen, '\0', reader->size - reader->seen);
        size = end ? (size_t)(end - begin) : reader->size - reader->taken;
        if (size > reader->max)
                return VARLINK_TOO_LARGE;
        if (!end) {
                reader->seen = reader->size;
                return VARLINK_MORE;
        }
        if (size > reader->max_values && count_values(begin, size) > reader->max_values)
                return VARLINK_TOO_LARGE;
        result = parse(begin, size, object);
        if (result != VARLINK_OBJECT)
                return result;
        reader->taken += size + 1;
        reader->seen = reader->taken;
        if (reader->taken == reader->size)
                drained(reader);
        return VARLINK_OBJECT;
}

/* JSON text that grows. */
struct encoding {
        char *text;
        size_t size, room;
        bool failed; /* there was no memory: nothing is appended any more */
};

/* Appends bytes; returns 0 or -1. jansson takes no notice of a failure amid an object's key: after
 * one failure all fail, else the text would lack the key. */
static int encode_part(const char *bytes, size_t size, void *data)
{
        struct encoding *to = data;

        if (!to->failed && to->room - to->size < size) {
                size_t room = 2 * (to->size + size) + 64;
                char *text = realloc(to->text, room);

                to->failed = !text;
                if (text) {
                        to->text = text;
                        to->room = room;
                }
        }
        if (to->failed)
                return -1;
        memcpy(to->text + to->size, bytes, size);
        to->size += size;
        return 0;
}

char *varlink_encode(const json_t *object, size_t *size)
{
        struct encoding to = {0};

        if (json_dump_callback(object, encode_part, &to, JSON_COMPACT) < 0 ||
            encode_part("", 1, &to) < 0) {
                free(to.text);
                return NULL;
        }
        *size = to.size;
        return to.text;
}
