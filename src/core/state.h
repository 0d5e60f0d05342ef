/* SPDX-License-Identifier: MIT */
#pragma once
/* The link's states and the causes of a loss: an asserted table of names for each, shared by diag,
 * status and tests. */
#include <stdbool.h>

enum link_state {
        LINK_RESOLVING,
        LINK_CONNECTING,
        LINK_HANDSHAKING, /* for TLS; nothing sets the state yet */
        LINK_GREETING,
        LINK_UP,
        LINK_WAITING,
        LINK_HELD,
        LINK_STOPPING,
        LINK_CONNECTED, /* nothing was heard of the peer yet; between greeting and up */
        LINK_STATES,
};

enum link_cause {
        CAUSE_NONE,
        CAUSE_RESOLVE,
        CAUSE_REFUSED,
        CAUSE_UNREACHABLE,
        CAUSE_TIMEOUT,
        CAUSE_SILENT,
        CAUSE_PATH,
        CAUSE_STALLED,
        CAUSE_CLOSED,
        CAUSE_RESET,
        CAUSE_FRAMING,
        CAUSE_GREETING,
        CAUSE_HELD,
        CAUSE_OPERATOR,
        CAUSE_LOCAL,
        LINK_CAUSES,
};

/* Returns the word of a state, such as "up". */
const char *link_state_name(enum link_state state);

/* Returns the word of a cause, such as "refused". */
const char *link_cause_name(enum link_cause cause);

/* True if cause a of a failed attempt tells more of the peer than cause b: a round over several
 * addresses has the cause of the most telling one, so that a host without IPv6 does not hide that
 * the peer refuses. */
bool link_cause_tells_more(enum link_cause a, enum link_cause b);
