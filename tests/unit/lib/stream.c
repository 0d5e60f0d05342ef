/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t state;

void random_start(const char *name)
{
        const char *seed = getenv("FTCPD_TEST_SEED");
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        state = seed ? strtoull(seed, NULL, 0)
                     : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
        state |= 1;
        printf("# %s: FTCPD_TEST_SEED=%llu\n", name, (unsigned long long)state);
        fflush(stdout);
}

uint64_t random_number(void)
{
        if (!state)
                state = 88172645463325252u;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t random_below(uint64_t limit)
{
        return (random_number() >> 11) % limit;
}

bool random_one_in(uint64_t n)
{
        return random_below(n) == 0;
}

uint64_t random_size(uint64_t max)
{
        uint64_t limit = random_one_in(64)  ? UINT64_MAX
                         : random_one_in(8) ? 5000
                         : random_one_in(8) ? 1
                                            : 100;

        return random_below((limit < max ? limit : max) + 1);
}

#define LENGTH(size, how, at, plus)                                                                \
        .spec = {.type = FRAME_LENGTH,                                                             \
                 .length_size = (size),                                                            \
                 .format = (how),                                                                  \
                 .length_offset = (at),                                                            \
                 .length_adjust = (plus),                                                          \
                 .max_message_size = 16 << 20}

#define DELIMITER(text)                                                                            \
        .spec = {.type = FRAME_DELIMITER,                                                          \
                 .delimiter_size = sizeof(text) - 1,                                               \
                 .delimiter = text,                                                                \
                 .max_message_size = 16 << 20}

const struct kind kinds[] = {
        {"u32", LENGTH(4, FRAME_BIG, 0, 0), 1 << 20, 0},
        {"u8", LENGTH(1, FRAME_BIG, 0, 0), 255, 0},
        {"u16", LENGTH(2, FRAME_BIG, 0, 0), 65535, 0},
        {"u24", LENGTH(3, FRAME_BIG, 0, 0), 1 << 20, 0},
        {"u32 little", LENGTH(4, FRAME_LITTLE, 0, 0), 1 << 20, 0},
        {"u24 little", LENGTH(3, FRAME_LITTLE, 0, 0), 1 << 20, 0},
        {"u16 little", LENGTH(2, FRAME_LITTLE, 0, 0), 65535, 0},
        {"1 digit", LENGTH(1, FRAME_DECIMAL, 0, 0), 9, 0},
        {"4 digits", LENGTH(4, FRAME_DECIMAL, 0, 0), 9999, 0},
        {"4 hex digits", LENGTH(4, FRAME_HEX, 0, 0), 65535, 0},
        {"3 hex digits at 2", LENGTH(3, FRAME_HEX, 2, 0), 4095, 0},
        {"Modbus TCP", LENGTH(2, FRAME_BIG, 4, 0), 65535, 0},
        {"u32 at the farthest place", LENGTH(4, FRAME_BIG, FRAME_LENGTH_OFFSET_MAX, 0), 1 << 20, 0},
        {"u32 that counts itself", LENGTH(4, FRAME_BIG, 0, -4), 1 << 20, 0},
        {"u16 little that counts all", LENGTH(2, FRAME_LITTLE, 3, -5), 65530, 0},
        {"u16 before a trailer of 3", LENGTH(2, FRAME_BIG, 0, 3), 65538, 3},
        {"lines", DELIMITER("\n"), 1 << 20, 0},
        {"CR LF", DELIMITER("\r\n"), 1 << 20, 0},
        {"CR LF CR LF", DELIMITER("\r\n\r\n"), 1 << 20, 0},
        {"aa", DELIMITER("aa"), 1 << 20, 0},
        {"aab", DELIMITER("aab"), 1 << 20, 0},
        {"abab", DELIMITER("abab"), 1 << 20, 0},
        {"aaaa", DELIMITER("aaaa"), 1 << 20, 0},
        {"a zero and a one", DELIMITER("\0\1"), 1 << 20, 0},
};
const size_t n_kinds = sizeof(kinds) / sizeof(*kinds);

size_t frame_overhead(const struct frame_spec *spec)
{
        return spec->type == FRAME_DELIMITER ? spec->delimiter_size
                                             : spec->length_offset + spec->length_size;
}

uint64_t kind_length(const struct frame_spec *spec, uint64_t body)
{
        return (uint64_t)((int64_t)body - spec->length_adjust);
}

void stream_add(struct stream *stream, const void *bytes, size_t size)
{
        if (stream->size + size >= stream->room) {
                stream->room = (stream->size + size) * 2 + 64;
                stream->bytes = realloc(stream->bytes, stream->room);
                assert(stream->bytes);
        }
        if (size)
                memcpy(stream->bytes + stream->size, bytes, size);
        stream->size += size;
}

void stream_done(struct stream *stream)
{
        free(stream->bytes);
        *stream = (struct stream){0};
}

void stream_header(struct stream *stream, const struct frame_spec *spec, uint64_t body)
{
        unsigned long long length = kind_length(spec, body);
        char field[24];

        for (uint32_t i = 0; i < spec->length_offset; i++)
                stream_add(stream, &(unsigned char){(unsigned char)random_number()}, 1);
        switch (spec->format) {
        case FRAME_DECIMAL:
                snprintf(field, sizeof(field), "%0*llu", (int)spec->length_size, length);
                break;
        case FRAME_HEX:
                snprintf(field, sizeof(field), "%0*llx", (int)spec->length_size, length);
                break;
        case FRAME_BIG:
                for (uint32_t i = 0; i < spec->length_size; i++)
                        field[spec->length_size - 1 - i] = (char)(length >> 8 * i & 0xff);
                break;
        case FRAME_LITTLE:
                for (uint32_t i = 0; i < spec->length_size; i++)
                        field[i] = (char)(length >> 8 * i & 0xff);
        }
        stream_add(stream, field, spec->length_size);
}

size_t stream_frame(struct stream *stream, const struct frame_spec *spec, const void *body,
                    size_t size)
{
        size_t before = stream->size;

        if (spec->type == FRAME_LENGTH)
                stream_header(stream, spec, size);
        stream_add(stream, body, size);
        if (spec->type == FRAME_DELIMITER)
                stream_add(stream, spec->delimiter, spec->delimiter_size);
        return stream->size - before;
}

/* The delimiter's own bytes are frequent, so that its beginnings are everywhere. */
static void random_text(const struct frame_spec *spec, unsigned char *body, size_t size)
{
        size_t whole = size + spec->delimiter_size, done = 0;
        unsigned char *hit;

        for (size_t i = 0; i < size; i++) {
                uint64_t pick = random_below(spec->delimiter_size + 1);

                body[i] = pick < spec->delimiter_size ? spec->delimiter[pick] : 'x';
        }
        memcpy(body + size, spec->delimiter, spec->delimiter_size);
        while ((hit = memmem(body + done, whole - done, spec->delimiter, spec->delimiter_size)) !=
               body + size) {
                assert(hit);
                *hit = 'x';
                done = (size_t)(hit - body);
        }
}

size_t stream_random(struct stream *stream, const struct frame_spec *spec, size_t size)
{
        unsigned char *body = malloc(size + FRAME_DELIMITER_MAX);
        size_t n;

        assert(body);
        if (spec->type == FRAME_DELIMITER)
                random_text(spec, body, size);
        else
                for (size_t i = 0; i < size; i += 8)
                        memcpy(body + i, &(uint64_t){random_number()}, size - i < 8 ? size - i : 8);
        n = stream_frame(stream, spec, body, size);
        free(body);
        return n;
}

void stream_messages(struct stream *s, const struct kind *k, int n)
{
        for (int i = 0; i < n; i++) {
                uint64_t body = random_one_in(4) ? 0 : random_below(14);

                body = body < k->smallest ? k->smallest : body;
                stream_random(s, &k->spec, body > k->largest ? k->largest : body);
        }
}

static size_t delimited_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size,
                           size_t seen)
{
        for (size_t i = seen > spec->delimiter_size ? seen : spec->delimiter_size; i <= size; i++)
                if (bytes[i - 1] == spec->delimiter[spec->delimiter_size - 1] &&
                    memcmp(bytes + i - spec->delimiter_size, spec->delimiter,
                           spec->delimiter_size) == 0)
                        return i;
        return 0;
}

