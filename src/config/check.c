/* SPDX-License-Identifier: MIT */
/* The checks after all values are read: defaults that follow from other keys, and rules across
 * keys. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/draft.h"
#include "config/type.h"
#include "util/address.h"
#include "util/units.h"

#define STALL_USEC    UINT64_C(30000000)
#define SPEAKING_USEC UINT64_C(300000000)

static struct config_row_state *state_of(struct config_draft *draft, const char *section,
                                         const char *key)
{
        const struct config_row *row = config_row_find(section, key);

        assert(row);
        return config_draft_state(draft, row);
}

static bool section_wrong(const struct config_draft *draft, const char *section)
{
        for (size_t i = 0; i < config_n_rows; i++)
                if (draft->states[i].wrong && strcmp(config_rows[i].section, section) == 0)
                        return true;
        return false;
}

/* The origin to name where a default does not fit the frame: the assignment of the last assigned
 * [Frame] key in the table's order. */
static struct config_origin origin_in_frame(const struct config_draft *draft)
{
        struct config_origin origin = {0};

        for (size_t i = 0; i < config_n_rows; i++)
                if (draft->states[i].last.line && strcmp(config_rows[i].section, "Frame") == 0)
                        origin = draft->states[i].last;
        return origin;
}

static void check_address(struct config_draft *draft)
{
        if (draft->config->n_addresses || draft->unread ||
            state_of(draft, "Upstream", "Address")->wrong)
                return;
        config_error(
                draft, draft->upstream, "Upstream", "Address",
                "there is none, expected the upstream as Address=HOST:PORT below [Upstream] in "
                "%s%s",
                draft->config->path, draft->main_missing ? ", which does not exist yet" : "");
}

/* True for an address in numbers of another family: a name may have addresses of any. */
static bool is_of_other_family(const struct config_address *address, int family)
{
        int own = address_writing(address->host) == ADDRESS_SHORT ? AF_INET
                                                                  : address_family(address->host);

        return own != AF_UNSPEC && own != family;
}

/* An address of another family than SourceAddress= is never tried. A check refuses SourceAddress=
 * if there is no other address. */
static void check_source(struct config_draft *draft)
{
        const struct config_row_state *source = state_of(draft, "Upstream", "SourceAddress");
        const struct config *config = draft->config;
        int family = config->source_address ? address_family(config->source_address) : AF_UNSPEC;
        const char *name = family == AF_INET ? "IPv4" : "IPv6";
        size_t others = 0;

        for (size_t i = 0; i < config->n_addresses && family != AF_UNSPEC; i++)
                others += is_of_other_family(&config->addresses[i], family);
        if (draft->strict && others && others == config->n_addresses) {
                config_error(draft, source->last, "Upstream", "SourceAddress",
                             "%s is %s, and no Address= is, expected one that is %s",
                             config_quote(config->source_address).text, name, name);
                return;
        }
        for (size_t i = 0; i < config->n_addresses && others; i++)
                if (is_of_other_family(&config->addresses[i], family))
                        config_warn(draft, source->last, "Upstream", "SourceAddress",
                                    "%s is %s, and Address=%s is not: it is not tried",
                                    config_quote(config->source_address).text, name,
                                    config->addresses[i].text);
}

/* Makes the list one message, a copy. Returns false without memory. */
static bool copy_message(struct config_messages *to, const struct config_bytes *from)
{
        unsigned char *data = malloc(from->size + 1);

        to->items = calloc(1, sizeof(*to->items));
        if (!data || !to->items) {
                free(data);
                return false;
        }
        if (from->size)
                memcpy(data, from->data, from->size);
        to->items->data = data;
        to->items->size = from->size;
        to->n = 1;
        return true;
}

/* Fills in the defaults of Message=, which follows from Interval=, and of Received=, which follows
 * from Interval= and Message=. */
static void derive_heartbeat(struct config_draft *draft)
{
        const struct config_row *message = config_row_find("Heartbeat", "Message");
        struct config *config = draft->config;
        bool needed = config->frame.type == FRAME_LENGTH && config->frame.length_offset != 0;

        if (section_wrong(draft, "Heartbeat") || section_wrong(draft, "Frame"))
                return;
        if (!config->heartbeat_message.set && config->heartbeat_interval_usec == 0) {
                message->type->clear(message, config);
        } else if (!config->heartbeat_message.set && needed) {
                state_of(draft, "Heartbeat", "Message")->wrong = true;
                config_error(draft, state_of(draft, "Frame", "LengthOffset")->last, "Heartbeat",
                             "Message",
                             "there is none that fits LengthOffset=%u, expected a whole frame "
                             "here, or Interval=0 for no heartbeat",
                             config->frame.length_offset);
        }
        if (!config->heartbeat_received.set && config->heartbeat_interval_usec &&
            config->heartbeat_message.n &&
            !copy_message(&config->heartbeat_received, &config->heartbeat_message.items[0]))
                config_draft_starve(draft);
}

