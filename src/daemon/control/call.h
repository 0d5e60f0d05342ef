/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One request of the control socket: finds its method, checks it against the method's row in the
 * table, and has it carried out. The tables are those of a service: ftcpd's is in
 * methods.c, and what every one has, org.varlink.service, in varlink_service.c.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "daemon/control/control.h"
#include "util/socket.h"

/* A call of Monitor: what is told next; or of Tap. */
struct control_monitor {
        bool on;
        bool taps;       /* what passes, instead of events */
        struct tap tap;  /* the connection's to begin with and to end */
        bool link_first; /* before it, the last event of the link */
        uint64_t next;   /* number of the event */
};

/* A call of Flush: what is waited for, and until when. */
struct control_flush {
        bool on;
        uint64_t position; /* as control_ops.flushed() takes it */
        uint64_t deadline; /* clock_usec(); UINT64_MAX: none */
};

struct control_call {
        const struct control_service *service;
        const struct control_ops *ops;
        void *context;
        int fd;                   /* of the client, for its credentials */
        const json_t *parameters; /* checked against the method's row; NULL: none */
};

struct control_parameter {
        const char *name;
        json_type type;
        bool optional; /* may be absent or null */
};

struct control_method {
        const char *name; /* without the interface */
        /* Returns a whole reply, see below, or an array of several, or NULL without memory. */
        json_t *(*run)(const struct control_call *call);
        const struct control_parameter *parameters; /* ended by one without a name; NULL: none */
        bool changes;    /* for root, the daemon's user and [Control] Admin= only */
        bool needs_more; /* replies several times */
        /* Instead of run(), for one that replies until its client goes: begins it and returns NULL,
         * or returns an error reply, or without memory NULL and leaves it off. */
        json_t *(*monitor)(const struct control_call *call, struct control_monitor *monitor);
        /* Instead of run(), for one whose reply may come later: returns it, or begins to wait for
         * it and returns NULL, or returns NULL without memory. */
        json_t *(*flush)(const struct control_call *call, struct control_flush *flush);
};

struct control_interface {
        const char *name;
        const char *description; /* in Varlink's own language */
        const struct control_method *methods;
};

struct control_service {
        const char *vendor, *product, *version, *url;
        const struct control_interface *interfaces; /* ended by one without a name */
        /* How many clients may be connected; asked for each one that comes. */
        uint64_t (*max_clients)(const struct control_call *call);
        /* Who may change anything, besides root and the daemon's own user. */
        bool (*is_admin)(const struct control_call *call, const struct socket_peer *peer);
        /* The next reply to one that monitors, a new reference; *reply is NULL where nothing new
         * happened. Returns 0 or -ENOMEM. */
        int (*monitor_next)(const struct control_call *call, struct control_monitor *monitor,
                            json_t **reply);
        /* The reply to one that flushes, a new reference, once all is flushed or the time is over;
         * until then *reply is NULL. Returns 0 or -ENOMEM. */
        int (*flush_look)(const struct control_call *call, const struct control_flush *flush,
                          json_t **reply);
};

/* org.varlink.service, which the server itself adds to every service. */
extern const struct control_interface control_service_interface;

/* May the client change the daemon's state? Root may, the daemon's own user, and whom the service
 * names, by the credentials at the time when the client connected. Without credentials nobody. */
bool control_permitted(const struct control_call *call);

/* NULL: it serves none of that name. */
const struct control_interface *control_interface_find(const struct control_service *service,
                                                       const char *name);

/* A reply, or an error of the interface org.varlink.service or, with its full name, of another.
 * They take the parameters; NULL stands for none. */
json_t *control_reply(json_t *parameters);
json_t *control_error(const char *name, json_t *parameters);

/* In methods.c. */
json_t *control_no_such_client(int64_t id);

/*
 * Carries out a request; its parameters are put into the call. *reply gets a new reference, to one
 * or to an array of them, or NULL where none is to be sent; where monitor is on, monitor_next()
 * makes the replies, and where flush is on, flush_look() the reply. Returns 0; -EBADMSG if the
 * request is malformed, -ENOMEM without memory: the connection ends in both cases.
 */
int control_call(struct control_call *call, const json_t *request, json_t **reply,
                 struct control_monitor *monitor, struct control_flush *flush);

/* steer.c: what operators do, and Flush with its reply. */
json_t *control_hold(const struct control_call *call);
json_t *control_release(const struct control_call *call);
json_t *control_reconnect(const struct control_call *call);
json_t *control_drop_client(const struct control_call *call);
json_t *control_set_log_level(const struct control_call *call);
json_t *control_flush(const struct control_call *call, struct control_flush *flush);
int control_flush_look(const struct control_call *call, const struct control_flush *flush,
                       json_t **reply);
