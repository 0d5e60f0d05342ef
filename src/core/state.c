/* SPDX-License-Identifier: MIT */
#include "core/state.h"

#include <assert.h>

static const char *const states[] = {
        [LINK_RESOLVING] = "resolving",
        [LINK_CONNECTING] = "connecting",
        [LINK_HANDSHAKING] = "handshaking",
        [LINK_GREETING] = "greeting",
        [LINK_UP] = "up",
        [LINK_WAITING] = "waiting",
        [LINK_HELD] = "held",
        [LINK_STOPPING] = "stopping",
        [LINK_CONNECTED] = "connected",
};
static_assert(sizeof(states) / sizeof(*states) == LINK_STATES, "every state has its word");

static const char *const causes[] = {
        [CAUSE_NONE] = "none",
        [CAUSE_RESOLVE] = "resolve",
        [CAUSE_REFUSED] = "refused",
        [CAUSE_TIMEOUT] = "timeout",
        [CAUSE_UNREACHABLE] = "unreachable",
        [CAUSE_SILENT] = "silent",
        [CAUSE_PATH] = "path",
        [CAUSE_STALLED] = "stalled",
        [CAUSE_CLOSED] = "closed",
        [CAUSE_RESET] = "reset",
        [CAUSE_FRAMING] = "framing",
        [CAUSE_GREETING] = "greeting",
        [CAUSE_HELD] = "held",
        [CAUSE_OPERATOR] = "operator",
        [CAUSE_LOCAL] = "local",
};
static_assert(sizeof(causes) / sizeof(*causes) == LINK_CAUSES, "every cause has its word");

const char *link_state_name(enum link_state state)
{
        return states[state];
}

const char *link_cause_name(enum link_cause cause)
{
        return causes[cause];
}

bool link_cause_tells_more(enum link_cause a, enum link_cause b)
{
        static const unsigned char ranks[LINK_CAUSES] = {
                [CAUSE_REFUSED] = 6,     [CAUSE_RESET] = 5,   [CAUSE_TIMEOUT] = 4,
                [CAUSE_UNREACHABLE] = 3, [CAUSE_RESOLVE] = 2, [CAUSE_LOCAL] = 1,
        };

        return ranks[a] > ranks[b];
}
