/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Frames: how messages look on the wire, on either side of ftcpd: a length field and as many bytes,
 * or bytes up to a delimiter. Knows bytes only: no descriptor, no clock, no allocation.
 *
 * Words: a *frame* is all bytes of one message on the wire. The *body* stands behind the length
 * field or before the delimiter; max_message_size limits the body. A *message* is the part that
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
        enum frame_format format; /* FRAME_LENGTH only, as the next three fields */
        uint32_t length_size;     /* 1 to 4 bytes */
        uint32_t length_offset;   /* 0 to FRAME_LENGTH_OFFSET_MAX */
        int64_t length_adjust;    /* a frame ends at: length field's end + length + adjust */
        uint32_t delimiter_size;  /* 1 to 4, FRAME_DELIMITER only */
        unsigned char delimiter[FRAME_DELIMITER_MAX];
        uint64_t max_message_size; /* bytes of body */
};

enum { FRAME_LENGTH_ADJUST_MAX = 1 << 30 };

/* True if each member is within its bounds, and every frame therefore has a byte at least. */
bool frame_spec_is_sound(const struct frame_spec *spec);

/* The default: an unsigned 32-bit big-endian length, which does not count its own bytes, at most
 * 16 MiB. */
extern const struct frame_spec frame_spec_default;

/* True if both specs describe the same wire; max_message_size does not count. */
bool frame_spec_same(const struct frame_spec *a, const struct frame_spec *b);

/* Writes the spec for status into text, at most size bytes: "length 4 big", "length 2 big at 4",
 * "delimiter \r\n". */
void frame_spec_text(const struct frame_spec *spec, char *text, size_t size);

/* Returns how many bytes must be there before a frame's length is known: up to the end of the
 * length field; 0 for FRAME_DELIMITER. */
size_t frame_header_size(const struct frame_spec *spec);

enum frame_result {
        FRAME_MORE,      /* no fault so far; more bytes are needed */
        FRAME_WHOLE,     /* a whole frame */
        FRAME_TOO_LARGE, /* a declared length, or bytes without a delimiter, above the limit */
        FRAME_BROKEN,    /* no digits, or a length that ends before the end of the length field */
};

/*
 * Reads a header of frame_header_size() bytes. *total gets the size of the whole frame, with
 * FRAME_WHOLE only; *declared the length as the peer wrote it (before the adjustment), 0 if the
 * field has no number. Returns FRAME_WHOLE, FRAME_TOO_LARGE or FRAME_BROKEN. FRAME_LENGTH only.
 */
enum frame_result frame_measure(const struct frame_spec *spec, const unsigned char *header,
                                uint64_t *total, uint64_t *declared);

/*
 * Judges the first frame of a buffer, which begins with the buffer. *total gets the size of the
 * frame; with FRAME_MORE the size that the frame will have, or 0 while unknown. For programs with
 * the stream in one buffer.
 */
enum frame_result frame_next(const struct frame_spec *spec, const unsigned char *data, size_t size,
                             uint64_t *total);

/* Sizes of bodies, from min to max; FRAME_NO_RANGE has no size. */
struct frame_range {
        uint64_t min, max;
};
#define FRAME_NO_RANGE ((struct frame_range){UINT64_MAX, UINT64_MAX})

/*
 * The hot path: walks the headers of whole frames in data, adds the number of frames to *frames and
 * returns their bytes. Stops in front of the first frame that is not whole, is not acceptable, or
 * has a body with a size within `stop`, and gives no verdict. FRAME_LENGTH only.
 */
size_t frame_walk(const struct frame_spec *spec, const unsigned char *data, size_t size,
                  struct frame_range stop, uint64_t *frames);

/*
 * Wraps a message, as people write messages, into a frame, for heartbeats, greetings and senders.
 * head gets the *head_size bytes before the message (room for FRAME_HEADER_MAX), tail the
 * *tail_size bytes behind (room for FRAME_DELIMITER_MAX). Returns NULL, or a static text: why the
 * message does not fit the frame (too large, contains the delimiter, the length field disagrees).
 */
const char *frame_wrap(const struct frame_spec *spec, const void *message, size_t size,
                       unsigned char *head, size_t *head_size, unsigned char *tail,
                       size_t *tail_size);

/* Sets *before and *behind to the bytes of a frame before and behind the message. */
void frame_margins(const struct frame_spec *spec, size_t *before, size_t *behind);

/* Finds the message inside a whole frame: *message points into frame. */
void frame_message(const struct frame_spec *spec, const unsigned char *frame, size_t size,
                   const unsigned char **message, size_t *message_size);

/*
 * Guesses from the first bytes of a stream with broken framing. Returns a static clause for people,
 * "these bytes are HTTP text", also for a TLS hello, lines of text, a 2-byte length, a
 * little-endian length; NULL: no guess.
 */
const char *frame_guess(const struct frame_spec *spec, const unsigned char *data, size_t size);
