/* SPDX-License-Identifier: MIT */
#pragma once
/* The relay's own memory, for relay.c and its parts: _down and _up, the two ways that messages
 * take, _door, _events, _fate, _resume, _status, _steer and _tap. */
#include <stddef.h>
#include <sys/queue.h>

#include "core/busy_poll.h"
#include "core/pace.h"
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

/* What of clients is told, each kind at its own pace; and the two ways that messages go. */
enum tell_class { TELL_CAME, TELL_ENDED, TELL_REFUSED, TELL_CLASSES };
enum tell_way { TELL_IN, TELL_OUT, TELL_WAYS };

#define RELAY_NO_FLUSH UINT64_MAX

struct relay {
        struct event_base *base;     /* borrowed */
        const struct config *config; /* borrowed */
        const struct relay_ops *ops;
        void *context;
        struct frame_spec frame; /* in force; logs point to it */
        struct store store;
        struct fd_bag fd_bag;
        bool recovered;       /* the state is that of the last process */
        bool keeps;           /* a service manager keeps descriptors for the next one */
        int upstream;         /* the last process's connection, until relay_start(); -1: none */
        struct event *tidier; /* of the bag */
        struct log in, out;
        struct turn turn;
        struct spread spread;
        struct ledger ledger;
        struct taps taps;
        struct link *link;
        struct poller *poller; /* of all clients, as the next two */
        struct deadlines *deadlines;
        struct client_class class;
        struct listener **listeners;
        size_t n_listeners;
        struct event *reaper;
        struct client_list all;   /* the oldest first */
        struct client_list queue; /* who waits for room in the out log, the longest wait first */
        struct client_list begun; /* with a partial message, the oldest first */
        struct client_list dead;  /* to be freed */
        uint32_t *free_slots;
        size_t n_free_slots, free_slots_room;
        size_t n_clients, n_over;
        uint64_t partial_bytes;   /* of all clients together */
        uint64_t flush_at;        /* somebody waits for this to be acknowledged; RELAY_NO_FLUSH */
        struct event *hold_timer; /* owned; when the operator's hold may be over */
        struct event *expirer;    /* owned */
        bool expiring;            /* messages may grow too old: it is armed */
        bool was_up;              /* the link, at the last change of its state */
        uint64_t noted; /* messages dropped for a reason nobody chose, that health knows of */
        bool calling;   /* for the last time, before a stop */
        bool more;      /* from clients, in the next turn */
        bool throttled; /* every client has enough to take for now */
        uint64_t
                taken_at_throttle; /* when one of them had last taken something, at the last rest */
        uint64_t throttle_credit, throttle_credit_at; /* so much of throttled is left as of then */
        uint64_t vain_throttles;                      /* rests since */
        struct {
                uint64_t until;   /* so long clients are not read, as the link has enough; or 0 */
                uint64_t from;    /* the out log's end that it takes to rest again, */
                uint64_t written; /* and the link's, which must have moved since */
        } up_throttle;
        struct busy_poll busy_poll;
        bool stopping, reading_on;
        struct {
                struct events ring;
                struct event *timer;                    /* owned; for what was counted, at due */
                uint64_t due;                           /* UINT64_MAX: nothing was */
                uint64_t seen[TELL_WAYS][DROP_REASONS]; /* messages */
                struct pace drops[TELL_WAYS][DROP_REASONS], clients[TELL_CLASSES];
        } events;
        uint64_t turned_away;           /* when the log last told of a client that was refused */
        uint64_t started, started_wall; /* the second since 1970 */
};

static inline struct client *relay_client_of(struct reader *reader)
{
        return (struct client *)((char *)reader - offsetof(struct client, reader));
}

/* The client of this number, or NULL. */
static inline struct client *relay_find(const struct relay *relay, uint64_t id)
{
        struct client *client = TAILQ_FIRST(&relay->all);

        while (client && client->id != id)
                client = TAILQ_NEXT(client, all);
        return client;
}

/* down.c: something was received; a client is beyond its limit, or no longer; what was
 * received goes to the clients that were there; and reading goes on when one of them has taken
 * enough. */
void relay_on_received(void *context, const struct log_taken *taken);
void relay_on_over(void *context, struct client *client, bool over);
void relay_deliver(struct relay *relay);
void relay_wake(struct relay *relay);

/* up.c: as struct client_ops tells; PartialSize= is kept; those who waited for room go on, as
 * far as there is some; what was read goes to the link, and returns whether the next turn is to
 * come at once; and before a stop, what clients have sent already is taken, and nothing after that,
 * so that the flush comes to an end. */
size_t relay_on_room(void *context, struct client *client);
void relay_on_accepted(void *context, struct client *client, const struct log_taken *taken);
void relay_on_more(void *context);
void relay_on_partial(void *context, struct client *client, uint64_t before);
void relay_limit_partials(struct relay *relay);
void relay_read_on(struct relay *relay);
bool relay_write(struct relay *relay);
void relay_last_call(struct relay *relay);

/* A connection to a listener (a listener_accepted): becomes a client, or is closed and counted. */
void relay_admit(void *context, int fd);

/* Looks anew whether a client may send, after Senders= has changed. */
void relay_permit(struct relay *relay, struct client *client);

/* A loss that nobody chose is a matter of health, at once and whatever is told of it. */
void relay_note_drops(struct relay *relay);

/* recover.c: opens the state of the last process, or a new one; takes up who was connected;
 * and what is kept for the next one. */
int relay_open(struct relay *relay, struct handover *handover);
int relay_recover(struct relay *relay, struct handover *handover);
void relay_forget(struct relay *relay, struct client *client);

/* door.c: room for one slot more to be given back; who a client is; and before the clients of
 * the last process are taken up, who was being accepted when it ended: counted and told. */
bool relay_slot_room(struct relay *relay, uint32_t slot);
struct client_setup relay_client_setup(struct relay *relay, int fd);
void relay_introduce(struct relay *relay, struct client *client);
void relay_recover_door(struct relay *relay);

/* fate.c: the link is up, or no longer; other values; the timer for this, the caller's to
 * free. */
void relay_follow_link(struct relay *relay, bool up);
void relay_apply_fate(struct relay *relay);
void relay_apply_spread(struct relay *relay);
struct event *relay_expirer_new(struct relay *relay);

/* steer.c: the timer, the caller's to free; the hold of the last process goes on, before the
 * link is started; who waits for acknowledgements; and flush_at is acknowledged. */
struct event *relay_hold_timer_new(struct relay *relay);
void relay_recover_hold(struct relay *relay);
void relay_hurry(struct relay *relay);
void relay_tell_flushed(struct relay *relay);

/* tap.c: what came is shown to those who watch, if there are any: before it goes anywhere. */
void relay_show_in(struct relay *relay, const struct log_taken *taken);
void relay_show_out(struct relay *relay, const struct client *client,
                    const struct log_taken *taken);

/* events.c: the ring is taken up, false: no memory; its timer is the caller's to free. What
 * becomes an event; client NULL: one that never was. Drops, and what was counted, become one with
 * relay_tell_news() after each turn, and with relay_tell_remaining() at the end. */
bool relay_events_init(struct relay *relay);
void relay_tell_link(struct relay *relay, enum link_state state, enum link_cause cause,
                     const char *text);
void relay_tell_client(struct relay *relay, enum tell_class class, const struct client *client,
                       const char *what);
void relay_tell_news(struct relay *relay);
void relay_tell_remaining(struct relay *relay);

/* Bytes to the upstream that are not acknowledged. */
uint64_t relay_queued_bytes(const struct relay *relay);
