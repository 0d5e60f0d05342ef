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
