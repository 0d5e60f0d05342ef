/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The relay's memory, for the files of this folder only: relay.c (life and the pass), down.c (from
 * the upstream to the clients), up.c (from the clients to the upstream), door.c (who may connect
 * and send), events.c, fate.c, recover.c, status.c, steer.c (orders of an operator) and tap.c.
 */
#include <stddef.h>
#include <sys/queue.h>

#include "core/busy_poll.h"
#include "core/pace.h"
#include "core/pass_times.h"
#include "daemon/relay/relay.h"
#include "daemon/service/fd_bag.h"
#include "daemon/service/handover.h"
#include "edge/client.h"
#include "edge/deadlines.h"
#include "edge/link.h"
#include "edge/listener.h"
#include "edge/poller.h"
#include "flow/events.h"
#include "flow/ledger.h"
#include "flow/spread.h"
#include "flow/tap.h"
#include "flow/turn.h"
#include "store/cursor.h"
#include "store/log.h"
#include "store/store.h"

TAILQ_HEAD(client_list, client);

/* Kinds of events about clients, each told at a pace of its own, and the directions of messages. */
enum tell_class { TELL_CAME, TELL_ENDED, TELL_REFUSED, TELL_CLASSES };
enum tell_way { TELL_IN, TELL_OUT, TELL_WAYS };

#define RELAY_NO_FLUSH UINT64_MAX

struct relay {
        struct event_base *base;     /* borrowed */
        const struct config *config; /* borrowed */
        const struct relay_ops *ops;
        void *context;
        struct frame_spec frame; /* in force; both logs point here */
        struct store store;
        struct fd_bag fd_bag;
        bool recovered;       /* the store is the predecessor's */
        bool keeps;           /* a service manager keeps descriptors for a successor */
        int upstream;         /* the predecessor's connection, until relay_start(); -1: none */
        int lingering;        /* the same of a connection that lingers */
        struct event *tidier; /* owned; runs fd_bag_tidy() */
        struct log in, out;
        struct turn turn;
        struct spread spread;
        struct ledger ledger;
        struct taps taps;
        struct link *link;
        struct poller *poller;       /* of all clients, owned */
        struct deadlines *deadlines; /* of all clients, owned */
        struct client_class class;   /* of all clients */
        struct listener **listeners;
        size_t n_listeners;
        struct event *reaper;      /* owned; frees the clients in `dead` */
        struct client_list all;    /* connected clients, in the order of their ids */
        struct client_list queue;  /* clients waiting for room in the out log, longest wait first */
        struct client_list beyond; /* those of users who have their share of the out log */
        struct client_list begun;  /* clients with a partial message */
        struct client_list dead;   /* closed clients, to be freed */
        uint32_t *free_slots;      /* of the client table, owned */
        size_t n_free_slots, free_slots_room;
        size_t n_clients, n_over; /* connected clients; clients beyond their limit */
        struct users users;       /* behind the clients */
        uint64_t partial_bytes;   /* the sum of partial_counted of all clients */
        bool reconciling;         /* PartialSize= is kept once all clients are reconciled */
        uint64_t flush_at; /* position whose acknowledgement a flush awaits; RELAY_NO_FLUSH: none */
        struct event *hold_timer; /* owned; looks whether the operator's hold is over */
        struct event *expirer;    /* owned; drops messages older than MessageTTL= */
        bool expiring;            /* the expirer is armed */
        bool was_open;  /* at its last change of state the link let messages through, for WhenDown=
                         */
        bool was_up;    /* and was up, for OnLinkLoss= */
        uint64_t noted; /* messages dropped for a reason that nobody chose, as health knows */
        bool calling;   /* relay_last_call() has begun: clients are not throttled any more */
        bool more;      /* clients are likely to have sent more by the next pass */
        uint64_t told_scant; /* when a diag line last told that extents are scarce; 0: never */
        struct {
                size_t left;   /* clients that are still to be written to; 0: no round goes on */
                size_t takers; /* as in the class, of the others */
                bool waits;    /* the link is not read until the end of the round */
        } round;               /* of writing to every client, over one pass or several */
        bool throttled;        /* the link is not read, as every client has plenty waiting */
        uint64_t progress_at_throttle; /* when a client last took bytes, as of the last throttle */
        uint64_t throttle_credit, throttle_credit_at; /* microseconds left to throttle, as of _at */
        uint64_t vain_throttles; /* throttles in a row during which no client took bytes */
        struct {
                uint64_t until; /* the end of the throttle of the clients; 0: clients are read */
                uint64_t from;  /* the next throttle begins with the out log's end at or beyond, */
                uint64_t written; /* and with ledger_written() elsewhere */
        } up_throttle;
        struct busy_poll busy_poll;
        struct pass_times pass_times;
        bool stopping, reading_on; /* reading_on: a client from `queue` is being read */
        struct {
                struct events ring;
                struct event *timer;                    /* owned; tells at `due` what was counted */
                uint64_t due;                           /* UINT64_MAX: nothing was counted */
                uint64_t seen[TELL_WAYS][DROP_REASONS]; /* dropped messages, told or counted */
                struct pace drops[TELL_WAYS][DROP_REASONS], clients[TELL_CLASSES];
        } events;
        struct budget door;   /* of accepting clients, and of the end of those who came in vain */
        uint64_t turned_away; /* when a diag line last told of a refused client; 0: never */
        uint64_t started, started_wall; /* clock_usec(); microseconds since 1970 */
};

