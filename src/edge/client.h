/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * A client: one connection to the data socket. Bytes from the client go through the turn into the
 * out log; messages of the in log go to the client at the client's own pace. Either direction may
 * end alone: a half-closed client still receives, and a client with its reading side shut down
 * still sends. Limits and policies stand in the client's class, filled from the configuration.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/config.h"
#include "core/books.h"
#include "core/users.h"
#include "edge/deadlines.h"
#include "edge/poller.h"
#include "flow/spread.h"
#include "flow/turn.h"
#include "util/socket.h"

struct client;

struct client_ops {
        /* Returns how many bytes may be read from the client now; 0: none, until the callee calls
         * client_read_on(). */
        size_t (*room)(void *context, struct client *client);
        /* Messages of the client were committed to the out log. */
        void (*accepted)(void *context, struct client *client, const struct log_taken *taken);
        /* Messages were accepted, and more bytes are likely to be readable in the next pass. */
        void (*more)(void *context);
        /* The client's partial message has grown or ended. May call client_end(). */
        void (*partial)(void *context, struct client *client);
        /* The client went beyond its queue limit (over), or came back within. */
        void (*over)(void *context, struct client *client, bool over);
        /* The last call: the client is closed, and the callee calls client_free() later, from the
         * event loop. quiet and why are those of client_end(). */
        void (*gone)(void *context, struct client *client, bool quiet, const char *why);
};

/* For poller_new(): the poller of a class. */
extern const struct poller_ops client_poller_ops;

/* For deadlines_new(): the deadlines of a class. `due` is part of a struct client. */
void client_due(struct due *due, uint64_t at);

struct client_limits {
        uint64_t queue_size, grace_usec, stall_usec, frame_usec; /* the last two 0: off */
        uint64_t young_usec;                                     /* a client is young for so long */
        enum config_slow slow;
};

/* Settings and helpers that many clients share. Outlives its clients; all pointers are borrowed. */
struct client_class {
        const struct client_ops *ops;
        void *context;
        struct poller *poller;       /* with client_poller_ops */
        struct deadlines *deadlines; /* with client_due() */
        struct store *store;
        struct turn *turn;
        struct spread *spread; /* the caller of client_new() calls spread_room() before */
        struct client_limits limits;
        const struct config_bytes *heartbeat; /* for idle clients, borrowed; NULL: none */
        uint64_t heartbeat_usec;              /* how long a client is idle before */
        size_t takers; /* readers that get every message and took bytes a moment ago */
};

/* A daemon may have tens of thousands of clients: every field costs memory as many times. */
struct client {
        const struct client_class *class;
        struct image_client *image;
        struct writer writer;
        struct reader reader;
        struct polled polled;
        struct due due;
        uint64_t id;
        int fd; /* -1: closed */
        /* identity, as in struct socket_peer; a TCP client has no process and no user */
        pid_t pid;
        uid_t uid;
        gid_t gid;
        union {
                char program[SOCKET_PROGRAM]; /* of a local client */
                char *address;                /* of a TCP client, owned; NULL: unknown */
        } who;                                /* read by client_program() and client_address() */
        /* state */
        bool local : 1;
        bool send_only : 1, receive_only : 1; /* reading side shut down; may not send (Senders=) */
        bool ended : 1;                       /* the client sends no more */
        bool hung : 1;          /* the other end is gone; bytes sent before are still taken */
        bool lost : 1;          /* hung: the host of a TCP client does not answer any more */
        bool waiting : 1;       /* in the relay's list of clients that wait for room */
        bool beyond : 1;        /* waiting, as its user has its share of the queue */
        bool blocked : 1;       /* the socket is full */
        bool over : 1;          /* beyond the queue limit */
        bool charged : 1;       /* uses its credits */
        bool indebted : 1;      /* when it connected, its program owed */
        bool charged_young : 1; /* and that of its user's young clients */
        bool called : 1;        /* bytes sent before the stop were taken */
        bool parting : 1;       /* read for the last time, beyond the out log's limit */
        bool settled : 1;       /* connected for long enough to be trusted */
        bool short_read : 1, short_write : 1; /* the host had no memory: tried again soon */
        bool unplaced : 1;      /* bytes were discarded: the start of the next message is unknown */
        const char *leaving;    /* why the client is to go, static; NULL: it stays */
        uint64_t probed;        /* when ftcpd last tested whether the client reads; 0: not yet */
        uint64_t last_progress; /* when the client last took bytes, or bytes began to wait */
        uint64_t last_byte, partial_since;
        uint64_t heartbeat_from;  /* when a heartbeat was last due; 0: unknown, one is due now */
        uint64_t partial_counted; /* bytes of the partial message in the relay's sum */
        uint64_t rx_count_at;     /* when so many bytes were read, client_rx_count_go_on() is due */
        struct credit credit;     /* of SlowClientGrace=, used while `charged` */
        uint64_t over_waiting;    /* bytes that waited when the use began */
        struct credit *debt;      /* used besides: of its program; NULL: none */
        struct user *user;        /* NULL: not known (yet) */
        uint64_t refused_bytes;   /* read and never accepted */
        TAILQ_ENTRY(client)
        all, queue, begun; /* lists: every client; clients that wait for room; clients with a
                              partial message, the oldest first */
};

