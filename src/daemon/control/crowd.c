/* SPDX-License-Identifier: MIT */
/* Which connection is closed to make room for a new connection when [Control] MaxClients= are
 * connected. Every user who may open the socket may connect, so:
 * - no single user can shut out the other users, who watch or steer;
 * - a user who may steer (control_permitted()) is not shut out by any number of other users, nor
 *   by idle connections of users who may steer;
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

static struct control_call call_of(const struct control *control, int fd)
{
        return (struct control_call){control->service, control->ops, control->context, fd, NULL};
}

static bool may_steer(const struct control *control, int fd)
{
        const struct control_call call = call_of(control, fd);

        return control_permitted(&call);
}

static size_t count_of(const struct control *control, uid_t uid)
{
        const struct control_client *client;
        size_t n = 0;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                n += client->uid == uid;
        return n;
}

/* Returns the user, other than uid, with more than half of all connections; else uid. */
static uid_t majority(const struct control *control, uid_t uid)
{
        const struct control_client *client;
        size_t votes = 0;
        uid_t most = uid;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link)) {
                if (votes == 0)
                        most = client->uid;
                votes += client->uid == most ? 1 : (size_t)-1;
        }
        return count_of(control, most) > control->n_clients / 2 ? most : uid;
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

/* Returns the connection of uid to close, or NULL. */
static struct control_client *of_user(const struct control *control, uid_t uid)
{
        struct control_client *client, *found = NULL;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                if (client->uid == uid && (!found || is_rather(client, found)))
                        found = client;
        return found;
}

/* Returns the connection to close for a user who may steer: of the user with the most connections
 * among the users who may not steer; or NULL. Counts the connections of a user again for each
 * connection, at most a few thousand times. */
static struct control_client *of_crowd(const struct control *control)
{
        struct control_client *client, *found = NULL;
        size_t n, most = 0;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link)) {
                if (found && client->uid == found->uid)
                        continue;
                n = count_of(control, client->uid);
                if (n > most && !may_steer(control, client->fd)) {
                        found = client;
                        most = n;
                }
        }
        return found ? of_user(control, found->uid) : NULL;
}

/* Returns the idle connection with the longest inactivity, or NULL. For the case where all
 * connections may steer. */
static struct control_client *longest_idle(const struct control *control)
{
        struct control_client *client, *found = NULL;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                if (is_idle(client) && (!found || is_rather(client, found)))
                        found = client;
        return found;
}

/* Returns the connection to close for a new connection, fd, of the user uid; NULL: none. */
static struct control_client *victim_for(const struct control *control, int fd, uid_t uid)
{
        uid_t most = majority(control, uid);
        struct control_client *victim = most != uid ? of_user(control, most) : NULL;

        if (!may_steer(control, fd))
                return victim && may_steer(control, victim->fd) ? NULL : victim;
        if (!victim || may_steer(control, victim->fd))
                victim = of_crowd(control);
        return victim ? victim : longest_idle(control);
}

bool control_crowd_admits(struct control *control, int fd, uid_t uid)
{
        const struct control_call call = call_of(control, fd);
        uint64_t limit = control->service->max_clients(&call);
        struct control_client *victim;

        if (control->n_clients < limit)
                return true;
        tell_full(control);
        victim = victim_for(control, fd, uid);
        if (victim)
                control_client_close(victim, "somebody else needs its place");
        return control->n_clients < limit;
}
