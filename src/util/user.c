/* SPDX-License-Identifier: MIT */
#include "util/user.h"

#include <pwd.h>
#include <stdio.h>

#include "util/socket.h"

void user_name(uid_t uid, char name[USER_NAME_MAX])
{
        FILE *file = uid == SOCKET_NO_UID ? NULL : fopen("/etc/passwd", "re");
        const struct passwd *user = NULL;

        while (file && (user = fgetpwent(file)) && user->pw_uid != uid)
                ;
        if (user)
                snprintf(name, USER_NAME_MAX, "%s", user->pw_name);
        else if (uid == SOCKET_NO_UID)
                snprintf(name, USER_NAME_MAX, "unknown");
        else
                snprintf(name, USER_NAME_MAX, "uid %u", (unsigned)uid);
        if (file)
                fclose(file);
}
