/* SPDX-License-Identifier: MIT */
#include "config/phrases.h"

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

int phrases_init(struct phrases *phrases, const struct config *config)
{
        const struct frame_spec *spec = &config->frame;

        *phrases = (struct phrases){.range = FRAME_NO_RANGE};
        if ((config->heartbeat_message.n &&
             !framed(spec, &config->heartbeat_message.items[0], &phrases->heartbeat)) ||
            (config->heartbeat_answer.n &&
             !framed(spec, &config->heartbeat_answer.items[0], &phrases->answer)) ||
            !framed_all(spec, &config->heartbeat_received, &phrases->received,
                        &phrases->n_received) ||
            !framed_all(spec, &config->greeting, &phrases->greetings, &phrases->n_greetings)) {
                phrases_done(phrases);
                return -ENOMEM;
        }
        for (size_t i = 0; i < phrases->n_received; i++)
                widen(&phrases->range, body_size(spec, &phrases->received[i]));
        return 0;
}

static void free_all(struct config_bytes *frames, size_t n)
{
        for (size_t i = 0; frames && i < n; i++)
                free(frames[i].data);
        free(frames);
}

void phrases_done(struct phrases *phrases)
{
        free(phrases->heartbeat.data);
        free(phrases->answer.data);
        free_all(phrases->received, phrases->n_received);
        free_all(phrases->greetings, phrases->n_greetings);
        *phrases = (struct phrases){.range = FRAME_NO_RANGE};
}
