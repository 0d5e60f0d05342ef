/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * One request of the control socket: finds its method, checks it against the method's row in the
 * table, and has it carried out. The table itself is in control_methods.c.
 */
#include "daemon/control.h"

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

/* A call of Monitor: what is told next. */
struct control_monitor {
        bool on;
        bool link_first; /* before it, the last event of the link */
        uint64_t next;   /* number of the event */
};

struct control_call {
        const struct control_ops *ops;
        void *ctx;
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
        /* Returns a whole reply, see below, or NULL without memory. */
        json_t *(*run)(const struct control_call *call);
        const struct control_parameter *parameters; /* ended by one without a name; NULL: none */
        bool changes;                               /* for those whom control_permit.h names */
        bool needs_more;                            /* replies several times */
        /* Instead of run(), for one that replies until its client goes: begins it and returns NULL,
         * or returns an error reply, or without memory NULL and leaves it off. */
        json_t *(*monitor)(const struct control_call *call, struct control_monitor *monitor);
};

struct control_interface {
        const char *name;
        const char *description; /* in Varlink's own language */
        const struct control_method *methods;
};

/* Ended by one without a name. */
extern const struct control_interface control_interfaces[];

const struct control_interface *control_interface_find(const char *name);

/* A reply, or an error of the interface org.varlink.service or, with its full name, of another.
 * They take the parameters; NULL stands for none. */
json_t *control_reply(json_t *parameters);
json_t *control_error(const char *name, json_t *parameters);

/*
 * Carries out a request of the client on fd. *reply gets a new reference, or NULL where none is to
 * be sent; where monitor is on, control_monitor_next() makes the replies. Returns 0; -EBADMSG if
 * the request is malformed, -ENOMEM without memory: the connection ends in both cases.
 */
int control_call(const struct control_ops *ops, void *ctx, int fd, const json_t *request,
                 json_t **reply, struct control_monitor *monitor);

/* The next reply, a new reference; *reply is NULL where nothing new happened. Events that are not
 * kept any more are told as one of kind gap. Returns 0 or -ENOMEM. */
int control_monitor_next(const struct control_ops *ops, void *ctx, struct control_monitor *monitor,
                         json_t **reply);
