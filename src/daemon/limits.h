/* SPDX-License-Identifier: MIT */
#pragma once
/* What the process may use, and whether that is enough for what is configured. */
#include "config/config.h"

/* Raises what may be raised, and warns of what is too little: at the start and after a reload. */
void limits_raise(const struct config *config);

/* Why there is no memory for the store; error: an errno. */
void limits_tell_no_store(int error);
