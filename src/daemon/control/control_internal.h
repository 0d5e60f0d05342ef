/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The inside of control: the server with its listeners (control.c), one connection of a control
 * client (client.c) and its replies (replies.c), one that taps (tap.c), who
 * makes room (crowd.c), and whose turn it is (queue.c). For these files only.
 *
 * A connection does one thing at a time: it waits for requests, for its replies to be read, or for
 * what it asked for to be flushed, and the requests behind that wait with it. One that monitors is
 * not read any more; what it holds is bounded by what it has not read, and by the events that are
 * kept.
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

/* Of all clients together; beyond it, the one that makes us hold most pays. */
enum { CONTROL_BUFFERED_MAX = 64 * 1024 * 1024 };

struct control_client {
        LIST_ENTRY(control_client) link; /* in clients, or in dead once it is closed */
        TAILQ_ENTRY(control_client) in_queue;
        struct control_line *queued; /* it waits there for its turn; NULL: for its event */
        short ready;                 /* what its event said meanwhile */
        uint64_t serve_usec;         /* its last turn took so long */
        struct control *control;
        struct polled polled; /* while it monitors or waits */
        struct event *event;  /* one-shot; armed for what the connection waits for */
        int fd;               /* -1 once it is closed */
        uid_t uid;            /* (uid_t)-1: unknown */
        uint64_t active_usec; /* when it last had a turn */
        struct varlink_reader in;
        char *out; /* replies, owned */
        size_t out_size, out_sent, out_room;
        size_t buffered; /* its part of control->held */
        bool eof;        /* the client sends no more; what it sent is still answered */
        struct control_monitor monitor;
        struct control_flush flush;
        bool closing; /* it broke the protocol: earlier replies are delivered, then it ends */
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
        LIST_HEAD(control_clients, control_client) clients;
        LIST_HEAD(control_dead, control_client) dead;
        struct event *reap;  /* frees the dead from the loop, outside their own callbacks */
        struct event *news;  /* the same, when something is to be told to those who monitor */
        struct event *taps;  /* the same, a little later, for those who tap */
        struct poller *ends; /* of those who monitor or wait, whether they are still there */
        struct control_queue queue;
        struct control_budget door; /* to let clients in and send them away is work, too */
        size_t n_clients;
        size_t buffered;    /* bytes of requests and replies of all clients */
        uint64_t full_told; /* when it was last logged that MaxClients= are connected; 0: never */
};

/* Serves an accepted, non-blocking socket, which it takes (also on error). Returns 0 or -ENOMEM. */
int control_client_new(struct control *control, int fd, uid_t uid);

/* Is there a place for this one of the user? If not, another connection may be ended for it. */
bool control_crowd_admits(struct control *control, int fd, uid_t uid);

/* Does what the events say: reads, serves, writes, and waits for what is next. */
void control_client_serve(struct control_client *client, short events);

/* What happened is told to those who monitor, as far as they read. */
void control_client_news(struct control *control);

/* Before the end: what there is to tell is told, to those who monitor and to those who wait. */
void control_client_last_look(struct control *control);

/* Closes those whose other end is gone. */
extern const struct poller_ops control_client_ends;

/* The one way to end a connection. why is logged for debugging. The memory goes later. */
void control_client_close(struct control_client *client, const char *why);

/* How many bytes of replies it has not read. */
size_t control_client_unread(const struct control_client *client);

/* Queues a reply, or an array of them, and takes the reference. Returns 0 or -ENOMEM. */
int control_client_append(struct control_client *client, json_t *reply);

/* Writes what the socket takes. Returns 0, or a negative errno when the client is gone. */
int control_client_write(struct control_client *client);

/* Its replies are not kept any longer. */
void control_client_forget(struct control_client *client);

/* What it makes us hold is counted anew. */
void control_client_count(struct control_client *client);

/* Room for so many bytes behind its replies, or NULL where there is none; out_size is to be raised
 * by what is used. */
char *control_client_room(struct control_client *client, size_t size);

/* The tap that its call asks for begins: 0, or -ENOENT where there is no such client. It ends with
 * control_tap_end(), which may be called at any time, or when its client goes: then the connection
 * hears of it with the next news, and control_tap_ended() says so. */
int control_tap_begin(struct control_client *client);
void control_tap_end(struct control_client *client);
/* One that has read everything is told what it missed since. */
void control_tap_news(struct control_client *client);
bool control_tap_ended(const struct control_client *client);

/* Frees a closed connection. */
void control_client_free(struct control_client *client);

/* Closes a socket of which more may have arrived than was read: no reset that could overtake our
 * last bytes. */
void control_hang_up(int fd);
