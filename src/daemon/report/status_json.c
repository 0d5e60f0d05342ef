/* SPDX-License-Identifier: MIT */
#include "daemon/report/status_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/events.h"
#include "store/histogram.h"
#include "util/socket.h"
#include "util/text.h"

/* Adds a member to *object, and takes the reference to value. If value is NULL, or without memory,
 * *object becomes NULL; add() to NULL does nothing but free value. */
static void add(json_t **object, const char *name, json_t *value)
{
        if (json_object_set_new(*object, name, value) < 0) {
                json_decref(*object);
                *object = NULL;
        }
}

void status_json_append(json_t **list, json_t *value)
{
        if (json_array_append_new(*list, value) < 0) {
                json_decref(*list);
                *list = NULL;
        }
}

static json_t *number(uint64_t value)
{
        return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static void add_number_if(json_t **object, const char *name, uint64_t value)
{
        if (value != STATUS_NONE)
                add(object, name, number(value));
}

json_t *status_json_text(const char *value)
{
        size_t size = strlen(value), room = 4 * size + 1;
        json_t *json = json_stringn(value, size);
        char *escaped;

        if (json || !(escaped = malloc(room)))
                return json;
        json = json_stringn(escaped, text_escape(escaped, room, value, size));
        free(escaped);
        return json;
}

static void add_text_if(json_t **object, const char *name, const char *value)
{
        if (value)
                add(object, name, status_json_text(value));
}

json_t *status_json_count(struct count count)
{
        json_t *o = json_object();

        add(&o, "messages", number(count.messages));
        add(&o, "bytes", number(count.bytes));
        return o;
}

static void add_partial_if(json_t **object, const char *name, const struct status_partial *partial)
{
        json_t *o;

        if (!partial->present)
                return;
        o = json_object();
        add_number_if(&o, "declaredBytes", partial->declared_bytes);
        add(&o, "receivedBytes", number(partial->received_bytes));
        add(&o, "ageUsec", number(partial->age_usec));
        add(object, name, o);
}

/* Returns the array of Drop, without the reasons for which nothing was ever dropped. */
static json_t *drops_json(const struct books *books)
{
        json_t *drops = json_array();

        for (int i = 0; i < DROP_REASONS; i++) {
                const struct count *count = &books->dropped[i];
                json_t *o;

                if (count->messages == 0 && count->bytes == 0)
                        continue;
                o = json_object();
                add(&o, "reason", json_string(drop_reason_name((enum drop_reason)i)));
                add(&o, "messages", number(count->messages));
                add(&o, "bytes", number(count->bytes));
                status_json_append(&drops, o);
        }
        return drops;
}

static json_t *books_json(const struct books *books)
{
        json_t *o = json_object();

        add(&o, "accepted", status_json_count(books->accepted));
        add(&o, "delivered", status_json_count(books->delivered));
        add(&o, "queued", status_json_count(books->queued));
        add(&o, "dropped", drops_json(books));
        add(&o, "fullestBytes", number(books->fullest_bytes));
        add(&o, "limitBytes", number(books->limit_bytes));
        if (books->oldest_usec != BOOKS_NONE)
                add(&o, "oldestUsec", number(books->oldest_usec));
        return o;
}

static json_t *upstream_json(const struct status_upstream *up)
{
        json_t *o = json_object();

        add(&o, "state", json_string(link_state_name(up->state)));
        add(&o, "stateUsec", number(up->state_usec));
        add(&o, "address", status_json_text(up->address ? up->address : ""));
        add_text_if(&o, "peer", up->peer);
        add(&o, "frame", status_json_text(up->frame));
        add(&o, "connects", number(up->connects));
        add(&o, "disconnects", number(up->disconnects));
        add(&o, "lastCause", json_string(link_cause_name(up->last_cause)));
        add_text_if(&o, "lastError", up->last_error);
        add_number_if(&o, "lastErrorUsec", up->last_error_usec);
        add_number_if(&o, "nextAttemptUsec", up->next_attempt_usec);
        add_number_if(&o, "silentUsec", up->silent_usec);
        add(&o, "heartbeatTimeoutUsec", number(up->heartbeat_timeout_usec));
        add(&o, "heartbeatsSent", number(up->heartbeats_sent));
        add(&o, "heartbeatsReceived", number(up->heartbeats_received));
        add_number_if(&o, "rttUsec", up->rtt_usec);
        add(&o, "received", status_json_count(up->received));
        add(&o, "sent", status_json_count(up->sent));
        add(&o, "unacked", status_json_count(up->unacked));
        add(&o, "resent", status_json_count(up->resent));
        add_partial_if(&o, "partial", &up->partial);
        add(&o, "paused", json_boolean(up->paused));
        add_text_if(&o, "heldBy", up->held_by);
        add_text_if(&o, "heldReason", up->held_reason);
        add_number_if(&o, "heldForUsec", up->held_for_usec);
        return o;
}

static json_t *reasons_json(const struct health *health)
{
        json_t *reasons = json_array();

        for (size_t i = 0; i < health->n_reasons; i++) {
                json_t *o = json_object();

                add(&o, "severity", json_string(severity_name(health->reasons[i].severity)));
                add(&o, "text", status_json_text(health->reasons[i].text));
                status_json_append(&reasons, o);
        }
        return reasons;
}

static void add_socket_if(json_t **object, const char *name, const struct status_socket *socket)
{
        json_t *o;

        if (!socket->text || !*socket->text)
                return;
        o = json_object();
        add(&o, "path", status_json_text(socket->text));
        if (socket->inode) {
                add(&o, "device", number(socket->device));
                add(&o, "inode", number(socket->inode));
        }
        add(object, name, o);
}

json_t *status_json(const struct status *status, const struct health *health)
{
        json_t *o = json_object();

        add(&o, "version", status_json_text(status->version));
        add_text_if(&o, "instance", status->instance);
        add(&o, "pid", json_integer(status->pid));
        add(&o, "uptimeUsec", number(status->uptime_usec));
        add(&o, "health", json_string(severity_name(health->severity)));
        add(&o, "reasons", reasons_json(health));
        add(&o, "upstream", upstream_json(&status->upstream));
        add(&o, "clients", number(status->clients));
        add(&o, "clientsLimit", number(status->clients_limit));
        add(&o, "clientsAccepted", number(status->clients_accepted));
        add(&o, "clientsRefused", number(status->clients_refused));
        add(&o, "clientsCrowded", number(status->clients_crowded));
        add(&o, "toUpstream", books_json(&status->to_upstream));
        add(&o, "toClients", books_json(&status->to_clients));
        add(&o, "refused", status_json_count(status->refused));
        add_socket_if(&o, "dataSocket", &status->data_socket);
        add_socket_if(&o, "controlSocket", &status->control_socket);
        return o;
}

json_t *status_json_health(const struct health *health)
{
        json_t *o = json_object();

        add(&o, "health", json_string(severity_name(health->severity)));
        add(&o, "reasons", reasons_json(health));
        return o;
}

static json_t *event_json(uint64_t seq, uint64_t time_usec, enum event_kind kind, const char *text)
{
        json_t *o = json_object();

        add(&o, "seq", number(seq));
        add(&o, "timeUsec", number(time_usec));
        add(&o, "kind", json_string(event_kind_name(kind)));
        add(&o, "text", status_json_text(text));
        return o;
}

json_t *status_json_event(const struct image_event *event)
{
        const struct image_facts *facts = &event->facts;
        enum event_kind kind = (enum event_kind)facts->kind;
        json_t *o = event_json(event->seq, facts->time_usec, kind, event->text);

        if (kind == EVENT_LINK) {
                add(&o, "state", json_string(link_state_name((enum link_state)facts->state)));
                add(&o, "cause", json_string(link_cause_name((enum link_cause)facts->cause)));
        }
        if (kind == EVENT_CLIENT && facts->client_id)
                add(&o, "clientId", number(facts->client_id));
        if (kind == EVENT_DROP)
                add(&o, "messages", number(facts->messages));
        return o;
}

json_t *status_json_gap(uint64_t first, uint64_t missed, uint64_t time_usec)
{
        char text[128];
        json_t *o;

        snprintf(text, sizeof(text), "%" PRIu64 " events were missed: they came faster than read",
                 missed);
        /* The gap has the number of the last missed event, so the numbers have no hole. */
        o = event_json(first + missed - 1, time_usec, EVENT_GAP, text);
        add(&o, "missed", number(missed));
        return o;
}

json_t *status_json_client(const struct status_client *client)
{
        json_t *o = json_object();

        add(&o, "id", number(client->id));
        if (client->local && client->pid > 0)
                add(&o, "pid", json_integer(client->pid));
        if (client->local && client->uid != SOCKET_NO_UID)
                add(&o, "uid", json_integer(client->uid));
        if (client->local && client->gid != SOCKET_NO_GID)
                add(&o, "gid", json_integer(client->gid));
        if (!client->local)
                add_text_if(&o, "peer", client->peer);
        if (client->program[0])
                add(&o, "program", status_json_text(client->program));
        add(&o, "connectedUsec", number(client->connected_usec));
        add(&o, "sendOnly", json_boolean(client->send_only));
        add(&o, "receiveOnly", json_boolean(client->receive_only));
        add(&o, "received", status_json_count(client->received));
        add(&o, "sent", status_json_count(client->sent));
        add(&o, "queued", status_json_count(client->queued));
        add(&o, "queueLimitBytes", number(client->queue_limit_bytes));
        add(&o, "dropped", status_json_count(client->dropped));
        add_partial_if(&o, "partial", &client->partial);
        return o;
}

json_t *status_json_setting(const struct config_setting *setting, const char *value,
                            const char *file)
{
        json_t *o = json_object();

        add(&o, "section", json_string(setting->section));
        add(&o, "key", json_string(setting->key));
        add(&o, "value", status_json_text(value));
        if (file) {
                add(&o, "file", status_json_text(file));
                add(&o, "line", json_integer(setting->line));
        }
        return o;
}

static json_t *histogram_json(const char *name, const struct image_histogram *histogram)
{
        json_t *o = json_object();

        add(&o, "name", json_string(name));
        add(&o, "count", number(histogram_count(histogram)));
        add(&o, "minUsec", number(histogram_min(histogram)));
        add(&o, "medianUsec", number(histogram_quantile(histogram, 500)));
        add(&o, "p99Usec", number(histogram_quantile(histogram, 990)));
        add(&o, "maxUsec", number(histogram_max(histogram)));
        return o;
}

json_t *status_json_latency(const struct image_histogram *latency)
{
        json_t *list = json_array();

        for (int i = 0; i < LATENCY_KINDS; i++)
                status_json_append(&list, histogram_json(latency_kind_name((enum latency_kind)i),
                                                         &latency[i]));
        return list;
}
