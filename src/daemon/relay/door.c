/* SPDX-License-Identifier: MIT */
/* Admits connections as clients or turns connections away; decides whether a client may send. */
#include "daemon/relay/relay_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/catalog.h"
#include "edge/tcp.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/host_error.h"
#include "util/socket.h"

enum {
        RESERVE = 32, /* descriptors for the link, its resolver and the daemon itself */
        CROWD = 4,    /* of fewer places no user makes room for another */
};

#define TELL_USEC (60 * USEC_PER_SEC)

bool relay_slot_room(struct relay *relay, uint32_t slot)
{
        size_t more = relay->free_slots_room * 2 + 64;
        uint32_t *slots;

        if (slot < relay->free_slots_room)
                return true;
        more = more > slot ? more : slot + 1;
        slots = reallocarray(relay->free_slots, more, sizeof(*slots));
        if (!slots)
                return false;
        relay->free_slots = slots;
        relay->free_slots_room = more;
        return true;
}

/* Takes a free slot of the client table, with room in free_slots for its return. Returns
 * IMAGE_CLIENTS if the table is full or memory is short. */
static uint32_t take_slot(struct relay *relay)
{
        struct image_totals *totals = &relay->store.image->totals;
        uint32_t slot = (uint32_t)totals->client_slots;

        if (relay->n_free_slots)
                return relay->free_slots[--relay->n_free_slots];
        if (!relay_slot_room(relay, slot) || !store_client_ready(&relay->store, slot))
                return IMAGE_CLIENTS;
        store_set(&totals->client_slots, slot + 1);
        return slot;
}

/* True if Senders= has the peer, or is not set. A TCP client has no user, and a peer that the
 * kernel does not tell is nobody: Senders= has neither. */
static bool is_sender(const struct relay *relay, const struct client *client,
                      const struct socket_peer *peer)
{
        const struct config_people *senders = &relay->config->senders;

        return !senders->set || (client->local && config_people_have(senders, peer->uid,
                                                                     peer->groups, peer->n_groups));
}

/* True if Senders= lets the client send. An unplaced client only receives, for the boundaries of
 * its messages are lost. */
static bool may_send(const struct relay *relay, const struct client *client,
                     const struct socket_peer *peer)
{
        return !client->unplaced && is_sender(relay, client, peer);
}

/* Fills peer, which is to be freed with socket_peer_done(): nobody for a TCP client. */
static void get_peer(const struct client *client, struct socket_peer *peer)
{
        if (client->local)
                socket_peer_get(client->fd, peer);
        else
                socket_peer_init(peer);
}

/* Fills name with the user behind a connection: the number of a local user, or an address. */
static void user_name(int fd, bool local, char name[USERS_NAME])
{
        struct sockaddr_storage address = {0};
        struct ucred cred = {.uid = SOCKET_NO_UID};
        socklen_t size = sizeof(address), cred_size = sizeof(cred);

        snprintf(name, USERS_NAME, "?");
        if (local && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_size) == 0 &&
            cred.uid != SOCKET_NO_UID)
                snprintf(name, USERS_NAME, "%u", (unsigned)cred.uid);
        else if (!local && getpeername(fd, (struct sockaddr *)&address, &size) == 0)
                getnameinfo((struct sockaddr *)&address, size, name, USERS_NAME, NULL, 0,
                            NI_NUMERICHOST);
}

void relay_introduce(struct relay *relay, struct client *client)
{
        char name[USERS_NAME];

        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        struct socket_peer peer;
        char text[80];

        user_name(client->fd, client->local, name);
        client->user = users_join(&relay->users, name);
        get_peer(client, &peer);
        client->pid = peer.pid;
        client->uid = peer.uid;
        client->gid = peer.gid;
        if (client->local) {
                memcpy(client->who.program, peer.program, sizeof(client->who.program));
        } else {
                getpeername(client->fd, (struct sockaddr *)&address, &size);
                tcp_prepare_client(client->fd);
                socket_address_text((struct sockaddr *)&address, size, text, sizeof(text));
                client->who.address = strdup(text);
        }
        client->indebted = client->user && user_debt(client->user, client_program(client),
                                                     relay->class.limits.grace_usec, clock_usec());
        client->receive_only = !may_send(relay, client, &peer);
        socket_peer_done(&peer);
        diag_debug("%s connected%s", client_name(client),
                   client->receive_only ? ", may only receive" : "");
        relay_tell_client(relay, TELL_CAME, client,
                          client->receive_only ? "connected, may only receive" : "connected");
}

