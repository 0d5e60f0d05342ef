/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The configuration in force: plain data, read as a whole from the files, checked as a whole, and
 * never changed afterwards; a reload makes a new configuration. One table row for each key
 * (table.c) drives parsing, defaults, printing, and the tests that the sample file and the manual
 * name the key.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "wire/frame.h"

#define CONFIG_INFINITY UINT64_MAX /* of a span or a size */

/* ToClients=balance: pieces in which messages may wait, for all clients together, and the most
 * memory that the bookkeeping of one takes. */
enum { CONFIG_PIECES = 4 << 20, CONFIG_PIECE_SIZE = 48 };

/* The largest frame of a heartbeat for clients: every socket takes one whole, or not at all. */
enum { CONFIG_CLIENT_HEARTBEAT_MAX = 2048 };

enum { CONFIG_CLIENTS_MAX = 65536 }; /* also the number of client slots of the image */

/* Bytes, NUL among them. A list owns the bytes of its elements. */
struct config_bytes {
        unsigned char *data;
        size_t size;
};

struct config_messages {
        struct config_bytes *items; /* messages as people write them; not framed */
        size_t n;
        bool set; /* the files assign the key, perhaps an empty list; false: the default */
};

struct config_address {
        char *text; /* as written, for people */
        char *host; /* without brackets */
        char *port; /* digits or a service name */
};

/* Users and @groups, resolved to ids when the configuration is loaded. A name that is unknown then
 * matches nobody until it is learnt, see config/people.h. */
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
enum config_send_after { SEND_AFTER_CONNECT, SEND_AFTER_BYTE, SEND_AFTER_ANSWER };

struct config {
        /* [Upstream] */
        struct config_address *addresses;
        size_t n_addresses;
        uint64_t resolve_timeout_usec, connect_timeout_usec;
        uint64_t reconnect_delay_usec, reconnect_delay_max_usec, stable_time_usec;
        uint64_t path_timeout_usec, stall_timeout_usec; /* 0: no timeout */
        uint64_t stall_speaking_usec; /* StallTimeout= while the peer speaks; not set by itself */
        char *source_address;         /* NULL: none */
        struct config_messages greeting;
        struct config_bytes greeting_expect; /* size 0: none */
        uint64_t greeting_timeout_usec;
        enum config_send_after send_after;
        /* [Frame] */
        struct frame_spec frame;
        uint64_t frame_timeout_usec; /* 0: off */
        /* [Heartbeat] */
        uint64_t heartbeat_interval_usec, heartbeat_timeout_usec; /* 0: off */
        enum config_silence on_silence;
        struct config_messages heartbeat_message; /* n is 1, or 0 with Interval=0 and no Message= */
        struct config_messages heartbeat_received; /* the list in force, the default filled in */
        struct config_messages heartbeat_answer;   /* n is 0 or 1 */
        bool heartbeat_relay;
        /* [Delivery] */
        enum config_to_clients to_clients;
        enum config_slow slow_client;
        uint64_t slow_client_grace_usec, client_stall_timeout_usec; /* the second: 0 is off */
        uint64_t client_queue_size, upstream_queue_size;
        uint64_t hold_size; /* bytes of the backlog; 0: no backlog */
        enum config_down when_down;
        enum config_loss on_link_loss;
        uint64_t message_ttl_usec; /* CONFIG_INFINITY: no limit */
        enum config_resend resend;
        /* [Local] */
        char *local_socket;
        mode_t local_socket_mode;
        char *local_socket_group; /* NULL: none */
        gid_t local_socket_gid;   /* (gid_t)-1: none, or unknown */
        uint64_t max_clients;
        uint64_t partial_size;
        struct config_people senders;
        uint64_t client_heartbeat_usec; /* 0: off */
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

        char *instance; /* NULL: the instance without a name */
        char *path;     /* the main file */
        char **files;   /* the files that were read, with the files of secrets */
        size_t n_files;
        char *kept; /* the assignments in force, as config_source.kept of a successor */
        size_t kept_size;
        struct config_setting
                *settings; /* every key in force, in table order: section, key, value, file, line */
        size_t n_settings;
};

/* One value as GetConfig shows it. A list has one setting for each value. A secret has the value
 * "(set, N messages)". */
struct config_setting {
        const char *section, *key; /* static */
        char *value;
        char *file; /* NULL: the default */
        unsigned line;
};

/* The errors and warnings of a load, in the order of the files. Each text is a whole line:
 * "FILE:LINE: [Section] Key: fault, expected ..."; a fault without a file has no such prefix. */
struct config_report {
        char **errors;
        size_t n_errors;
        char **warnings; /* with --check-config also notes on the effect of the values (worst case
                            to notice a dead peer ...), prefixed "note: " */
        size_t n_warnings;
        bool starved;   /* memory was short: there is no configuration, and no text says so */
        char **sockets; /* of a refused reload: what became of sockets whose paths were gone */
        size_t n_sockets;
};

struct config_source {
        const char *path;     /* the main file; NULL: the default path of the instance */
        const char *instance; /* NULL: the instance without a name */
        bool strict;          /* --check-config: an unknown key or section is an error */
        bool again;           /* a reload: a main file that is a pipe can't be read */
        const char *root;     /* prefix for /etc, /run, /usr/lib (tests); NULL: none */
        const char *kept;     /* config.kept of a predecessor, in place of all files; borrowed */
        size_t kept_size;
};

/*
 * Reads the main file and the drop-ins of source, or source->kept. Returns a configuration to be
 * freed with config_free(), or NULL after any error, a lack of memory among them. Fills report in
 * both cases; the caller frees report with config_report_done(). Names of users, groups and
 * credentials are resolved during the load, and later only names of users and groups that were
 * unknown (config/people.h).
 */
struct config *config_load(const struct config_source *source, struct config_report *report);

/* Frees config, which may be NULL. */
void config_free(struct config *config);

/* Frees the texts of report and empties the report. */
void config_report_done(struct config_report *report);

/* Writes every key with its default and a comment of one line: a file ready for use as soon as
 * Address= is set. */
void config_print_defaults(FILE *to);

/* The message that idle clients are sent, borrowed: the first of Received=, else Message=. NULL
 * with [Local] HeartbeatInterval=0. */
const struct config_bytes *config_client_heartbeat(const struct config *config);

/* Returns 1 if a key differs that only a restart changes, 0 if none does, or -ENOMEM. text, of size
 * bytes, gets the list of these keys for people: "[Section] Key, ...". */
int config_refuses_reload(const struct config *old, const struct config *new, char *text,
                          size_t size);

/* Returns 1 if a key differs from which the link was made (addresses, source address, greeting and
 * the expected answer): the link must be dialled again; 0 if none does, or -ENOMEM. */
int config_changes_link(const struct config *old, const struct config *new);

/* True if people has the user uid or one of the n_gids groups. An empty list has nobody. */
bool config_people_have(const struct config_people *people, uid_t uid, const gid_t *gids,
                        size_t n_gids);

/* Returns the most memory that messages take together in this configuration, in bytes; from 4 MiB
 * on in whole MiB. */
uint64_t config_memory(const struct config *config);