/* The client that this reader is a part of. */
static inline struct client *relay_client_of(struct reader *reader)
{
        return (struct client *)((char *)reader - offsetof(struct client, reader));
}

/* The connected client of this number, or NULL. */
static inline struct client *relay_find(const struct relay *relay, uint64_t id)
{
        struct client *client = TAILQ_FIRST(&relay->all);

        while (client && client->id != id)
                client = TAILQ_NEXT(client, all);
        return client;
}

/* ---- down.c ---- */
/* A link_ops.received: shows the messages to the taps, spreads and delivers them. */
void relay_on_received(void *context, const struct log_taken *taken);

/* A client_ops.over: pauses reading of the link while any client is beyond its limit. */
void relay_on_over(void *context, struct client *client, bool over);

/* While the spread is scant: with SlowClient=wait, pauses reading of the link; or goes on. */
void relay_mind_extents(struct relay *relay);

/* Writes the messages spread so far to the clients' sockets, as far as some milliseconds allow: the
 * next call goes on. May throttle the link, and may end clients. Does nothing unless the spread has
 * news, or clients are left. */
void relay_deliver(struct relay *relay);

/* True if clients are left that relay_deliver() has not written to. */
static inline bool relay_has_undelivered(const struct relay *relay)
{
        return relay->spread.news || relay->round.left;
}

/* Ends the throttle of the link when a client has taken enough. */
void relay_wake(struct relay *relay);

/* ---- up.c ---- */
/* Takes a client out of the list in which it waits for room, if any. */
void relay_wait_no_more(struct relay *relay, struct client *client);

/* A client_ops.room: returns how many bytes may be read from the client; 0: the client is queued,
 * and client_read_on() follows. */
size_t relay_on_room(void *context, struct client *client);

/* A client_ops.accepted: shows the messages to the taps; may write early, may throttle clients. */
void relay_on_accepted(void *context, struct client *client, const struct log_taken *taken);

/* The client_ops.more of the relay: a client may have more to read in the next pass. */
void relay_on_more(void *context);

/* A client_ops.partial: counts the client's partial message, and keeps PartialSize= when the
 * message has grown. */
void relay_on_partial(void *context, struct client *client);

/* Ends clients until PartialSize= holds: of the user whose partial messages are the most bytes, the
 * one with the largest. */
void relay_limit_partials(struct relay *relay);

/* Reads the clients waiting for room, as far as the out log has room and some milliseconds allow.
 * Returns true if the next pass is to go on. */
bool relay_read_on(struct relay *relay);

/* Writes the out log to the link. Returns true if the next pass is not to wait for events. */
bool relay_write(struct relay *relay);

/* Before a stop: takes the bytes that clients have sent until now, and no later bytes, for the
 * flush has to end. */
void relay_last_call(struct relay *relay);

/* ---- door.c ---- */
/* A listener_accepted: makes the connection a client, or closes and counts the connection. Takes
 * fd. */
void relay_admit(void *context, int fd);

/* Looks anew whether a client may send, after Senders= has changed. A client whose user the kernel
 * does not tell any more may not. */
void relay_permit(struct relay *relay, struct client *client);

