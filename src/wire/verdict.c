/* SPDX-License-Identifier: MIT */
#include "wire/verdict.h"

#include <inttypes.h>
#include <stdio.h>

#include "util/units.h"

static void add_guess(const struct frame_spec *spec, const unsigned char *data, size_t n,
                      char *text, size_t size, int used)
{
        const char *guess = frame_guess(spec, data, n);

        if (guess && used >= 0 && (size_t)used < size)
                snprintf(text + used, size - (size_t)used, ": %s", guess);
}

void verdict_text(const struct frame_spec *spec, enum frame_result result, uint64_t declared,
                  const unsigned char *data, size_t n, char *text, size_t size)
{
        int used;

        if (result == FRAME_TOO_LARGE && spec->type == FRAME_DELIMITER)
                used = snprintf(text, size, "no delimiter within MaxMessageSize=%" PRIu64 " bytes",
                                spec->max_message_size);
        else if (result == FRAME_TOO_LARGE)
                used = snprintf(text, size,
                                "a length of %" PRIu64 " is declared, MaxMessageSize is %" PRIu64,
                                declared, spec->max_message_size);
        else if (spec->format >= FRAME_DECIMAL)
                used = snprintf(text, size, "the length field holds no %s number",
                                spec->format == FRAME_HEX ? "hexadecimal (lower case)" : "decimal");
        else
                used = snprintf(text, size,
                                "a length of %" PRIu64
                                " ends before its own field does (LengthAdjust=%" PRId64 ")",
                                declared, spec->length_adjust);
        add_guess(spec, data, n, text, size, used);
}

void verdict_unfinished(const struct frame_spec *spec, uint64_t received, uint64_t total,
                        uint64_t usec, const unsigned char *data, size_t n, char *text, size_t size)
{
        int used;

        if (total)
                used = snprintf(text, size,
                                "no byte for %s in the middle of a message: %" PRIu64 " of %" PRIu64
                                " bytes came",
                                units_span_words(usec).text, received, total);
        else
                used = snprintf(text, size,
                                "no byte for %s in the middle of a message: %" PRIu64 " bytes came",
                                units_span_words(usec).text, received);
        add_guess(spec, data, n, text, size, used);
}
