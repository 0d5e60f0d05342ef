/* SPDX-License-Identifier: MIT */
#include "config/table.h"

#include <stddef.h>
#include <string.h>

#include "config/type.h"
#include "util/units.h"

#define MSEC UINT64_C(1000)
#define SEC  (1000 * MSEC)
#define K    (UINT64_C(1) << 10)
#define G    (UINT64_C(1) << 30)
#define T    (UINT64_C(1) << 40)

#define PLACE(section_, key_, type_, member)                                                       \
        .section = section_, .key = key_, .type = &config_type_##type_,                            \
        .offset = offsetof(struct config, member)

static const char *const frame_types[] = {"length", "delimiter", NULL};
static const char *const frame_formats[] = {"big", "little", "decimal", "hex", NULL};
static const char *const silences[] = {"reconnect", "report", NULL};
static const char *const downs[] = {
        [DOWN_QUEUE] = "queue", [DOWN_DISCARD] = "discard", [DOWN_REFUSE] = "refuse", NULL};
static const char *const losses[] = {[LOSS_KEEP] = "keep", [LOSS_DISCONNECT] = "disconnect", NULL};
static const char *const resends[] = {
        [RESEND_UNACKED] = "unacked", [RESEND_UNSENT] = "unsent", [RESEND_NONE] = "none", NULL};
static const char *const send_afters[] = {[SEND_AFTER_CONNECT] = "connect",
                                          [SEND_AFTER_BYTE] = "byte",
                                          [SEND_AFTER_ANSWER] = "answer",
                                          NULL};
static const char *const spreads[] = {[TO_BROADCAST] = "broadcast", [TO_BALANCE] = "balance", NULL};
static const char *const slows[] = {
        [SLOW_DISCONNECT] = "disconnect", [SLOW_DROP] = "drop", [SLOW_WAIT] = "wait", NULL};
static const char *const helds[] = {
        [HELD_OK] = "ok", [HELD_WARNING] = "warning", [HELD_CRITICAL] = "critical", NULL};
static const char *const levels[] = {"emerg",  "alert", "crit",  "err", "warning",
                                     "notice", "info",  "debug", NULL};