/* Fills in the two defaults of StallTimeout=. A value that is set counts for both. */
static void derive_stall(struct config_draft *draft)
{
        struct config *config = draft->config;

        if (!state_of(draft, "Upstream", "StallTimeout")->last.line) {
                config->stall_timeout_usec = STALL_USEC;
                config->stall_speaking_usec = SPEAKING_USEC;
        } else {
                config->stall_speaking_usec = config->stall_timeout_usec;
        }
}

static void check_message(struct config_draft *draft, const struct config_row *row,
                          const struct config_bytes *message, struct config_origin origin)
{
        unsigned char head[FRAME_HEADER_MAX], tail[FRAME_DELIMITER_MAX];
        size_t head_size, tail_size;
        const char *wrong = frame_wrap(&draft->config->frame, message->data, message->size, head,
                                       &head_size, tail, &tail_size);

        if (wrong)
                config_error(draft, origin, row->section, row->key,
                             "it can't be a message of this [Frame]: %s, expected %s", wrong,
                             draft->config->frame.type == FRAME_LENGTH &&
                                             draft->config->frame.length_offset
                                     ? "a whole frame"
                                     : "one without its length field or delimiter");
}

static void check_messages(struct config_draft *draft)
{
        struct config_origin frame = origin_in_frame(draft);

        if (section_wrong(draft, "Frame"))
                return;
        for (size_t i = 0; i < config_n_rows; i++) {
                const struct config_row *row = &config_rows[i];
                const struct config_row_state *state = &draft->states[i];
                const struct config_messages *messages;

                if (row->type != &config_type_messages || state->wrong || state->unread)
                        continue;
                messages = config_place(row, draft->config);
                for (size_t j = 0; j < messages->n && (messages->set || !row->derived); j++)
                        check_message(draft, row, &messages->items[j],
                                      j < state->n_origins ? state->origins[j] : frame);
        }
}

/* A heartbeat for clients must be there, and small enough for any socket to take it whole. */
static void check_client_heartbeat(struct config_draft *draft)
{
        const struct config_row_state *state = state_of(draft, "Local", "HeartbeatInterval");
        const struct config *config = draft->config;
        const struct config_bytes *message = config_client_heartbeat(config);

        if (state->wrong || !config->client_heartbeat_usec || section_wrong(draft, "Heartbeat") ||
            section_wrong(draft, "Frame"))
                return;
        if (!message)
                config_error(draft, state->last, "Local", "HeartbeatInterval",
                             "there is no heartbeat to send to clients, expected one as "
                             "[Heartbeat] Received= or Message= (with Interval=0 none is the "
                             "default; \"\" is the empty message)");
        else if (message->size + FRAME_HEADER_MAX + FRAME_DELIMITER_MAX >
                 CONFIG_CLIENT_HEARTBEAT_MAX)
                config_error(draft, state->last, "Local", "HeartbeatInterval",
                             "the heartbeat has %zu bytes, expected at most %d for clients",
                             message->size,
                             CONFIG_CLIENT_HEARTBEAT_MAX - FRAME_HEADER_MAX - FRAME_DELIMITER_MAX);
}

static void check_queues(struct config_draft *draft)
{
        const struct config_row_state *queue = state_of(draft, "Delivery", "UpstreamQueueSize");
        const struct config_row_state *message = state_of(draft, "Frame", "MaxMessageSize");
        char has[UNITS_TEXT_MAX], needs[UNITS_TEXT_MAX];

        if (queue->wrong || message->wrong ||
            draft->config->upstream_queue_size >= draft->config->frame.max_message_size)
                return;
        units_size_format(draft->config->upstream_queue_size, has);
        units_size_format(draft->config->frame.max_message_size, needs);
        config_error(draft, queue->last.line ? queue->last : message->last, "Delivery",
                     "UpstreamQueueSize",
                     "%s is too small for one message, expected at least MaxMessageSize=%s", has,
                     needs);
}

static void check_sockets(struct config_draft *draft)
{
        const struct config_row_state *control = state_of(draft, "Control", "Socket");
        const struct config *config = draft->config;

        if (config->local_socket && config->control_socket &&
            strcmp(config->local_socket, config->control_socket) == 0)
                config_error(draft,
                             control->last.line ? control->last
                                                : state_of(draft, "Local", "Socket")->last,
                             "Control", "Socket",
                             "%s is the [Local] Socket too, expected a path of its own",
                             config_quote(config->control_socket).text);
}

void config_check(struct config_draft *draft)
{
        check_address(draft);
        check_source(draft);
        derive_heartbeat(draft);
        derive_stall(draft);
        check_messages(draft);
        check_client_heartbeat(draft);
        check_queues(draft);
        check_sockets(draft);
}