/* Sets totals.last_drop if messages were dropped for a reason that nobody chose. Health reads
 * last_drop and does not depend on the pace of the events. See fate.c. */
void relay_note_drops(struct relay *relay);

/* ---- recover.c ---- */
/* Opens the predecessor's store if the store can be trusted, otherwise a new store;
 * relay->recovered tells which. Returns 0 or a negative errno. */
int relay_open(struct relay *relay, struct handover *handover);

/* Recovers the predecessor's fd_bag, connection and clients, or makes an fd_bag for a successor.
 * Takes the descriptors from handover. Returns 0 or a negative errno; exits if a recovered state
 * can only be recovered in part. */
int relay_recover(struct relay *relay, struct handover *handover);

/* A client has ended: its entry in the fd_bag counts as left and is removed later. NULL: a client
 * that could not be made. */
void relay_forget(struct relay *relay, struct client *client);

/* ---- door.c, for recover.c too ---- */
/* Makes room for the number `slot` in free_slots. Returns false without memory. */
bool relay_slot_room(struct relay *relay, uint32_t slot);

/* The setup of a client on fd, without slot and id, which the caller fills in. */
struct client_setup relay_client_setup(struct relay *relay, int fd);

/* Fills in the client's process, user or address and the right to send; tells the client as an
 * event. */
void relay_introduce(struct relay *relay, struct client *client);

/* Counts and tells the client that was being accepted when the predecessor ended. Comes before
 * the clients of the table are recovered, which may remove clients from the table. */
void relay_recover_door(struct relay *relay);

/* ---- fate.c ---- */
/* The link is in this state: applies WhenDown= and OnLinkLoss=. */
void relay_follow_link(struct relay *relay, enum link_state state);

/* Applies MessageTTL=, WhenDown= and the keys of relay_apply_spread(), at the start and after a
 * reload. */
void relay_apply_fate(struct relay *relay);

/* Applies ToClients=, HoldSize= and ClientQueueSize= to the spread. */
void relay_apply_spread(struct relay *relay);

/* Completes the spreading that was under way when the predecessor ended, before the clients are
 * reconciled; relay_apply_spread() follows. */
void relay_settle_spread(struct relay *relay);

/* Returns the timer that drops messages older than MessageTTL=, not armed, the caller's to free; or
 * NULL. */
struct event *relay_expirer_new(struct relay *relay);

/* ---- steer.c ---- */
/* Returns the timer that ends the operator's hold, not armed, the caller's to free; or NULL. */
struct event *relay_hold_timer_new(struct relay *relay);

/* Recovers the predecessor's hold, or ends a hold whose time is over. Comes before the start of the
 * link. */
void relay_recover_hold(struct relay *relay);

/* Has the link ask for acknowledgements often while a client waits for room or a flush is under
 * way; after each change of the two. */
void relay_hurry(struct relay *relay);

/* Position flush_at is acknowledged: forgets flush_at and calls relay_ops.flushed. */
void relay_tell_flushed(struct relay *relay);

/* ---- tap.c ---- */
/* Shows messages that were just committed to the in log to the taps, before the messages are
 * spread. In balance, messages are shown when they are dealt. */
void relay_show_in(struct relay *relay, const struct log_taken *taken);

/* Shows the messages of `client` that were just committed to the out log. */
void relay_show_out(struct relay *relay, const struct client *client,
                    const struct log_taken *taken);

/* ---- events.c ---- */
/* Recovers the ring of events from the store; makes the timer, which is the caller's to free.
 * Returns false without memory. */
bool relay_events_init(struct relay *relay);

/* Adds an event: the state of the link has changed. */
void relay_tell_link(struct relay *relay, enum link_state state, enum link_cause cause,
                     const char *text);

/* Adds an event about a client, or counts the event if its class has had too many. client NULL: a
 * refused connection. Does nothing while the relay stops. */
void relay_tell_client(struct relay *relay, enum tell_class class, const struct client *client,
                       const char *what);

/* After each pass: adds events for new drops, and for the counted ones when due. */
void relay_tell_news(struct relay *relay);

/* At the end: adds events for all drops and all that was counted. */
void relay_tell_remaining(struct relay *relay);

/* Bytes of the out log that are not acknowledged. See up.c. */
uint64_t relay_queued_bytes(const struct relay *relay);
