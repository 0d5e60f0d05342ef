/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Streams of messages for the unit tests of what stands on frames: every kind of frame, an encoder
 * and a decoder that share nothing with those under test, and random numbers that can be repeated.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/* ---- random numbers ---- */

/* Seeds from $FTCPD_TEST_SEED or the clock, and prints the seed with the name of who asks. */
void random_start(const char *name);
uint64_t random_number(void);

/* From 0 to limit - 1. */
uint64_t random_below(uint64_t limit);
bool random_one_in(uint64_t n);

/* Sizes as traffic has them: mostly small, at times up to max. */
uint64_t random_size(uint64_t max);

/* ---- kinds of frame ---- */

struct kind {
        const char *name;
        struct frame_spec spec;
        uint64_t largest;  /* body that its length field can say, or 1 MiB */
        uint64_t smallest; /* 0, but where every frame has a trailer */
};

extern const struct kind kinds[];
extern const size_t n_kinds;

/* What a frame has besides its body. */
size_t frame_overhead(const struct frame_spec *spec);

/* The number in a length field of such a body. */
uint64_t kind_length(const struct frame_spec *spec, uint64_t body);

/* ---- streams ---- */

/* A growing array of bytes; done with stream_done(). */
struct stream {
        unsigned char *bytes;
        size_t size, room;
};

void stream_add(struct stream *stream, const void *bytes, size_t size);

/* Adds a frame with this body, or one of random bytes that the delimiter allows. Returns its size.
 */
size_t stream_frame(struct stream *stream, const struct frame_spec *spec, const void *body,
                    size_t size);
size_t stream_random(struct stream *stream, const struct frame_spec *spec, size_t size);

/* Small messages, among them empty ones, as far as this kind of frame knows them. */
void stream_messages(struct stream *stream, const struct kind *k, int n);

/* Only the header of a frame with this body, for bytes that never come. */
void stream_header(struct stream *stream, const struct frame_spec *spec, uint64_t body);
void stream_done(struct stream *stream);

/* How long the first whole frame of these bytes is, one byte looked at after the other; 0: none is
 * whole. That none ends before `seen` is known. */
size_t frame_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size,
                size_t seen);

/* All whole frames together; *frames is raised by their number. */
size_t frames_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size,
                 uint64_t *frames);
