/* SPDX-License-Identifier: MIT */
#include "daemon/relay/relay_internal.h"

#include <stdio.h>
#include <unistd.h>

#include "flow/hold.h"
#include "util/clock.h"

static uint64_t since(uint64_t now, uint64_t then)
{
        return now > then ? now - then : 0;
}

static struct status_partial partial_of(uint64_t now, uint64_t received, uint64_t declared,
                                        bool known, uint64_t began)
{
        return (struct status_partial){.present = received != 0,
                                       .declared_bytes = known ? declared : STATUS_NONE,
                                       .received_bytes = received,
                                       .age_usec = received && began ? since(now, began) : 0};
}

static void fill_session(struct status_upstream *up, const struct session_view *session,
                         uint64_t now)
{
        up->silent_usec = since(now, session->last_byte);
        up->rtt_usec = session->rtt_usec ? session->rtt_usec : STATUS_NONE;
        up->paused = session->paused;
        up->silent_reported = session->silent;
        up->partial = partial_of(now, session->partial, session->declared,
                                 session->partial_total != 0, session->partial_since);
}

static void fill_hold(const struct relay *relay, struct status_upstream *up, uint64_t now)
{
        struct hold_view hold;

        if (!hold_is_on(relay->store.image))
                return;
        hold = hold_look(relay->store.image, now);
        up->held_by = hold.by;
        up->held_reason = hold.reason;
        up->held_for_usec = hold.left_usec; /* UINT64_MAX is STATUS_NONE: absent */
}

static void fill_upstream(struct relay *relay, struct status_upstream *up, uint64_t now)
{
        const struct image_totals *totals = &relay->store.image->totals;
        struct link_view link;

        link_poll_acks(relay->link);
        link = link_look(relay->link);
        *up = (struct status_upstream){
                .state = link.state,
                .state_usec = since(now, link.state_since),
                .down_usec = link.down_since ? since(now, link.down_since) : 0,
                .address = link.address,
                .peer = link.peer,
                .connects = totals->connects,
                .disconnects = totals->disconnects,
                .last_cause = link.last_cause,
                .last_error = link.last_error,
                .last_error_usec = link.last_error ? since(now, link.last_error_at) : STATUS_NONE,
                .next_attempt_usec =
                        link.next_attempt_at ? since(link.next_attempt_at, now) : STATUS_NONE,
                .silent_usec = STATUS_NONE,
                .heartbeat_timeout_usec = relay->config->heartbeat_timeout_usec,
                .heartbeats_sent = totals->heartbeats_sent,
                .heartbeats_received = totals->heartbeats_received,
                .rtt_usec = STATUS_NONE,
                .received = {relay->in.image->number, relay->in.image->end},
                .sent = ledger_sent_count(&relay->ledger),
                .unacked = ledger_unacked(&relay->ledger,
                                          link.connected ? link.session.transmitted : 0),
                .resent = ledger_resent_count(&relay->ledger),
                .recent_losses = link.recent_losses,
                .unheard = totals->unheard,
                .provisional = ledger_provisional(&relay->ledger),
                .held_for_usec = STATUS_NONE,
        };
        frame_spec_text(&relay->frame, up->frame, sizeof(up->frame));
        fill_hold(relay, up, now);
        if (link.connected)
                fill_session(up, &link.session, now);
}

static uint64_t age_of(struct cursor *cursor, uint64_t now)
{
        uint64_t oldest = cursor_oldest(cursor);

        return oldest ? since(now, oldest) : BOOKS_NONE;
}

static void fill_to_upstream(struct relay *relay, struct books *books, uint64_t now)
{
        *books = (struct books){
                .limit_bytes = relay->config->upstream_queue_size,
                .oldest_usec = age_of(&relay->ledger.acked, now),
        };
        ledger_books(&relay->ledger, books);
        books->fullest_bytes = books->queued.bytes;
}

static const char *fault_at_data(const struct relay *relay)
{
        const char *fault = NULL;

        for (size_t i = 0; i < relay->n_listeners && !fault; i++)
                fault = listener_fault(relay->listeners[i]);
        return fault;
}

void relay_status(struct relay *relay, struct status *status)
{
        const struct image_totals *totals = &relay->store.image->totals;
        uint64_t now = clock_usec();

        relay_note_drops(relay);
        *status = (struct status){
                .instance = relay->config->instance,
                .pid = getpid(),
                .uptime_usec = since(now, relay->started),
                .started_usec = relay->started_wall,
                .clients = relay->n_clients,
                .clients_limit = relay->config->max_clients,
                .clients_accepted = totals->clients_accepted,
                .clients_refused = totals->clients_refused,
                .clients_crowded = totals->crowded,
                .refused = {totals->refused_messages, totals->refused_bytes},
                .fault_at_data = fault_at_data(relay),
                .lost = totals->lost,
                .failed = totals->failed,
                .latency = relay->store.image->latency,
                .longest_pass_usec = relay->pass_times.longest,
                .recent_loss =
                        totals->last_drop && since(now, totals->last_drop) < 60 * USEC_PER_SEC,
        };
        fill_upstream(relay, &status->upstream, now);
        fill_to_upstream(relay, &status->to_upstream, now);
        spread_books(&relay->spread, relay->config->client_queue_size, now, &status->to_clients);
}

static void fill_client(struct status_client *out, struct client *client, uint64_t now)
{
        const struct image_client *image = client->image;
        const struct writer *writer = &client->writer;

        *out = (struct status_client){
                .id = client->id,
                .local = client->local,
                .pid = client->pid,
                .uid = client->uid,
                .gid = client->gid,
                .peer = client_address(client),
                .connected_usec = since(now, image->since),
                .send_only = client->send_only,
                .receive_only = client->receive_only,
                .received = {image->accepted_messages, image->accepted_bytes},
                .dropped = client_dropped(client),
                .queue_limit_bytes = client->class->limits.queue_size,
                .partial = partial_of(now, writer_partial(writer), writer->declared,
                                      writer->total != 0, client->partial_since),
        };
        snprintf(out->program, sizeof(out->program), "%s", client_program(client));
        if (image->reading) {
                cursor_counts(&client->reader.cursor, &out->sent, &out->queued);
        } else {
                out->sent = (struct count){image->gone_messages, image->gone_bytes};
        }
}

size_t relay_clients(struct relay *relay, uint64_t after, struct status_client *clients, size_t max)
{
        struct client *client = TAILQ_FIRST(&relay->all);
        uint64_t now = clock_usec();
        size_t n = 0;

        while (client && client->id <= after)
                client = TAILQ_NEXT(client, all);
        for (; client && n < max; client = TAILQ_NEXT(client, all))
                fill_client(&clients[n++], client, now);
        return n;
}
