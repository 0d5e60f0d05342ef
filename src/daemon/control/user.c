/* SPDX-License-Identifier: MIT */
/* The users of connections. A user lasts as long as its connections, so that one who closes each
 * connection and opens the next stays the same user to the queue. */
#include "daemon/control/control_internal.h"

#include <stdlib.h>

struct control_user *control_user_find(const struct control *control, uid_t uid, bool first)
{
        struct control_user *user;

        LIST_FOREACH(user, &control->users, link)
        if (user->uid == uid && user->first == first)
                return user;
        return NULL;
}

struct control_user *control_user_join(struct control *control, uid_t uid, bool first)
{
        struct control_user *user = control_user_find(control, uid, first);

        if (!user) {
                user = calloc(1, sizeof(*user));
                if (!user)
                        return NULL;
                user->uid = uid;
                user->first = first;
                control_lines_init(&user->lines);
                LIST_INSERT_HEAD(&control->users, user, link);
        }
        user->n_clients++;
        user->n_held++;
        return user;
}

void control_user_leave(struct control_user *user)
{
        if (--user->n_held > 0)
                return;
        LIST_REMOVE(user, link);
        free(user);
}