const struct config_row config_rows[] = {
        {PLACE("Upstream", "Address", address, addresses), .fallback = "",
         .reload = CONFIG_RELOAD_REDIALS, .list = true,
         .doc = "HOST:PORT or [IPV6]:PORT of the peer; a list, in order of preference. Must be "
                "set."},
        {PLACE("Upstream", "ResolveTimeout", span, resolve_timeout_usec), .fallback = "10s",
         .min = MSEC, .max = 120 * SEC,
         .doc = "How long the system's resolver may take for a name; at most 2min."},
        {PLACE("Upstream", "ConnectTimeout", span, connect_timeout_usec), .fallback = "5s",
         .doc = "How long one address may take to answer."},
        {PLACE("Upstream", "ReconnectDelay", span, reconnect_delay_usec), .fallback = "200ms",
         .max = UNITS_SPAN_MAX,
         .doc = "The first delay before dialling again; it doubles with each failure."},
        {PLACE("Upstream", "ReconnectDelayMax", span, reconnect_delay_max_usec), .fallback = "30s",
         .max = UNITS_SPAN_MAX, .doc = "The longest delay before dialling again."},
        {PLACE("Upstream", "StableTime", span, stable_time_usec), .fallback = "10s",
         .zero = CONFIG_ZERO_FINE,
         .doc = "A connection that lasted as long lets the delay fall back to the first."},
        {PLACE("Upstream", "PathTimeout", span, path_timeout_usec), .fallback = "3s",
         .min = 2 * SEC, .zero = CONFIG_ZERO_OFF,
         .doc = "No byte and no acknowledgement from the peer's host for as long: the link is "
                "dead. 0: off."},
        {PLACE("Upstream", "StallTimeout", span, stall_timeout_usec), .fallback = "",
         .zero = CONFIG_ZERO_OFF, .derived = true,
         .doc = "Data waits and the peer takes none for as long: the link is dead. 0: off; not "
                "set: 30s, 5min while the peer speaks."},
        {PLACE("Upstream", "SourceAddress", source, source_address), .fallback = "",
         .reload = CONFIG_RELOAD_REDIALS, .doc = "The local IP address to connect from."},
        {PLACE("Upstream", "Greeting", messages, greeting), .fallback = "",
         .reload = CONFIG_RELOAD_REDIALS, .list = true, .secret = true,
         .doc = "Messages to send first on each connection; a list. C escapes, @/path or "
                "@credential:NAME."},
        {PLACE("Upstream", "GreetingExpect", expect, greeting_expect), .fallback = "",
         .reload = CONFIG_RELOAD_REDIALS, .secret = true,
         .doc = "How the answer to the greeting begins; nothing else is sent before. As "
                "Greeting=."},
        {PLACE("Upstream", "GreetingTimeout", span, greeting_timeout_usec), .fallback = "10s",
         .doc = "How long the answer may take, or what SendAfter= waits for."},
        {PLACE("Upstream", "SendAfter", word, send_after), .fallback = "connect",
         .words = send_afters,
         .doc = "What the peer must do before messages go out: connect, byte (it sent a byte) or "
                "answer (a whole message, no heartbeat)."},
        {PLACE("Frame", "Type", word, frame.type), .fallback = "length", .words = frame_types,
         .reload = CONFIG_RELOAD_REFUSED,
         .doc = "How a message ends: length (a length field before it) or delimiter (bytes behind "
                "it)."},
        {PLACE("Frame", "LengthSize", small, frame.length_size), .fallback = "4", .min = 1,
         .max = FRAME_LENGTH_SIZE_MAX, .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Bytes of the length field, 1 to 4."},
        {PLACE("Frame", "LengthFormat", word, frame.format), .fallback = "big",
         .words = frame_formats, .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Its bytes: big, little, or decimal or hex digits."},
        {PLACE("Frame", "LengthOffset", small, frame.length_offset), .fallback = "0",
         .max = FRAME_LENGTH_OFFSET_MAX, .zero = CONFIG_ZERO_FINE, .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Bytes of a message before its length field."},
        {PLACE("Frame", "LengthAdjust", signed, frame.length_adjust), .fallback = "0", .max = G,
         .zero = CONFIG_ZERO_FINE, .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Added to a length; -4 where a field of four bytes counts itself."},
        {PLACE("Frame", "Delimiter", delimiter, frame), .fallback = "\\n",
         .reload = CONFIG_RELOAD_REFUSED,
         .doc = "What ends a message with Type=delimiter: 1 to 4 bytes, C escapes."},
        {PLACE("Frame", "MaxMessageSize", size, frame.max_message_size), .fallback = "16M",
         .min = 1, .max = 4 * G, .doc = "The largest message, in both directions."},
        {PLACE("Frame", "Timeout", span, frame_timeout_usec), .fallback = "30s",
         .zero = CONFIG_ZERO_OFF,
         .doc = "A message that has begun and gets no further byte for as long is given up. 0: "
                "off."},
        {PLACE("Heartbeat", "Interval", span, heartbeat_interval_usec), .fallback = "1s",
         .zero = CONFIG_ZERO_OFF,
         .doc = "Nothing sent for as long: send a heartbeat. 0: send none."},
        {PLACE("Heartbeat", "Timeout", span, heartbeat_timeout_usec), .fallback = "3s",
         .zero = CONFIG_ZERO_OFF,
         .doc = "Nothing received for as long: the link is dead. 0: off, for peers silent by "
                "nature."},
        {PLACE("Heartbeat", "OnSilence", word, on_silence), .fallback = "reconnect",
         .words = silences, .doc = "What to do then: reconnect, or report (a warning in health)."},
        {PLACE("Heartbeat", "Message", messages, heartbeat_message), .fallback = "\"\"",
         .doc = "The heartbeat to send; \"\" is the empty message. C escapes."},
        {PLACE("Heartbeat", "Received", messages, heartbeat_received), .fallback = "", .list = true,
         .derived = true,
         .doc = "Messages that are heartbeats when received; a list. Not set: Message=, none with "
                "Interval=0."},
        {PLACE("Heartbeat", "Answer", messages, heartbeat_answer), .fallback = "",
         .doc = "The message to answer a received heartbeat with; not set: none."},
        {PLACE("Heartbeat", "Relay", bool, heartbeat_relay), .fallback = "no",
         .doc = "Whether clients get the received heartbeats too."},
        {PLACE("Delivery", "ToClients", word, to_clients), .fallback = "broadcast",
         .words = spreads,
         .doc = "Who gets a message of the upstream: every client (broadcast), or one of them "
                "(balance)."},
        {PLACE("Delivery", "SlowClient", word, slow_client), .fallback = "disconnect",
         .words = slows,
         .doc = "What becomes of a client slower than its grace allows: disconnect, drop its "
                "oldest messages (without any grace), or wait for it."},
        {PLACE("Delivery", "SlowClientGrace", span, slow_client_grace_usec), .fallback = "1s",
         .zero = CONFIG_ZERO_FINE,
         .doc = "How long a slow client may hold up the others, refilled at 5 % of real time."},
        {PLACE("Delivery", "ClientStallTimeout", span, client_stall_timeout_usec),
         .fallback = "30s", .zero = CONFIG_ZERO_OFF,
         .doc = "A client that has messages waiting and takes no byte for as long is disconnected. "
                "0: off."},
        {PLACE("Delivery", "ClientQueueSize", size, client_queue_size), .fallback = "16M", .min = 1,
         .max = T, .doc = "What may wait for one client."},
        {PLACE("Delivery", "HoldSize", size, hold_size), .fallback = "0", .max = T,
         .zero = CONFIG_ZERO_FINE,
         .doc = "What is held for the next client while there is none; the oldest go first. 0: "
                "nothing."},
        {PLACE("Delivery", "UpstreamQueueSize", size, upstream_queue_size), .fallback = "64M",
         .min = 1, .max = T,
         .doc = "What may wait for the peer's acknowledgement; at least MaxMessageSize=."},
        {PLACE("Delivery", "WhenDown", word, when_down), .fallback = "queue", .words = downs,
         .doc = "Clients' messages while the link is not up: queue, discard, or refuse (disconnect "
                "the clients)."},
        {PLACE("Delivery", "OnLinkLoss", word, on_link_loss), .fallback = "keep", .words = losses,
         .doc = "Clients when the link is lost: keep, or disconnect once they have what was "
                "received."},
        {PLACE("Delivery", "MessageTTL", span, message_ttl_usec), .fallback = "infinity",
         .doc = "A message that waited for as long is not sent to the upstream any more."},
        {PLACE("Delivery", "Resend", word, resend), .fallback = "unacked", .words = resends,
         .doc = "What of a lost connection goes again: unacked (at least once), unsent (at most "
                "once) or none."},
        {PLACE("Local", "Socket", socket, local_socket), .fallback = "/run/ftcpd.sock",
         .named_fallback = "/run/ftcpd/%s.sock", .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Where clients connect; used when systemd passed no socket."},
        {PLACE("Local", "SocketMode", mode, local_socket_mode), .fallback = "0660",
         .reload = CONFIG_RELOAD_REFUSED, .doc = "Its mode."},
        {PLACE("Local", "SocketGroup", group, local_socket_group), .fallback = "",
         .id_offset = offsetof(struct config, local_socket_gid), .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Its group; not set: that of the daemon."},
        {PLACE("Local", "MaxClients", count, max_clients), .fallback = "1024", .min = 1,
         .max = CONFIG_CLIENTS_MAX, .doc = "How many clients may be connected."},
        {PLACE("Local", "PartialSize", size, partial_size), .fallback = "64M", .min = 1, .max = T,
         .doc = "What all messages that clients have begun may take together."},
        {PLACE("Local", "Senders", people, senders), .fallback = "", .list = true,
         .doc = "Users and @groups whose messages are taken; a list. Not set: everybody who may "
                "connect."},
        {PLACE("Local", "HeartbeatInterval", span, client_heartbeat_usec), .fallback = "0",
         .min = 100 * MSEC, .zero = CONFIG_ZERO_OFF,
         .doc = "Nothing else sent to a client for as long: send it the first heartbeat of "
                "Received=, else Message=. 0: off."},
        {PLACE("Control", "Socket", socket, control_socket), .fallback = "/run/ftcpd.varlink",
         .named_fallback = "/run/ftcpd/%s.varlink", .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Where ftcpctl and monitoring connect; used when systemd passed no socket."},
        {PLACE("Control", "SocketMode", mode, control_socket_mode), .fallback = "0666",
         .reload = CONFIG_RELOAD_REFUSED, .doc = "Its mode: reading is free, changing is not."},
        {PLACE("Control", "SocketGroup", group, control_socket_group), .fallback = "",
         .id_offset = offsetof(struct config, control_socket_gid), .reload = CONFIG_RELOAD_REFUSED,
         .doc = "Its group; not set: that of the daemon."},
        {PLACE("Control", "MaxClients", count, control_max_clients), .fallback = "64", .min = 1,
         .max = 4 * K, .doc = "How many may be connected to it."},
        {PLACE("Control", "Admin", people, admin), .fallback = "", .list = true,
         .doc = "Users and @groups who may change state or tap, besides root and the daemon's "
                "user; a list."},
        {PLACE("Health", "CriticalAfter", span, critical_after_usec), .fallback = "30s",
         .zero = CONFIG_ZERO_FINE,
         .doc = "A link that is down for as long is CRITICAL, before it is a WARNING."},
        {PLACE("Health", "Held", word, held), .fallback = "warning", .words = helds,
         .doc = "What a link that an operator holds is: ok, warning or critical."},
        {PLACE("Health", "MaxAge", span, max_age_usec), .fallback = "1min", .zero = CONFIG_ZERO_OFF,
         .doc = "A queued message older than this is a WARNING. 0: off."},
        {PLACE("Health", "Flaps", count, flaps), .fallback = "5", .max = K * K,
         .zero = CONFIG_ZERO_OFF,
         .doc = "As many losses of the link in 10 minutes are a WARNING. 0: off."},
        {PLACE("Service", "StopTimeout", span, stop_timeout_usec), .fallback = "5s",
         .zero = CONFIG_ZERO_FINE,
         .doc = "How long a stop waits for what is still to be sent and acknowledged."},
        {PLACE("Service", "LogLevel", word, log_level), .fallback = "info", .words = levels,
         .doc = "emerg, alert, crit, err, warning, notice, info or debug."},
};

const size_t config_n_rows = sizeof(config_rows) / sizeof(*config_rows);

const struct config_row *config_row_find(const char *section, const char *key)
{
        for (size_t i = 0; i < config_n_rows; i++)
                if (strcmp(config_rows[i].section, section) == 0 &&
                    strcmp(config_rows[i].key, key) == 0)
                        return &config_rows[i];
        return NULL;
}

const char *config_section_find(const char *section)
{
        for (size_t i = 0; i < config_n_rows; i++)
                if (strcmp(config_rows[i].section, section) == 0)
                        return config_rows[i].section;
        return NULL;
}

size_t config_row_index(const struct config_row *row)
{
        return (size_t)(row - config_rows);
}
