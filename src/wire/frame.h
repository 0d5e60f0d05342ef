/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * What a message looks like on the wire, on either side of ftcpd: a length field and that many
 * bytes, or bytes up to a delimiter. Knows bytes only: no descriptor, no clock, no allocation.
 *
 * Words: a *frame* is all bytes of one message on the wire. Its *body* is what stands behind the
 * length field or before the delimiter; max_message_size limits the body. A *message* is what
 * people write and read: the body, or where length_offset is not 0 the whole frame.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum frame_type { FRAME_LENGTH, FRAME_DELIMITER };
enum frame_format { FRAME_BIG, FRAME_LITTLE, FRAME_DECIMAL, FRAME_HEX };

enum {
        FRAME_LENGTH_SIZE_MAX = 4,
        FRAME_LENGTH_OFFSET_MAX = 60,
        FRAME_HEADER_MAX = FRAME_LENGTH_OFFSET_MAX + FRAME_LENGTH_SIZE_MAX,
        FRAME_DELIMITER_MAX = 4,
};

/* Plain data; two specs that compare equal member by member speak the same wire. */
struct frame_spec {
        enum frame_type type;
        enum frame_format format; /* FRAME_LENGTH only, as the three below */
        uint32_t length_size;     /* 1 to 4 bytes */
        uint32_t length_offset;   /* 0 to FRAME_LENGTH_OFFSET_MAX */
        int64_t length_adjust;    /* a frame ends at the end of its length field + length + this */
        uint32_t delimiter_size;  /* 1 to 4, FRAME_DELIMITER only */
        unsigned char delimiter[FRAME_DELIMITER_MAX];
        uint64_t max_message_size; /* bytes of body */
};

/* The default: an unsigned 32-bit big-endian length that does not count itself, at most 16 MiB. */
extern const struct frame_spec frame_spec_default;

/* The same wire (max_message_size does not count)? */
bool frame_spec_same(const struct frame_spec *a, const struct frame_spec *b);

/* In words for status, at most size bytes: "length 4 big", "length 2 big at 4", "delimiter \r\n".
 */
void frame_spec_text(const struct frame_spec *spec, char *text, size_t size);

/* How many bytes must be there before a frame's length is known; 0 for delimiters. */
size_t frame_header_size(const struct frame_spec *spec);

enum frame_result {
        FRAME_MORE,      /* so far so good; more bytes are needed */
        FRAME_WHOLE,     /* a whole frame */
        FRAME_TOO_LARGE, /* a declared length, or bytes without a delimiter, above the limit */
        FRAME_BROKEN,    /* not digits, or a length that ends before its own field does */
};

/*
 * From frame_header_size() bytes: *total gets the size of the whole frame, *declared the length as
 * the peer wrote it (before the adjustment). Returns FRAME_WHOLE, FRAME_TOO_LARGE or FRAME_BROKEN
 * (*declared is 0 if it is no number).
 */
enum frame_result frame_measure(const struct frame_spec *spec, const unsigned char *header,
                                uint64_t *total, uint64_t *declared);

/*
 * The next frame of a buffer whose first byte begins one. *total is its size when FRAME_WHOLE; when
 * FRAME_MORE, the size that it will have, or 0 while unknown. For programs that hold a stream in
 * one buffer.
 */
enum frame_result frame_next(const struct frame_spec *spec, const unsigned char *data, size_t size,
                             uint64_t *total);

/* Sizes of bodies, from min to max; FRAME_NO_RANGE holds none. */
struct frame_range {
        uint64_t min, max;
};
#define FRAME_NO_RANGE ((struct frame_range){UINT64_MAX, UINT64_MAX})

/*
 * The hot path: walks the headers of whole frames in data and returns how many bytes they take
 * together; *frames is raised by their number. Stops, without judging it, in front of the first
 * frame that is not whole, is not acceptable, or whose body has a size within `stop`. FRAME_LENGTH
 * only.
 */
size_t frame_walk(const struct frame_spec *spec, const unsigned char *data, size_t size,
                  struct frame_range stop, uint64_t *frames);

/*
 * Wraps a message as people write it into a frame, for heartbeats, greetings and senders. What goes
 * before the message is put into head (*head_size bytes of FRAME_HEADER_MAX), what goes behind it
 * into tail (FRAME_DELIMITER_MAX). Returns NULL, or a static text that says why this can't be a
 * message of this frame (too large, contains the delimiter, its length field disagrees).
 */
const char *frame_wrap(const struct frame_spec *spec, const void *message, size_t size,
                       unsigned char *head, size_t *head_size, unsigned char *tail,
                       size_t *tail_size);

/* How many bytes of each frame stand before its message, and how many behind it. */
void frame_margins(const struct frame_spec *spec, size_t *before, size_t *behind);

/* The message inside a whole frame: *message points into frame. */
void frame_message(const struct frame_spec *spec, const unsigned char *frame, size_t size,
                   const unsigned char **message, size_t *message_size);

/*
 * What the first bytes of a stream that broke its framing look like, as a clause for people, or
 * NULL where they give nothing away: "these bytes are HTTP text", "a TLS hello", "lines of text",
 * "a 2-byte length", "a little-endian length".
 */
const char *frame_guess(const struct frame_spec *spec, const unsigned char *data, size_t size);
