/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One request of the control socket: control_call() finds the method, checks the request against
 * the method's row in a table, and runs the method. A service has one table for each interface.
 * methods.c has the table of ftcpd, varlink_service.c of org.varlink.service.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "daemon/control/control.h"
#include "util/socket.h"

/* State of a call of Monitor or of Tap. */
struct control_monitor {
        bool on;
        bool taps;       /* a call of Tap: messages instead of events */
        struct tap tap;  /* begun and ended by the connection */
        bool link_first; /* the last event of kind link is to be sent before `next` */
        uint64_t next;   /* number of the next event to send */
};

/* State of a call of Flush. */
struct control_flush {
        bool on;
        uint64_t position; /* argument of control_ops.flushed() */
        uint64_t deadline; /* clock_usec(); UINT64_MAX: none */
};

/* State of a call of ListClients. */
struct control_listing {
        bool on;
        bool begun;     /* the reply has a client */
        uint64_t after; /* the id of the last client in the reply */
};

struct control_call {
        const struct control_service *service;
        const struct control_ops *ops;
        void *context;
        int fd;                          /* of the connection, for its credentials */
        const json_t *parameters;        /* checked against the method's row; NULL: none */
        struct control_listing *listing; /* of the connection */
};

struct control_parameter {
        const char *name;
        json_type type;
        bool optional; /* may be absent or null */
};

struct control_method {
        const char *name; /* without the interface */
        /* Returns a reply of control_reply() or control_error(), or an array of replies, or NULL
         * without memory. */
        json_t *(*run)(const struct control_call *call);
        const struct control_parameter *parameters; /* ended by a row without a name; NULL: none */
        bool changes;    /* for root, the daemon's user and [Control] Admin= only */
        bool needs_more; /* replies several times */
        bool lists;      /* instead of run(): the connection writes the reply, client by client */
        /* Instead of run(), for a method that replies until the connection ends. Sets monitor and
         * returns NULL; or returns an error reply; or without memory returns NULL and leaves
         * monitor off. */
        json_t *(*monitor)(const struct control_call *call, struct control_monitor *monitor);
        /* Instead of run(), for a method whose reply may come later. Returns the reply; or sets
         * flush and returns NULL; or without memory returns NULL and leaves flush off. */
        json_t *(*flush)(const struct control_call *call, struct control_flush *flush);
};

struct control_interface {
        const char *name;
        const char *description; /* the text of the .varlink file */
        const struct control_method *methods;
};

struct control_service {
        const char *vendor, *product, *version, *url;
        const struct control_interface *interfaces; /* ended by a row without a name */
        /* Returns the limit of connections. Called for each new connection. */
        uint64_t (*max_clients)(const struct control_call *call);
        /* True if is_admin() can be true for any user. */
        bool (*has_admins)(const struct control_call *call);
        /* True if peer may call methods that change something, besides root and the daemon's own
         * user. */
        bool (*is_admin)(const struct control_call *call, const struct socket_peer *peer);
        /* Sets *reply to the next reply to a call of Monitor, a new reference, or to NULL without
         * a new event. Returns 0 or -ENOMEM. */
        int (*monitor_next)(const struct control_call *call, struct control_monitor *monitor,
                            json_t **reply);
        /* Sets *reply to the reply to a call of Flush, a new reference, if everything is flushed
         * or the deadline is over, else to NULL. Returns 0 or -ENOMEM. */
        int (*flush_look)(const struct control_call *call, const struct control_flush *flush,
                          json_t **reply);
        /* Returns one client of the reply to ListClients, a new reference, or NULL without memory.
         */
        json_t *(*listing_client)(const struct status_client *client);
};

/* The interface org.varlink.service, which the server adds to every service. */
extern const struct control_interface control_service_interface;

/* True if the caller may change the daemon's state: root, the daemon's own user, and the admins of
 * the service, by the credentials at the time of the connect. False without credentials. */
bool control_permitted(const struct control_call *call);

/* As control_permitted(), where the user of the connection is known already: asks the kernel for
 * groups only if the service has admins. */
bool control_permitted_as(const struct control_call *call, uid_t uid);

/* Returns the interface of the service by its full name, borrowed, or NULL. */
const struct control_interface *control_interface_find(const struct control_service *service,
                                                       const char *name);

/* Returns a reply, a new reference, or NULL without memory. Takes the reference to parameters;
 * NULL: none. */
json_t *control_reply(json_t *parameters);

/* Returns an error reply, as control_reply() does. name is an error of org.varlink.service, or the
 * full name of an error of another interface. */
json_t *control_error(const char *name, json_t *parameters);

/* Returns the error io.ftcpd.NoSuchClient, as control_error() does. */
json_t *control_no_such_client(int64_t id);

/*
 * Runs the method of a request, and sets call->parameters, borrowed from the request. Sets *reply
 * to a reply or an array of replies, a new reference, or to NULL without a reply to send. Sets
 * monitor: if on, monitor_next() makes the replies; and flush: if on, flush_look() makes the reply;
 * and call->listing: if on, the connection makes the reply, of listing_client() for each client.
 * Returns 0, -EBADMSG if the request is malformed, or -ENOMEM; the connection ends on both errors.
 */
int control_call(struct control_call *call, const json_t *request, json_t **reply,
                 struct control_monitor *monitor, struct control_flush *flush);

/* The run() of Hold, Release, Reconnect, DropClient and SetLogLevel, the operator's methods. */
json_t *control_hold(const struct control_call *call);
json_t *control_release(const struct control_call *call);
json_t *control_reconnect(const struct control_call *call);
json_t *control_drop_client(const struct control_call *call);
json_t *control_set_log_level(const struct control_call *call);

/* The flush() of Flush. */
json_t *control_flush(const struct control_call *call, struct control_flush *flush);

/* The flush_look() of the service: the reply to Flush. */
int control_flush_look(const struct control_call *call, const struct control_flush *flush,
                       json_t **reply);
