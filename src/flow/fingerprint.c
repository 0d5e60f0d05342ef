/* SPDX-License-Identifier: MIT */
#include "flow/fingerprint.h"

#include <stdio.h>
#include <string.h>

static struct image_frame frame_words(const struct frame_spec *spec)
{
        struct image_frame words = {.type = (uint64_t)spec->type};

        if (spec->type == FRAME_DELIMITER) {
                words.delimiter_size = spec->delimiter_size;
                for (uint32_t i = 0; i < spec->delimiter_size; i++)
                        words.delimiter = words.delimiter << 8 | spec->delimiter[i];
        } else {
                words.format = (uint64_t)spec->format;
                words.length_size = spec->length_size;
                words.length_offset = spec->length_offset;
                words.length_adjust = (uint64_t)spec->length_adjust;
        }
        return words;
}

void fingerprint_frame(struct image *image, const struct frame_spec *spec)
{
        image->frame = frame_words(spec);
}

bool fingerprint_frame_is(const struct image *image, const struct frame_spec *spec)
{
        struct image_frame words = frame_words(spec);

        return memcmp(&words, &image->frame, sizeof(words)) == 0;
}

bool fingerprint_frame_of(const struct image *image, struct frame_spec *spec)
{
        const struct image_frame *words = &image->frame;

        /* Before the words become smaller integers. */
        if (words->type > FRAME_DELIMITER || words->format > FRAME_HEX ||
            words->length_size > FRAME_LENGTH_SIZE_MAX ||
            words->length_offset > FRAME_LENGTH_OFFSET_MAX ||
            words->delimiter_size > FRAME_DELIMITER_MAX)
                return false;
        *spec = (struct frame_spec){.type = (enum frame_type)words->type,
                                    .format = (enum frame_format)words->format,
                                    .length_size = (uint32_t)words->length_size,
                                    .length_offset = (uint32_t)words->length_offset,
                                    .length_adjust = (int64_t)words->length_adjust,
                                    .delimiter_size = (uint32_t)words->delimiter_size,
                                    .max_message_size = INT64_MAX};
        for (uint32_t i = 0; i < spec->delimiter_size; i++)
                spec->delimiter[i] =
                        (unsigned char)(words->delimiter >> 8 * (spec->delimiter_size - 1 - i));
        return frame_spec_is_sound(spec) && fingerprint_frame_is(image, spec);
}

static uint64_t add_bytes(uint64_t sum, const void *data, size_t size)
{
        const unsigned char *bytes = data;

        for (size_t i = 0; i < size; i++)
                sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
        return (sum ^ size ^ UINT64_C(0x5bd1e995)) * UINT64_C(0x100000001b3);
}

uint64_t fingerprint_link(const struct config *config)
{
        const char *source = config->source_address ? config->source_address : "";
        uint64_t sum = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < config->n_addresses; i++)
                sum = add_bytes(sum, config->addresses[i].text, strlen(config->addresses[i].text));
        sum = add_bytes(sum, source, strlen(source));
        for (size_t i = 0; i < config->greeting.n; i++)
                sum = add_bytes(sum, config->greeting.items[i].data,
                                config->greeting.items[i].size);
        sum = add_bytes(sum, &config->greeting.n, sizeof(config->greeting.n));
        return add_bytes(sum, config->greeting_expect.data, config->greeting_expect.size);
}

void fingerprint_address(struct image_session *session, const char *address)
{
        snprintf((char *)session->address, sizeof(session->address), "%s", address);
}

const char *fingerprint_address_of(const struct image_session *session)
{
        const char *text = (const char *)session->address;

        return memchr(text, '\0', sizeof(session->address)) ? text : "?";
}
