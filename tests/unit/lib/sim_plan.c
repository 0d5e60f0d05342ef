/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static uint64_t random_of(uint64_t *state, uint64_t below)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return (*state >> 11) % below;
}

static void put_length(const struct frame_spec *spec, uint64_t length, unsigned char *field)
{
        unsigned base = spec->format == FRAME_HEX ? 16 : spec->format == FRAME_DECIMAL ? 10 : 256;

        for (uint32_t i = 0; i < spec->length_size; i++, length /= base) {
                uint32_t at = spec->format == FRAME_LITTLE ? i : spec->length_size - 1 - i;
                unsigned char digit = (unsigned char)(length % base);

                field[at] = base == 256 ? digit : (unsigned char)"0123456789abcdef"[digit];
        }
}

size_t plan_frame(const struct frame_spec *spec, const void *body, size_t size, unsigned char *out)
{
        if (spec->type == FRAME_DELIMITER) {
                memcpy(out, body, size);
                memcpy(out + size, spec->delimiter, spec->delimiter_size);
                return size + spec->delimiter_size;
        }
        memset(out, 'h', spec->length_offset);
        put_length(spec, (uint64_t)((int64_t)size - spec->length_adjust),
                   out + spec->length_offset);
        memcpy(out + frame_header_size(spec), body, size);
        return frame_header_size(spec) + size;
}

static size_t body_size(const struct plan *plan, uint64_t *rng, size_t least)
{
        uint64_t kind = random_of(rng, 1000);
        size_t size = kind < plan->large ? 65536 + random_of(rng, 150000)
                      : kind < 700       ? random_of(rng, 50)
                      : kind < 950       ? random_of(rng, 400)
                                         : random_of(rng, 6000);

        if (size < least)
                size = least;
        return size < plan->spec.max_message_size ? size : plan->spec.max_message_size;
}

/* Letters, and the delimiter's beginning where it is longer than one byte. */
static void fill_body(unsigned char *body, size_t size, uint64_t salt)
{
        for (size_t i = 0; i < size; i++) {
                salt = salt * UINT64_C(6364136223846793005) + 1442695040888963407u;
                body[i] = (unsigned char)("abcdefghijklmnopqrstuvwxyz01234\r"[salt >> 59]);
        }
}

static void stream_make(struct plan *plan, struct stream *stream, uint32_t n, int client,
                        uint64_t *rng)
{
        unsigned char *body = malloc(300000);
        size_t room = 0;

        stream->n = n;
        stream->boundary = calloc(n + 1, sizeof(*stream->boundary));
        for (uint32_t i = 0; i < n; i++) {
                size_t least = client < 0 ? plan->empty_heartbeat : SIM_KEY;
                size_t size = body_size(plan, rng, least);
                uint64_t at = stream->boundary[i];

                if (room < at + size + 100) {
                        room = (at + size + 100) * 2;
                        stream->data = realloc(stream->data, room);
                }
                fill_body(body, size, random_of(rng, UINT32_MAX));
                if (client >= 0) {
                        char key[32];

                        snprintf(key, sizeof(key), "M%02x%06x", (unsigned)client, i);
                        memcpy(body, key, SIM_KEY);
                }
                stream->boundary[i + 1] =
                        at + plan_frame(&plan->spec, body, size, stream->data + at);
        }
        free(body);
}

/* Looks at the frame as the edge would: its bytes decide. */
static bool is_heartbeat(void *context_, uint32_t slab, uint64_t pos, uint64_t size)
{
        void *const *context = context_;
        const struct plan *plan = context[0];
        unsigned char bytes[64];

        if (size != plan->heartbeat_size)
                return false;
        log_copy(context[1], slab, pos, bytes, size);
        if (memcmp(bytes, plan->heartbeat, size) != 0)
                return false;
        if (plan->answers && context[2])
                side_answer(context[2]);
        return true;
}

void plan_make(struct plan *plan)
{
        uint64_t rng = plan->seed * 2654435761u + 88172645463325252u;
        size_t size = plan->empty_heartbeat ? 0 : 3;

        plan->heartbeat_size = plan_frame(&plan->spec, "hb!", size, plan->heartbeat);
        plan->filter = (struct log_filter){.range = {size, size}, .drop = is_heartbeat};
        stream_make(plan, &plan->down, plan->down_n, -1, &rng);
        for (int i = 0; i < SIM_CLIENTS; i++)
                stream_make(plan, &plan->up[i], plan->up_n, i, &rng);
}

uint64_t plan_pos(const void *context, uint32_t message)
{
        const struct plan *plan = context;

        return plan->down.boundary[message];
}

void plan_done(struct plan *plan)
{
        free(plan->down.data);
        free(plan->down.boundary);
        for (int i = 0; i < SIM_CLIENTS; i++) {
                free(plan->up[i].data);
                free(plan->up[i].boundary);
        }
}
