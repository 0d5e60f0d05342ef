/* SPDX-License-Identifier: MIT */
#pragma once
/* Who may change the daemon's state: root, the daemon's own user, and [Control] Admin=. */
#include "core/config.h"

#include <stdbool.h>

/* Judges the peer of a Unix socket by its credentials at the time when it connected. A peer without
 * credentials may not. */
bool control_permit(int fd, const struct config *config);
