/* SPDX-License-Identifier: MIT */
/* The notes of --check-config: effects of several values together, and keys without effect. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/draft.h"
#include "util/units.h"

struct span_text {
        char text[UNITS_TEXT_MAX];
};

static struct span_text span(uint64_t usec)
{
        struct span_text text = {""};

        units_span_format(usec, text.text);
        return text;
}

/* bytes; from 4 MiB on rounded up to whole MiB. */
static uint64_t rounded(uint64_t bytes)
{
        const uint64_t mib = 1 << 20;

        return bytes < 4 * mib ? bytes : (bytes + mib - 1) / mib * mib;
}

static struct span_text size(uint64_t bytes)
{
        struct span_text text = {""};

        units_size_format(bytes, text.text);
        return text;
}

static bool assigned(const struct config_draft *draft, const char *section, const char *key)
{
        const struct config_row *row = config_row_find(section, key);

        return row && draft->states[config_row_index(row)].last.line;
}

/* The shorter of two timeouts; 0 is no timeout. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
        return !a ? b : !b || a < b ? a : b;
}

static void note_dead_peer(struct config_draft *draft)
{
        const struct config *config = draft->config;
        uint64_t silence =
                config->on_silence == SILENCE_RECONNECT ? config->heartbeat_timeout_usec : 0;
        uint64_t host = sooner(silence, config->path_timeout_usec);
        uint64_t program = silence ? silence : config->stall_timeout_usec;

        if (host)
                config_note(draft,
                            "a peer whose host or network is gone is noticed within %s, at the "
                            "worst",
                            span(host).text);
        else
                config_note(draft, "a peer whose host or network is gone may never be noticed: "
                                   "[Heartbeat] Timeout= and [Upstream] PathTimeout= are off");
        if (silence)
                config_note(draft, "a peer whose program hangs is noticed within %s, at the worst",
                            span(program).text);
        else if (program && config->stall_speaking_usec != program)
                config_note(draft,
                            "a peer whose program hangs is noticed only while something is to be "
                            "sent, after %s, and %s while it sends bytes",
                            span(program).text, span(config->stall_speaking_usec).text);
        else if (program)
                config_note(draft,
                            "a peer whose program hangs is noticed only while something is to be "
                            "sent, after %s",
                            span(program).text);
        else
                config_note(draft, "a peer whose program hangs is never noticed: [Heartbeat] "
                                   "Timeout= and [Upstream] StallTimeout= are off");
}

/* The number of full client queues: with broadcast all clients read one copy, with balance the
 * queue of each client has other messages. */
static uint64_t copies(const struct config *config)
{
        return config->to_clients == TO_BALANCE ? config->max_clients : 1;
}

/* The memory for the bookkeeping of pieces that messages dealt to clients wait in. */
static uint64_t pieces(const struct config *config)
{
        uint64_t clients = copies(config), most = CONFIG_PIECES;

        if (clients < 2)
                return 0;
        if (config->client_queue_size < most / clients) /* a piece has a byte at least */
                most = clients * config->client_queue_size;
        return most * CONFIG_PIECE_SIZE;
}

uint64_t config_memory(const struct config *config)
{
        return rounded(config->upstream_queue_size + copies(config) * config->client_queue_size +
                       pieces(config) + config->hold_size + config->partial_size +
                       config->frame.max_message_size);
}

static void note_memory(struct config_draft *draft)
{
        const struct config *config = draft->config;
        uint64_t message = config->frame.max_message_size, clients = copies(config);
        char times[UNITS_TEXT_MAX + 80] = "", hold[UNITS_TEXT_MAX + 16] = "";

        if (clients > 1)
                snprintf(times, sizeof(times),
                         " for each of %" PRIu64 " and %s for the pieces that it is dealt in",
                         clients, size(rounded(pieces(config))).text);
        if (config->hold_size)
                snprintf(hold, sizeof(hold), "HoldSize=%s, ", size(config->hold_size).text);
        config_note(draft,
                    "messages take at most %s of memory: UpstreamQueueSize=%s, "
                    "ClientQueueSize=%s%s, %sPartialSize=%s, and one MaxMessageSize=%s",
                    size(config_memory(config)).text, size(config->upstream_queue_size).text,
                    size(config->client_queue_size).text, times, hold,
                    size(config->partial_size).text, size(message).text);
        if (config->hold_size > config->client_queue_size && config->slow_client == SLOW_DISCONNECT)
                config_note(draft, "HoldSize= is above ClientQueueSize=: whoever is given all that "
                                   "was held is a slow client at once (SlowClient=)");
        if (config->partial_size < message)
                config_note(draft, "PartialSize= is below MaxMessageSize=: a client with a larger "
                                   "message is disconnected before it is whole");
}

