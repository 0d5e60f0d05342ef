/* SPDX-License-Identifier: MIT */
/* Who makes room where [Control] MaxClients= are connected. Whoever may read may connect, so that
 * no user may shut out the others, who watch or steer; those who steer are not shut out by any
 * number of users together, nor by connections of their own that wait for nothing; and nobody else
 * takes the place of one who steers. */
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

/* The user, another than uid, who has more than half of all connections; else uid. */
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

/* Does it wait for nothing, and hold nothing, but its place? */
static bool is_idle(const struct control_client *client)
{
        return !client->monitor.on && !client->flush.on && client->out_size == client->out_sent;
}

/* Is the connection of one the better to end? Rather one that waits for nothing, of these the one
 * that did nothing for longest, and of the others the oldest: new ones stand in front. */
static bool is_rather(const struct control_client *one, const struct control_client *other)
{
        if (is_idle(one) != is_idle(other))
                return is_idle(one);
        return !is_idle(one) || one->active_usec <= other->active_usec;
}

static struct control_client *of_user(const struct control *control, uid_t uid)
{
        struct control_client *client, *found = NULL;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                if (client->uid == uid && (!found || is_rather(client, found)))
                        found = client;
        return found;
}

/* For one who steers: of the user who has most, among those who may not. Users are counted once for
 * each of their connections, which at most a few thousand may be. */
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

/* Where all are of those who steer: the one that did nothing for longest, if any waits for
 * nothing. */
static struct control_client *longest_idle(const struct control *control)
{
        struct control_client *client, *found = NULL;

        for (client = LIST_FIRST(&control->clients); client; client = LIST_NEXT(client, link))
                if (is_idle(client) && (!found || is_rather(client, found)))
                        found = client;
        return found;
}

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
