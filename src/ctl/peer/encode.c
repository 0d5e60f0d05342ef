/* SPDX-License-Identifier: MIT */
#include "ctl/peer/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *encode_message(const struct frame_spec *spec, const void *message, size_t size,
                           unsigned char **frame, size_t *frame_size)
{
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];
        size_t head_size = 0, tail_size = 0;
        const char *error = frame_wrap(spec, message, size, head, &head_size, tail, &tail_size);

        if (error)
                return error;
        *frame_size = head_size + size + tail_size;
        *frame = malloc(*frame_size + 1);
        if (!*frame)
                return "there is no memory for it";
        memcpy(*frame, head, head_size);
        memcpy(*frame + head_size, message, size);
        memcpy(*frame + head_size + size, tail, tail_size);
        return NULL;
}

size_t encode_length(const struct frame_spec *spec, uint64_t length,
                     unsigned char head[FRAME_HEADER_MAX])
{
        struct frame_spec field = *spec;
        unsigned char tail[FRAME_DELIMITER_MAX];
        size_t size = 0, none = 0;

        if (spec->type != FRAME_LENGTH)
                return 0;
        /* Without an offset and an adjustment the field holds `length` unchanged. */
        field.length_offset = 0;
        field.length_adjust = 0;
        field.max_message_size = UINT64_MAX;
        memset(head, 0, FRAME_HEADER_MAX);
        if (frame_wrap(&field, "", length, head + spec->length_offset, &size, tail, &none))
                return 0;
        return spec->length_offset + size;
}

size_t encode_numbered_size(const struct frame_spec *spec, size_t size)
{
        return size +
               (spec->type == FRAME_DELIMITER ? spec->delimiter_size : frame_header_size(spec));
}

void encode_numbered(const struct frame_spec *spec, uint64_t number, size_t size,
                     unsigned char *frame)
{
        unsigned char head[FRAME_HEADER_MAX];
        size_t before = encode_length(spec, (uint64_t)((int64_t)size - spec->length_adjust), head);
        char digits[24];
        size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);

        memcpy(frame, head, before);
        memset(frame + before, '.', size);
        memcpy(frame + before, digits, n < size ? n : size);
        if (spec->type == FRAME_DELIMITER)
                memcpy(frame + size, spec->delimiter, spec->delimiter_size);
}
