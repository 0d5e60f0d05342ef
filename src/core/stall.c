/* SPDX-License-Identifier: MIT */
#include "core/stall.h"

#include <stdio.h>

#include "util/units.h"

enum {
        UNANSWERED = 2,       /* one probe may be on its way */
        ANY_PATH_TAKES = 536, /* bytes of a segment: the MSS of the smallest packet of IPv4 */
};

enum stall_place stall_judge(const struct stall_seen *seen)
{
        if (seen->window_closed)
                return seen->unanswered >= UNANSWERED ? STALL_PATH : STALL_PROGRAM;
        /* A segment sent again is answered, too. Each interval between two of them is twice as long
         * as the one before. */
        if (seen->heard_usec >= seen->stalled_usec / 2)
                return STALL_PATH;
        return seen->sent_again && seen->under_way > ANY_PATH_TAKES ? STALL_SIZE : STALL_KERNEL;
}

void stall_text(const struct stall_seen *seen, enum stall_place place, char *text, size_t size)
{
        static const char *const words[] = {
                [STALL_PROGRAM] = "its kernel lives, its program does not read",
                [STALL_PATH] = "neither a byte nor an acknowledgement for ",
                [STALL_SIZE] = "the path takes small packets and no large ones: MTU?",
                [STALL_KERNEL] = "its kernel lives and acknowledges none",
        };

        snprintf(text, size, "data waits and the peer took none for %s (StallTimeout=): %s%s",
                 units_span_words(seen->stalled_usec).text, words[place],
                 place == STALL_PATH ? units_span_words(seen->heard_usec).text : "");
}