size_t frame_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size, size_t seen)
{
        size_t header = spec->length_offset + spec->length_size;
        char digits[8] = "";
        uint64_t length = 0;

        if (spec->type == FRAME_DELIMITER)
                return delimited_at(spec, bytes, size, seen);
        if (size < header)
                return 0;
        bytes += spec->length_offset;
        memcpy(digits, bytes, spec->length_size);
        for (uint32_t i = 0; i < spec->length_size; i++) {
                uint32_t weight = spec->format == FRAME_BIG ? spec->length_size - 1 - i : i;

                length += (uint64_t)bytes[i] << 8 * weight;
        }
        if (spec->format == FRAME_DECIMAL || spec->format == FRAME_HEX)
                length = strtoull(digits, NULL, spec->format == FRAME_HEX ? 16 : 10);
        if (spec->format >= FRAME_DECIMAL &&
            strspn(digits, "0123456789abcdef") != spec->length_size)
                return 0;
        length = header + length + (uint64_t)spec->length_adjust;
        return length <= size ? length : 0;
}

size_t frames_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size,
                 uint64_t *frames)
{
        size_t at = 0, n;

        while ((n = frame_at(spec, bytes + at, size - at, 0)) > 0) {
                at += n;
                ++*frames;
        }
        return at;
}
