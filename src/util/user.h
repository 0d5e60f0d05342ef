/* SPDX-License-Identifier: MIT */
#pragma once
/* The name of a user, for people: in diag, in the status. */
#include <sys/types.h>

enum { USER_NAME_MAX = 64 };

/*
 * Sets name to the name of uid in /etc/passwd, or to "uid N". Does not ask a directory service,
 * because the answer could take long, and the event loop would wait.
 */
void user_name(uid_t uid, char name[USER_NAME_MAX]);
