/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Streams of messages for the unit tests of frames, and of all code above frames: every kind of
 * frame, an encoder and a decoder that share no code with src/wire, and repeatable random numbers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/* ---- random numbers ---- */

/* Seeds from $FTCPD_TEST_SEED or the clock, and prints the seed behind name. */
void random_start(const char *name);

/* Returns 64 random bits. */
uint64_t random_number(void);

/* Returns a number from 0 to limit - 1. */
uint64_t random_below(uint64_t limit);

/* True in one of n calls, on average. */
bool random_one_in(uint64_t n);

/* Returns a size as in real traffic: mostly small, at times up to max. */
uint64_t random_size(uint64_t max);

/* ---- kinds of frame ---- */

struct kind {
        const char *name;
        struct frame_spec spec;
        uint64_t largest;  /* body that the length field can declare, or 1 MiB */
        uint64_t smallest; /* 0, or the size of the trailer that every frame has */
};

extern const struct kind kinds[];
extern const size_t n_kinds;

/* Returns the bytes of a frame besides the body: header or delimiter. */
size_t frame_overhead(const struct frame_spec *spec);

/* Returns the number in the length field before a body of `body` bytes. */
uint64_t kind_length(const struct frame_spec *spec, uint64_t body);

/* ---- streams ---- */

/* A growing array of bytes, freed with stream_done(). */
struct stream {
        unsigned char *bytes;
        size_t size, room;
};

/* Appends bytes. */
void stream_add(struct stream *stream, const void *bytes, size_t size);

/* Appends a frame with this body. Returns the frame's size. */
size_t stream_frame(struct stream *stream, const struct frame_spec *spec, const void *body,
                    size_t size);

/* Appends a frame with a random body of `size` bytes without the delimiter. Returns its size. */
size_t stream_random(struct stream *stream, const struct frame_spec *spec, size_t size);

/* Appends n small messages, some of them empty if this kind of frame allows empty messages. */
void stream_messages(struct stream *stream, const struct kind *k, int n);

/* Appends only the header of a frame with this body, for a frame that stays incomplete. */
void stream_header(struct stream *stream, const struct frame_spec *spec, uint64_t body);

/* Frees the bytes. */
void stream_done(struct stream *stream);

/* Returns the size of the first frame, found byte by byte; 0: the frame is not whole. `seen` bytes
 * are known to contain no end of a frame. */
size_t frame_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size,
                size_t seen);

/* Returns the size of all whole frames together. Adds the number of frames to *frames. */
size_t frames_at(const struct frame_spec *spec, const unsigned char *bytes, size_t size,
                 uint64_t *frames);
