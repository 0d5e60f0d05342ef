/* SPDX-License-Identifier: MIT */
#pragma once
/* What a user is called, for people: in a log, in the status. */
#include <sys/types.h>

enum { USER_NAME_MAX = 64 };

/*
 * The name that /etc/passwd has for it, or "uid N". Nobody else is asked: an answer from a
 * directory service could take its time, and the event loop would wait.
 */
void user_name(uid_t uid, char name[USER_NAME_MAX]);
