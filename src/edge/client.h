/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One local program: what it sends goes through the turn into the out log, what the in log has goes
 * to it at its own pace. It may stop doing either: a half-closed client goes on receiving, one that
 * shut down its reading side only sends. Limits and policies live here, filled from the
 * configuration.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "config/config.h"
#include "core/books.h"
#include "edge/deadlines.h"
#include "edge/poller.h"
#include "flow/spread.h"
#include "flow/turn.h"
#include "util/socket.h"

struct client;

struct client_ops {
        /* How many bytes of it may be read now; 0: none, and client_read_on() comes later. */
        size_t (*room)(void *context, struct client *client);
        /* Messages of it were committed to the out log. */
        void (*accepted)(void *context, struct client *client, const struct log_taken *taken);
        /* Messages were accepted, and what comes next is likely to be there in the next turn of
         * the loop. */
        void (*more)(void *context);
        /* Its partial message has grown, or ended (grown_from is its size before). */
        void (*partial)(void *context, struct client *client, uint64_t grown_from);
        /* It is beyond its limit, or no longer. */
        void (*over)(void *context, struct client *client, bool over);
        /* The last call: it is closed and is to be freed, later. As client_end() was told. */
        void (*gone)(void *context, struct client *client, bool quiet, const char *why);
};

/* For the poller and the agenda of a class. */
extern const struct poller_ops client_poller_ops;
void client_due(struct due *due, uint64_t at);

struct client_limits {
        uint64_t queue_size, grace_usec, stall_usec, frame_usec; /* the last two 0: off */
        enum config_slow slow;
};

/* What those have in common that are treated alike; it outlives them. All is borrowed. */
struct client_class {
        const struct client_ops *ops;
        void *context;
        struct poller *poller;       /* with client_poller_ops */
        struct deadlines *deadlines; /* with client_due() */
        struct store *store;
        struct turn *turn;
        struct spread *spread; /* with room for one reader more than there are */
        struct client_limits limits;
        size_t takers; /* who get each message and took any a moment ago */
};

/* There may be tens of thousands: what goes in here costs each of them. */
struct client {
        const struct client_class *class;
        struct image_client *image;
        struct writer writer;
        struct reader reader;
        struct polled polled;
        struct due due;
        uint64_t id;
        int fd; /* -1: closed */
        /* who */
        pid_t pid;
        uid_t uid;
        gid_t gid;
        union {
                char program[SOCKET_PROGRAM]; /* of a local one */
                char *peer;                   /* of another one, owned; NULL: not known */
        };
        /* how */
        bool local : 1;
        bool send_only : 1, receive_only : 1; /* it shut down its reading side; it may not send */
        bool ended : 1;                       /* it sends no more */
        bool hung : 1;       /* its other end is gone; what it had sent is still taken */
        bool waiting : 1;    /* in the relay's list of those who wait for room */
        bool blocked : 1;    /* its socket is full */
        bool over : 1;       /* beyond its limit */
        bool called : 1;     /* what it had sent was taken at the stop */
        bool settled : 1;    /* it has been there long enough, and it reads */
        bool unplaced : 1;   /* bytes of it were thrown away: where its next message begins is not
                                known */
        const char *leaving; /* why it is to go, static; NULL: it is not */
        uint64_t probed;     /* when it was asked whether it reads; 0: not yet */
        uint64_t last_taken; /* it took bytes, or some began to wait */
        uint64_t last_byte, partial_since;
        uint64_t rx_count_at; /* at so many bytes read the kernel's count needs care */
        uint64_t credit_usec,
                credit_at; /* so much is left as of then; if it is over, it is being used since */
        uint64_t refused_bytes; /* of it, never accepted */
        TAILQ_ENTRY(client)
        all, queue,
                begun; /* everybody; waiting for room; with a partial message, the oldest first */
};

struct client_setup {
        const struct client_class *class;
        uint32_t slot;
        uint64_t id;
        int fd;     /* taken, also on error */
        bool local; /* a Unix socket */
};

/* A slot of the table is filled for it. NULL without memory. Reading begins at once; receive_only
 * is the caller's to set. */
struct client *client_new(const struct client_setup *setup);

/* For people; in static memory, one at a time. */
const char *client_name(const struct client *client);
/* Goes on with one that stands in the table, whose socket is fd. Events come once the loop runs;
 * before, client_reconcile() takes up what the kernel did and no store says yet. */
struct client *client_recover(const struct client_setup *setup);
void client_reconcile(struct client *client);

/* Sends what waits, as far as its socket takes it. */
void client_write(struct client *client, uint64_t now);

/* Looks whether it is beyond its limit, after messages came for it or went to it, and does what
 * SlowClient= says. */
void client_check(struct client *client, uint64_t now);

/* The limits of its class are others now; `before` they were these. */
void client_configure(struct client *client, const struct client_limits *before);

/* Those that waited for it. */
static inline struct count client_dropped(const struct client *client)
{
        return (struct count){client->image->dropped_messages, client->image->dropped_bytes};
}

/* Whether its messages are taken. Who was refused some may send again only after it has connected
 * anew. */
void client_permit(struct client *client, bool may_send);

/* It is to go, once it has what waits for it; nothing more is taken from it. */
void client_leave(struct client *client, const char *why);

/* Reading was stopped for want of room; there is some again. */
void client_read_on(struct client *client);

/* Takes all that it has sent until now, as far as there is room. */
void client_call(struct client *client);

/*
 * The one way to end one. why is logged (at debug level if it is quiet); what waits for it counts
 * as dropped for `drop`. Its partial message is discarded.
 */
void client_end(struct client *client, enum drop_reason drop, bool quiet, const char *why);

/* After gone(), from the event loop. */
void client_free(struct client *client);