static void note_client_heartbeat(struct config_draft *draft)
{
        if (draft->config->client_heartbeat_usec)
                config_note(draft,
                            "HeartbeatInterval=%s: a client that only sends must read, too: over "
                            "TCP, to close with a heartbeat unread resets the connection, and the "
                            "end of what it sent may be lost",
                            span(draft->config->client_heartbeat_usec).text);
}

static void note_sockets(struct config_draft *draft)
{
        static const char *const sections[] = {"Local", "Control"};
        static const char *const keys[] = {"Socket", "SocketMode", "SocketGroup"};

        for (size_t i = 0; i < 2; i++)
                for (size_t j = 0; j < 3; j++)
                        if (assigned(draft, sections[i], keys[j]))
                                config_note(draft,
                                            "[%s] %s= has no effect where a socket unit is used "
                                            "(ftcpd.socket): the unit says it then",
                                            sections[i], keys[j]);
}

static void note_frame(struct config_draft *draft)
{
        static const char *const lengths[] = {"LengthSize", "LengthFormat", "LengthOffset",
                                              "LengthAdjust"};

        if (draft->config->frame.type == FRAME_LENGTH && assigned(draft, "Frame", "Delimiter"))
                config_note(draft, "[Frame] Delimiter= has no effect without Type=delimiter");
        for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
                if (draft->config->frame.type == FRAME_DELIMITER &&
                    assigned(draft, "Frame", lengths[i]))
                        config_note(draft, "[Frame] %s= has no effect with Type=delimiter",
                                    lengths[i]);
}

static void note_times(struct config_draft *draft)
{
        const struct config *config = draft->config;

        if (config->reconnect_delay_usec > config->reconnect_delay_max_usec)
                config_note(draft, "ReconnectDelay= is above ReconnectDelayMax=, which then is the "
                                   "only delay");
        if (config->message_ttl_usec < config->reconnect_delay_max_usec)
                config_note(draft,
                            "MessageTTL=%s is below ReconnectDelayMax=%s: while the link is down, "
                            "messages may grow too old between two attempts",
                            span(config->message_ttl_usec).text,
                            span(config->reconnect_delay_max_usec).text);
        if (config->heartbeat_timeout_usec &&
            config->heartbeat_timeout_usec <= config->heartbeat_interval_usec)
                config_note(draft, "[Heartbeat] Timeout= is not above Interval=: a peer that sends "
                                   "as often as ftcpd does would be taken for dead");
        if (config->heartbeat_answer.n && !config->heartbeat_received.n)
                config_note(draft, "[Heartbeat] Answer= has no effect: no message counts as a "
                                   "heartbeat (Received=)");
}

static void note_delivery(struct config_draft *draft)
{
        const struct config *config = draft->config;

        if (config->when_down == DOWN_REFUSE && assigned(draft, "Delivery", "OnLinkLoss"))
                config_note(draft, "OnLinkLoss= has no effect with WhenDown=refuse, which "
                                   "disconnects the clients");
        if (config->slow_client != SLOW_DISCONNECT &&
            assigned(draft, "Delivery", "SlowClientGrace"))
                config_note(draft, "SlowClientGrace= has no effect without SlowClient=disconnect");
        if (config->resend != RESEND_UNACKED && config->send_after == SEND_AFTER_CONNECT &&
            !config->greeting_expect.size && config->heartbeat_timeout_usec &&
            config->on_silence == SILENCE_RECONNECT)
                config_note(draft,
                            "Resend= does not send again what went out on a connection that "
                            "ends before a byte of the upstream came, as behind a tunnel "
                            "without a program: it is dropped; SendAfter=byte holds it back, "
                            "if the upstream speaks first");
}

void config_notes(struct config_draft *draft)
{
        note_dead_peer(draft);
        note_memory(draft);
        note_times(draft);
        note_delivery(draft);
        note_client_heartbeat(draft);
        note_frame(draft);
        note_sockets(draft);
}