void relay_permit(struct relay *relay, struct client *client)
{
        struct socket_peer peer;

        socket_peer_init(&peer);
        if (client->local && relay->config->senders.set) /* else nobody asks who it is */
                socket_peer_get_ids(client->fd, &peer);
        client_permit(client, may_send(relay, client, &peer));
        socket_peer_done(&peer);
}

void relay_names_found(struct relay *relay)
{
        struct client *client, *next;

        for (client = TAILQ_FIRST(&relay->all); client; client = next) {
                struct socket_peer peer;

                next = TAILQ_NEXT(client, all);
                if (client->fd < 0)
                        continue;
                socket_peer_init(&peer);
                if (client->local)
                        socket_peer_get_ids(client->fd, &peer);
                if (client->unplaced && client->receive_only && is_sender(relay, client, &peer))
                        client_leave(client, "its user was found, and it may send on a new "
                                             "connection: what it sent before was refused");
                else
                        client_permit(client, may_send(relay, client, &peer));
                socket_peer_done(&peer);
        }
}

/* A crowd must not flood diag. */
static void tell_refused(struct relay *relay, const char *why)
{
        uint64_t now = clock_usec();

        relay_tell_client(relay, TELL_REFUSED, NULL, why);
        if (!relay->turned_away || now - relay->turned_away >= TELL_USEC) {
                diag_warning("a client was refused: %s; told once a minute at most", why);
                relay->turned_away = now;
        }
}

/* Closes fd and counts the connection. */
static void turn_away(struct relay *relay, int fd, const char *why)
{
        struct image_totals *totals = &relay->store.image->totals;

        tell_refused(relay, why);
        store_begin(&relay->store);
        store_add(&relay->store, &totals->clients_refused, 1);
        store_put(&relay->store, &totals->accepting, 0);
        store_commit(&relay->store);
        close(fd);
}

/* True for a local program that has gone again and sent nothing. One that has only ended sending is
 * there to receive. */
static bool is_gone(int fd)
{
        struct pollfd there = {.fd = fd};
        int n;

        return poll(&there, 1, 0) == 1 && (there.revents & POLLHUP) &&
               ioctl(fd, FIONREAD, &n) == 0 && n == 0;
}

/* Counts and closes a connection whose program is gone: no slot, no name. */
static void dismiss(struct relay *relay, int fd)
{
        struct image_totals *totals = &relay->store.image->totals;

        relay_tell_client(relay, TELL_CAME, NULL, "came and went, and sent nothing");
        store_begin(&relay->store);
        store_add(&relay->store, &totals->clients_accepted, 1);
        store_put(&relay->store, &totals->accepting, 0);
        store_commit(&relay->store);
        close(fd);
}

/* All places are taken: where one user has more than half of them, a client of another user gets
 * the place of its last one. Returns true if there is a place now. */
static bool make_place(struct relay *relay, const struct client_setup *setup)
{
        const struct user *major = relay->users.major;
        struct client *client;
        char name[USERS_NAME], why[160];

        if (!major || relay->config->max_clients < CROWD)
                return false;
        user_name(setup->fd, setup->local, name);
        if (strcmp(name, major->name) == 0)
                return false;
        client = TAILQ_LAST(&relay->all, client_list);
        while (client && client->user != major)
                client = TAILQ_PREV(client, client_list, all);
        if (!client)
                return false;
        snprintf(why, sizeof(why),
                 "crowded: its user has %u of the %" PRIu64
                 " places (MaxClients=), and another user's client came",
                 major->clients, relay->config->max_clients);
        store_begin(&relay->store);
        store_add(&relay->store, &relay->store.image->totals.crowded, 1);
        store_commit(&relay->store);
        client_end(client, DROP_CLIENT_GONE, false, why);
        return relay->n_clients < relay->config->max_clients;
}

/* True if fd is among the last descriptors: these stay free for the link and the control socket. */
static bool is_among_last(const struct relay *relay, int fd)
{
        uint64_t reserve = relay->config->control_max_clients + RESERVE;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return false;
        if (reserve > limit.rlim_cur / 2)
                reserve = limit.rlim_cur / 2;
        return (rlim_t)fd >= limit.rlim_cur - reserve;
}

