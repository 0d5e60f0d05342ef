/* SPDX-License-Identifier: MIT */
/* Which connection is closed to make room for a new connection when [Control] MaxClients= are
 * connected. Every user who may open the socket may connect, so:
 * - of users who may not steer, the one with the most connections makes room for one who has fewer
 *   even then: no user, nor several, can shut out another;
 * - a user who may steer is not shut out by any number of other users, nor by idle connections of
 *   users who may steer;
 * - only a user who may steer takes the place of a connection that may steer. */
#include "daemon/control/control_internal.h"

#include "util/clock.h"
#include "util/diag.h"

#define TELL_USEC (60 * USEC_PER_SEC)

static void tell_full(struct control *control)
{
        uint64_t now = clock_usec();

        if (control->full_told && now - control->full_told < TELL_USEC)
                return;
        diag_warning("control: %zu clients are connected, no more are served ([Control] "
                     "MaxClients); told once a minute at most",
                     control->n_clients);
        control->full_told = now;
}

/* True if the connection has no Monitor, no Tap, no Flush and no unread reply. */
static bool is_idle(const struct control_client *client)
{
        return !client->monitor.on && !client->flush.on && client->out_size == client->out_sent;
}

/* True if `one` is the better connection to close, where `other` stands before `one` in the list.
 * An idle connection is better; of two idle connections, the longer inactive; else the older, which
 * is `one`, because new connections stand in front. */
static bool is_rather(const struct control_client *one, const struct control_client *other)
{
        if (is_idle(one) != is_idle(other))
                return is_idle(one);
        return !is_idle(one) || one->active_usec <= other->active_usec;
}

/* Returns the connection of the user to close, or NULL. */
static struct control_client *of_user(const struct control *control,
                                      const struct control_user *user)
{
        struct control_client *client, *found = NULL;

        LIST_FOREACH(client, &control->clients, link)
        if (client->user == user && (!found || is_rather(client, found)))
                found = client;
        return found;
}

/* Returns the idle connection with the longest inactivity, or NULL. For the case where all
 * connections may steer. */
static struct control_client *longest_idle(const struct control *control)
{
        struct control_client *client, *found = NULL;

        LIST_FOREACH(client, &control->clients, link)
        if (is_idle(client) && (!found || is_rather(client, found)))
                found = client;
        return found;
}

/* Returns the user with the most connections among those who may not steer, or NULL. */
static const struct control_user *biggest(const struct control *control)
{
        const struct control_user *user, *found = NULL;

        LIST_FOREACH(user, &control->users, link)
        if (!user->first && user->n_clients > (found ? found->n_clients : 0))
                found = user;
        return found;
}

/* Returns the connection to close for a new connection; NULL: none. */
static struct control_client *victim_for(const struct control *control, uid_t uid, bool first)
{
        const struct control_user *most = biggest(control);
        const struct control_user *user = control_user_find(control, uid, first);
        size_t n = user ? user->n_clients : 0;

        if (first)
                return most ? of_user(control, most) : longest_idle(control);
        return most && most->n_clients > n + 1 ? of_user(control, most) : NULL;
}

bool control_crowd_admits(struct control *control, uid_t uid, bool first)
{
        const struct control_call call = {.service = control->service,
                                          .ops = control->ops,
                                          .context = control->context,
                                          .fd = -1};
        uint64_t limit = control->service->max_clients(&call);
        struct control_client *victim;

        if (control->n_clients < limit)
                return true;
        tell_full(control);
        victim = victim_for(control, uid, first);
        if (victim)
                control_client_evict(victim, "somebody else needs its place");
        return control->n_clients < limit;
}
