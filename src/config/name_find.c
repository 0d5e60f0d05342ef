/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "config/people.h"

/* A group of a large directory has a long list of members. */
enum { FIRST = 1024, MOST = 64 << 20 };

static int find_group(const char *name, char *room, size_t size, uint32_t *id)
{
        struct group group, *found = NULL;
        int error = getgrnam_r(name, &group, room, size, &found);

        if (found)
                *id = group.gr_gid;
        return found ? 0 : error ? error : ENOENT;
}

static int find_user(const char *name, char *room, size_t size, uint32_t *id)
{
        struct passwd user, *found = NULL;
        int error = getpwnam_r(name, &user, room, size, &found);

        if (found)
                *id = user.pw_uid;
        return found ? 0 : error ? error : ENOENT;
}

int config_name_find(const char *who, uint32_t *id)
{
        char *room = NULL;
        int error = ERANGE;

        for (size_t size = FIRST; error == ERANGE && size <= MOST; size *= 4) {
                char *more = realloc(room, size);

                if (!more) {
                        error = ENOMEM;
                        break;
                }
                room = more;
                error = *who == '@' ? find_group(who + 1, room, size, id)
                                    : find_user(who, room, size, id);
        }
        free(room);
        return error;
}