struct client_setup relay_client_setup(struct relay *relay, int fd)
{
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);

        getsockname(fd, (struct sockaddr *)&address, &size);
        return (struct client_setup){
                .class = &relay->class, .fd = fd, .local = address.ss_family == AF_UNIX};
}

/* Adds 1 to a counter of accepted or refused clients, and stores that client `id` is judged. */
static void count_client(struct relay *relay, uint64_t *counter, uint64_t id)
{
        store_begin(&relay->store);
        store_add(&relay->store, counter, 1);
        store_put(&relay->store, &relay->store.image->totals.admitted, id + 1);
        store_commit(&relay->store);
}

/* True if the client table has client id. */
static bool is_in(const struct image *image, uint64_t id)
{
        for (uint64_t slot = 0; slot < image->totals.client_slots; slot++)
                if (image->client[slot].id == id)
                        return true;
        return false;
}

static void tell_lost(struct relay *relay, uint64_t id, const char *text)
{
        diag_event(LOG_WARNING, diag_facts(.id = CATALOG_CLIENT_ENDED, .client = id), "%s", text);
        relay_tell(relay, EVENT_CLIENT, "%s", text);
}

void relay_recover_door(struct relay *relay)
{
        struct image_totals *totals = &relay->store.image->totals;
        uint64_t id = totals->next_client_id;

        if (totals->admitted && totals->admitted <= id && is_in(relay->store.image, id)) {
                count_client(relay, &totals->clients_accepted, id);
        } else if (totals->admitted && totals->admitted <= id) {
                tell_lost(relay, id,
                          "a client is disconnected: ftcpd ended while it was being accepted");
                count_client(relay, &totals->clients_refused, id);
        } else if (totals->accepting) {
                tell_lost(relay, 0,
                          "a client may have been disconnected: ftcpd ended while it looked for "
                          "the next one to accept");
                store_begin(&relay->store);
                store_put(&relay->store, &totals->accepting, 0);
                count_client(relay, &totals->clients_refused, id);
                store_commit(&relay->store);
        }
        store_set(&totals->accepting, 0);
        store_set(&totals->admitted, id + 1); /* the first builds left 0 here */
}

void relay_admit(void *context, int fd)
{
        struct relay *relay = context;
        struct image_totals *totals = &relay->store.image->totals;
        struct client_setup setup = relay_client_setup(relay, fd);
        struct client *client;

        if (setup.local && is_gone(fd)) {
                dismiss(relay, fd);
                return;
        }
        if (relay->config->when_down == DOWN_REFUSE && !relay->was_open) {
                turn_away(relay, fd, "the link is down (WhenDown=refuse)");
                return;
        }
        if (is_among_last(relay, fd)) {
                turn_away(relay, fd, "no more descriptors may be open (LimitNOFILE=)");
                return;
        }
        if (relay->n_clients >= relay->config->max_clients && !make_place(relay, &setup)) {
                turn_away(relay, fd, "MaxClients= are connected");
                return;
        }
        setup.slot = spread_room(&relay->spread) ? take_slot(relay) : IMAGE_CLIENTS;
        if (setup.slot == IMAGE_CLIENTS) {
                turn_away(relay, fd, "no memory, or no slot");
                return;
        }
        setup.id = totals->next_client_id + 1;
        /* After a crash from here on, the id tells of a client that was being accepted. */
        store_set(&totals->next_client_id, setup.id);
        store_set(&totals->accepting, 0);
        if (relay->keeps &&
            !fd_bag_add(&relay->fd_bag, &(struct fd_bag_client){setup.slot, setup.id, fd}) &&
            relay->fd_bag.missed == 1)
                diag_warning("not all clients can be kept: a restart will disconnect some "
                             "(LimitNOFILE= is to be four times MaxClients=)");
        relay_deliver(relay); /* earlier messages are not for the new client */
        client = client_new(&setup);
        if (!client) {
                const char *why = host_error_words(HOST_CALL_WATCH, errno);

                shutdown(fd, SHUT_RDWR); /* a copy may be in the fd_bag */
                close(fd);
                relay_forget(relay, NULL);
                relay->free_slots[relay->n_free_slots++] = setup.slot;
                tell_refused(relay, why);
                count_client(relay, &totals->clients_refused, setup.id);
                return;
        }
        count_client(relay, &totals->clients_accepted, setup.id);
        TAILQ_INSERT_TAIL(&relay->all, client, all);
        relay->n_clients++;
        relay_introduce(relay, client);
}
