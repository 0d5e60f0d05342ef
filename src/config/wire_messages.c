/* SPDX-License-Identifier: MIT */
#include "config/wire_messages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool framed(const struct frame_spec *spec, const struct config_bytes *message,
                   struct config_bytes *frame)
{
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];
        size_t before, behind;

        frame_wrap(spec, message->data, message->size, head, &before, tail, &behind);
        frame->size = before + message->size + behind;
        frame->data = malloc(frame->size + 1);
        if (!frame->data)
                return false;
        memcpy(frame->data, head, before);
        if (message->size)
                memcpy(frame->data + before, message->data, message->size);
        memcpy(frame->data + before + message->size, tail, behind);
        return true;
}

static bool framed_all(const struct frame_spec *spec, const struct config_messages *messages,
                       struct config_bytes **frames, size_t *n)
{
        *frames = calloc(messages->n + 1, sizeof(**frames));
        if (!*frames)
                return false;
        for (*n = 0; *n < messages->n; ++*n)
                if (!framed(spec, &messages->items[*n], &(*frames)[*n]))
                        return false;
        return true;
}

static void widen(struct frame_range *range, uint64_t body)
{
        if (range->min == UINT64_MAX || body < range->min)
                range->min = body;
        if (range->max == UINT64_MAX || body > range->max)
                range->max = body;
}

static uint64_t body_size(const struct frame_spec *spec, const struct config_bytes *frame)
{
        return frame->size -
               (spec->type == FRAME_DELIMITER ? spec->delimiter_size : frame_header_size(spec));
}

int wire_messages_init(struct wire_messages *wire_messages, const struct config *config)
{
        const struct frame_spec *spec = &config->frame;

        *wire_messages = (struct wire_messages){.range = FRAME_NO_RANGE};
        if ((config->heartbeat_message.n &&
             !framed(spec, &config->heartbeat_message.items[0], &wire_messages->heartbeat)) ||
            (config->heartbeat_answer.n &&
             !framed(spec, &config->heartbeat_answer.items[0], &wire_messages->answer)) ||
            !framed_all(spec, &config->heartbeat_received, &wire_messages->received,
                        &wire_messages->n_received) ||
            !framed_all(spec, &config->greeting, &wire_messages->greetings,
                        &wire_messages->n_greetings)) {
                wire_messages_done(wire_messages);
                return -ENOMEM;
        }
        for (size_t i = 0; i < wire_messages->n_received; i++)
                widen(&wire_messages->range, body_size(spec, &wire_messages->received[i]));
        return 0;
}

static void free_all(struct config_bytes *frames, size_t n)
{
        for (size_t i = 0; frames && i < n; i++)
                free(frames[i].data);
        free(frames);
}

void wire_messages_done(struct wire_messages *wire_messages)
{
        free(wire_messages->heartbeat.data);
        free(wire_messages->answer.data);
        free_all(wire_messages->received, wire_messages->n_received);
        free_all(wire_messages->greetings, wire_messages->n_greetings);
        *wire_messages = (struct wire_messages){.range = FRAME_NO_RANGE};
}
