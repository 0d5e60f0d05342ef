/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The inside of control: the server with its listeners (control.c), a connection (client.c) and its
 * replies (replies.c), a connection with a tap (tap.c), the connection to end when the server is
 * full (crowd.c), the users of connections (user.c), and the order in which connections are served
 * (queue.c). For these files only.
 *
 * Words: a *connection* is a struct control_client, one program on the control socket; a *client*
 * without more is a client of the data socket. A *slot* is one call of control_client_serve(). A
 * user who *may steer* is root, the daemon's own user or one of Admin=, at the time of the connect.
 *
 * A connection does one thing at a time: it waits for requests, for its replies to be read, or for
 * a flush, and later requests wait as well. A connection that monitors is not read any more; the
 * unread replies and the number of events in the store bound its memory.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/control/call.h"
#include "daemon/control/control.h"
#include "daemon/control/queue.h"
#include "edge/listener.h"
#include "edge/poller.h"
#include "wire/varlink.h"

enum {
        /* Bytes of all connections together; above this limit a large connection is closed. */
        CONTROL_BUFFERED_MAX = 64 * 1024 * 1024,
        /* The same of users who may not steer; the difference is for those who may. */
        CONTROL_BUFFERED_OTHERS = CONTROL_BUFFERED_MAX / 4 * 3,
};

/* The user of one or more connections. */
struct control_user {
        LIST_ENTRY(control_user) link;
        uid_t uid;  /* SOCKET_NO_UID: all users that are unknown */
        bool first; /* may steer; a uid may be in the list with both values */
        struct control_lines lines;
        size_t n_clients; /* open connections */
        size_t n_held;    /* connections that are not freed */
        size_t buffered;  /* sum over the connections */
};

struct control_client {
        LIST_ENTRY(control_client) link; /* in clients, or in dead after the close */
        TAILQ_ENTRY(control_client) in_queue;
        struct control_line *queued; /* the line of the queue, until the next slot; NULL: none */
        short ready;                 /* EV_READ, EV_WRITE: collected while in the line */
        uint64_t serve_usec;         /* processor time of the last slot */
        struct control *control;
        struct polled polled; /* in control->ends during a Monitor, a Tap or a Flush */
        struct event *event;  /* one-shot; armed for the thing to wait for */
        int fd;               /* -1 after the close */
        struct control_user *user;
        uint64_t active_usec; /* start of the last slot, or the connect */
        struct varlink_reader in;
        char *out; /* replies, owned */
        size_t out_size, out_sent, out_room;
        size_t buffered; /* share in control->buffered */
        bool starved;    /* the host had no memory for the last send or receive */
        bool eof;        /* the program sends no more; earlier requests still get replies */
        struct control_monitor monitor;
        struct control_flush flush;
        struct control_listing listing;
        bool closing; /* to be closed when the replies are read: a bad message, or the tap ended */
};

struct control_listener {
        LIST_ENTRY(control_listener) link;
        struct listener *listener; /* owned */
};

struct control {
        struct event_base *base;
        const struct control_service *service;
        const struct control_ops *ops;
        void *context;
        LIST_HEAD(control_listeners, control_listener) listeners;
        LIST_HEAD(control_users, control_user) users;
        LIST_HEAD(control_clients, control_client) clients;
        LIST_HEAD(control_dead, control_client) dead;
        struct event *reap;  /* frees the dead from the loop, outside their own callbacks */
        struct event *news;  /* calls control_client_news() from the loop */
        struct event *taps;  /* a timer that does the same for replies of taps, which collect */
        struct poller *ends; /* finds the end of connections that monitor, tap or flush */
        struct control_queue queue;
        struct budget door; /* processor time to admit and refuse connections */
        size_t n_clients;
        size_t buffered;    /* bytes of requests and replies of all connections */
        uint64_t full_told; /* time of the last warning about MaxClients=; 0: never */
};

/* Returns the user with this uid and rank, or NULL if no connection has one. */
struct control_user *control_user_find(const struct control *control, uid_t uid, bool first);

/* Returns the user of a new connection, or NULL without memory. */
struct control_user *control_user_join(struct control *control, uid_t uid, bool first);

/* Notes that a connection of the user was freed. Frees the user after the last connection. */
void control_user_leave(struct control_user *user);

/* Makes a connection of an accepted, non-blocking socket, and owns fd (also on error). uid is the
 * user of the other end, who may steer if first is true. Returns 0 or -ENOMEM. */
int control_client_new(struct control *control, int fd, uid_t uid, bool first);

/* True if MaxClients= has room for a new connection of such a user. May close another connection to
 * make room. */
bool control_crowd_admits(struct control *control, uid_t uid, bool first);

/* One slot: reads or writes as events say (EV_READ, EV_WRITE), serves requests, writes replies, and
 * arms the event for the next step. May close any connection, but frees none. */
void control_client_serve(struct control_client *client, short events);

/* Sends new events to the connections that monitor, and collected replies to the taps, as far as
 * the sockets have room. */
void control_client_news(struct control *control);

/* Before the end: sends the last events, and the replies to flushes that are done or timed out. */
void control_client_last_look(struct control *control);

/* Closes a connection whose other end is gone. */
extern const struct poller_ops control_client_ends;

/* Closes a connection; besides control_client_evict() no other function does. why goes to diag at
 * LOG_DEBUG. The memory of the connection is freed later, from the loop. */
void control_client_close(struct control_client *client, const char *why);

/* As control_client_close(), for a connection that makes room for another. No time is spent on its
 * unread bytes, so the end may be a reset. */
void control_client_evict(struct control_client *client, const char *why);

/* Returns the number of reply bytes that the socket has not taken. */
size_t control_client_unread(const struct control_client *client);

/* Queues a reply, or an array of replies, and takes the reference. Returns 0 or -ENOMEM. */
int control_client_append(struct control_client *client, json_t *reply);

/* Writes as many replies as the socket takes. Returns 0, or a negative errno if the other end is
 * gone. */
int control_client_write(struct control_client *client);

/* Frees all replies. */
void control_client_forget(struct control_client *client);

/* Updates the byte counts, `buffered`, of the connection, its user and its control. */
void control_client_count(struct control_client *client);

/* Returns room for size bytes behind the replies, or NULL without memory or at the limit of all
 * connections. The caller writes there and adds the written bytes to out_size. */
char *control_client_room(struct control_client *client, size_t size);

/* ---- listing.c: the reply to ListClients, written over many slots ---- */

/* Queues the head of the reply. Returns 0 or -ENOMEM. */
int control_listing_begin(struct control_client *client);

/* Queues some clients, for a slot, or the end of the reply. Returns 0 or -ENOMEM. */
int control_listing_go_on(struct control_client *client);

/* Begins the tap of a call of Tap. The tap ends with control_tap_end(), or when the tapped client
 * ends. Returns 0, or -ENOENT if no client has the id. */
int control_tap_begin(struct control_client *client);

/* Ends the tap. May be called at any time, also without a tap. */
void control_tap_end(struct control_client *client);

/* Queues a reply with the number of missed messages, if all other replies are written. */
void control_tap_news(struct control_client *client);

/* True if the tapped client has ended. control_client_news() then ends the connection. */
bool control_tap_ended(const struct control_client *client);

/* Frees a closed connection. */
void control_client_free(struct control_client *client);

/* Closes a socket without a look at unread bytes: the cheapest end. */
void control_turn_away(int fd);
