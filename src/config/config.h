/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The configuration in force: plain data, read whole from its files, checked whole, and never
 * changed afterwards; a reload makes a new one. One table row a key (table.c) drives
 * parsing, defaults, printing and the tests that the sample file and the manual name it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "wire/frame.h"

#define CONFIG_INFINITY UINT64_MAX /* of a span or a size */

enum { CONFIG_CLIENTS_MAX = 65536 }; /* the image has as many slots for clients */

/* Bytes that may hold NUL. As an element of a list, owned by the list. */
struct config_bytes {
        unsigned char *data;
        size_t size;
};

struct config_messages {
        struct config_bytes *items; /* messages as people write them; not framed */
        size_t n;
        bool set; /* assigned, perhaps to nothing; false: the default */
};

struct config_address {
        char *text; /* as written, for people */
        char *host; /* without brackets */
        char *port; /* digits or a service name */
};

/* Users and @groups, resolved to ids when the file was read. */
struct config_people {
        uid_t *uids;
        size_t n_uids;
        gid_t *gids;
        size_t n_gids;
        char **texts; /* as written, for people */
        size_t n_texts;
        bool set; /* false: the list is empty */
};

enum config_silence { SILENCE_RECONNECT, SILENCE_REPORT };
enum config_to_clients { TO_BROADCAST, TO_BALANCE };
enum config_slow { SLOW_DISCONNECT, SLOW_DROP, SLOW_WAIT };
enum config_down { DOWN_QUEUE, DOWN_DISCARD, DOWN_REFUSE };
enum config_loss { LOSS_KEEP, LOSS_DISCONNECT };
enum config_held { HELD_OK, HELD_WARNING, HELD_CRITICAL };
enum config_resend { RESEND_UNACKED, RESEND_UNSENT, RESEND_NONE };

struct config {
        /* [Upstream] */
        struct config_address *addresses;
        size_t n_addresses;
        uint64_t connect_timeout_usec;
        uint64_t reconnect_delay_usec, reconnect_delay_max_usec, stable_time_usec;
        uint64_t path_timeout_usec, stall_timeout_usec; /* 0: off */
        char *source_address;                           /* NULL: none */
        struct config_messages greeting;
        struct config_bytes greeting_expect; /* size 0: none */
        uint64_t greeting_timeout_usec;
        /* [Frame] */
        struct frame_spec frame;
        uint64_t frame_timeout_usec; /* 0: off */
        /* [Heartbeat] */
        uint64_t heartbeat_interval_usec, heartbeat_timeout_usec; /* 0: off */
        enum config_silence on_silence;
        struct config_messages
                heartbeat_message; /* n is 1, or 0 where there is none to send (Interval=0) */
        struct config_messages heartbeat_received; /* the effective list: defaults are filled in */
        struct config_messages heartbeat_answer;   /* n is 0 or 1 */
        bool heartbeat_relay;
        /* [Delivery] */
        enum config_to_clients to_clients;
        enum config_slow slow_client;
        uint64_t slow_client_grace_usec, client_stall_timeout_usec; /* the second: 0 is off */
        uint64_t client_queue_size, upstream_queue_size;
        uint64_t hold_size; /* 0: nothing is held */
        enum config_down when_down;
        enum config_loss on_link_loss;
        uint64_t message_ttl_usec; /* CONFIG_INFINITY: for ever */
        enum config_resend resend;
        /* [Local] */
        char *local_socket;
        mode_t local_socket_mode;
        char *local_socket_group; /* NULL: none */
        gid_t local_socket_gid;   /* (gid_t)-1: none */
        uint64_t max_clients;
        uint64_t partial_size;
        struct config_people senders;
        /* [Control] */
        char *control_socket;
        mode_t control_socket_mode;
        char *control_socket_group;
        gid_t control_socket_gid;
        uint64_t control_max_clients;
        struct config_people admin;
        /* [Health] */
        uint64_t critical_after_usec, max_age_usec, flaps; /* the last two: 0 is off */
        enum config_held held;
        /* [Service] */
        uint64_t stop_timeout_usec;
        int log_level; /* LOG_EMERG to LOG_DEBUG of syslog.h */

        char *instance; /* NULL: the unnamed one */
        char *path;     /* the main file */
        char **files;   /* that were read, those of secrets too */
        size_t n_files;
        char *kept; /* what was assigned, for a successor: see config_source */
        size_t kept_size;
        struct config_setting
                *settings; /* every key in force, in table order: section, key, value, file, line */
        size_t n_settings;
};

/* As GetConfig shows it. A list has one row a value. Secrets read "(set, N messages)". */
struct config_setting {
        const char *section, *key; /* static */
        char *value;
        char *file; /* NULL: the default */
        unsigned line;
};

/* What was found wrong, in the order of the files; each line is whole: "FILE:LINE: [Section] Key:
 * what, expected what". */
struct config_report {
        char **errors;
        size_t n_errors;
        char **warnings; /* also what follows from the values (worst case to notice a dead peer
                            ...), prefixed "note: " */
        size_t n_warnings;
};

struct config_source {
        const char *path;     /* NULL: by instance */
        const char *instance; /* NULL: the unnamed one */
        bool strict;          /* --check-config: an unknown key or section is an error */
        const char *root;     /* prefix for /etc, /run, /usr/lib (tests); NULL: none */
        const char *kept;     /* what another process had assigned, instead of any file; borrowed */
        size_t kept_size;
};

/*
 * Reads the main file and its drop-ins. Returns a configuration to be freed with config_free(), or
 * NULL when anything was an error; report is filled in both cases and is freed with
 * config_report_done(). Names of users, groups and credentials are resolved here, and only here.
 */
struct config *config_load(const struct config_source *source, struct config_report *report);
void config_free(struct config *config);
void config_report_done(struct config_report *report);

/* Every key with its default and a comment of one line, as a file that could be used after setting
 * Address=. */
void config_print_defaults(FILE *to);

/* What a running daemon can't change (a list of "[Section] Key" for people, in text of size bytes);
 * true if there is any. */
bool config_refuses_reload(const struct config *old, const struct config *new, char *text,
                           size_t size);

/* Was the link made from a key that differs (its addresses, source address, greeting)? Then it is
 * redialled. */
bool config_changes_link(const struct config *old, const struct config *new);

/* Is this peer one of the people? Empty list: false. */
bool config_people_have(const struct config_people *people, uid_t uid, const gid_t *gids,
                        size_t n_gids);