struct client_setup {
        const struct client_class *class;
        uint32_t slot;
        uint64_t id;
        int fd;     /* the client's from here on, the caller's still on error */
        bool local; /* a Unix socket */
};

/* Makes a client for a new connection and fills its slot of the client table. Reading begins at
 * once; the caller sets receive_only and user, which is borrowed. Returns NULL with errno set
 * if memory is short, or no more descriptors can be watched. */
struct client *client_new(const struct client_setup *setup);

/* Returns the name of the client's program; "" if unknown, and for a TCP client. */
static inline const char *client_program(const struct client *client)
{
        return client->local ? client->who.program : "";
}

/* Returns the address of a TCP client; NULL if unknown, and for a local client. */
static inline const char *client_address(const struct client *client)
{
        return client->local ? NULL : client->who.address;
}

/* Returns the client's name for log lines, in static memory: the next call overwrites the text. */
const char *client_name(const struct client *client);

/* Makes a client from its slot in a checked image; fd is the predecessor's socket. The caller calls
 * client_reconcile() before the loop runs. Returns NULL without memory. */
struct client *client_recover(const struct client_setup *setup);

/* Reconciles a recovered client: counts and takes the bytes read by the predecessor and not booked.
 * If a crash cut a send short, reads what the client wrote, and ends the client. */
void client_reconcile(struct client *client);

/* Writes waiting messages until the socket is full or none is left. May end the client. */
void client_write(struct client *client, uint64_t now);

/* Compares the client's queue with its limit and does as SlowClient= says. To be called after
 * messages were queued or written. */
void client_check(struct client *client, uint64_t now);

/* Applies changed limits and another heartbeat of the client's class. */
void client_configure(struct client *client);

/* Returns the count of messages that waited for the client and were dropped. */
static inline struct count client_dropped(const struct client *client)
{
        return (struct count){client->image->dropped_messages, client->image->dropped_bytes};
}

/* Sets whether messages of the client are taken. may_send must be false for an `unplaced` client,
 * which has to connect anew before it may send again. */
void client_permit(struct client *client, bool may_send);

/* Takes nothing more from the client, and ends the client after the queued messages are written.
 * why is static. */
void client_leave(struct client *client, const char *why);

/* Reads on after room() returned 0: the out log has room again. */
void client_read_on(struct client *client);

/* Reads all bytes that the client has sent before the call, as far as the out log has room. */
void client_call(struct client *client);

/*
 * The one way to end a client. Logs `why` (at debug level if quiet), drops the queued messages that
 * go to no other client with the reason `drop`, discards the partial message, closes the socket and
 * calls gone().
 */
void client_end(struct client *client, enum drop_reason drop, bool quiet, const char *why);

/* Frees the client, from the event loop; to be called after gone(). */
void client_free(struct client *client);
