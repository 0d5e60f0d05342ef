/* SPDX-License-Identifier: MIT */
#include "daemon/report/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/histogram.h"
#include "util/clock.h"

enum {
        LEAST_BIT = 4, /* buckets end 1 us before powers of two, from 16 us to 18 minutes */
        MOST_BIT = 30,
};

struct metrics {
        FILE *to;
        const char *link;
        const char *name; /* of the current family, without the prefix */
};

/* Writes a label's value. A byte that is not printable ASCII becomes "_". */
static void put_value(FILE *to, const char *value)
{
        for (; *value; value++) {
                if (*value == '\\' || *value == '"')
                        fprintf(to, "\\%c", *value);
                else
                        fputc(*value >= ' ' && *value <= '~' ? *value : '_', to);
        }
}

static void family(struct metrics *m, const char *name, const char *type, const char *help)
{
        m->name = name;
        fprintf(m->to, "# HELP ftcpd_%s %s\n# TYPE ftcpd_%s %s\n", name, help, name, type);
}

static void put_label(struct metrics *m, const char *label, const char *value)
{
        fprintf(m->to, "%s=\"", label);
        put_value(m->to, value);
        fputc('"', m->to);
}

/* Begins a sample: the name of the family with suffix, and the label `link`. */
static void put_series(struct metrics *m, const char *suffix)
{
        fprintf(m->to, "ftcpd_%s%s{", m->name, suffix);
        put_label(m, "link", m->link);
}

static void put_more(struct metrics *m, const char *label, const char *value)
{
        fputc(',', m->to);
        put_label(m, label, value);
}

static void put_series_of(struct metrics *m, const char *suffix, const char *label,
                          const char *value)
{
        put_series(m, suffix);
        put_more(m, label, value);
}

static void put_number(struct metrics *m, uint64_t number)
{
        fprintf(m->to, "} %" PRIu64 "\n", number);
}

static void put_seconds(struct metrics *m, uint64_t usec)
{
        fprintf(m->to, "} %" PRIu64 ".%06" PRIu64 "\n", usec / USEC_PER_SEC, usec % USEC_PER_SEC);
}

static void number(struct metrics *m, const char *name, const char *type, const char *help,
                   uint64_t value)
{
        family(m, name, type, help);
        put_series(m, "");
        put_number(m, value);
}

static void gauge(struct metrics *m, const char *name, const char *help, uint64_t value)
{
        number(m, name, "gauge", help, value);
}

static void counter(struct metrics *m, const char *name, const char *help, uint64_t value)
{
        number(m, name, "counter", help, value);
}

/* Writes a gauge in seconds; nothing for STATUS_NONE. */
static void span(struct metrics *m, const char *name, const char *help, uint64_t usec)
{
        if (usec == STATUS_NONE)
                return;
        family(m, name, "gauge", help);
        put_series(m, "");
        put_seconds(m, usec);
}

/* ---- the daemon and its link ---- */

/* Returns the link's state, but LINK_HELD for a link that is connected or up only to finish a begun
 * message before a hold, as for health. */
static enum link_state state_of(const struct status_upstream *up)
{
        bool closing = (up->state == LINK_UP || up->state == LINK_CONNECTED) && up->held_by;

        return closing ? LINK_HELD : up->state;
}

static void put_daemon(struct metrics *m, const struct status *status, const struct health *health)
{
        gauge(m, "up", "Whether the link to the upstream is up.",
              state_of(&status->upstream) == LINK_UP);
        gauge(m, "health", "What ftcpd says of itself: 0 ok, 1 warning, 2 critical.",
              health->severity);
        family(m, "build_info", "gauge", "Always 1; the version of ftcpd.");
        put_series_of(m, "", "version", status->version ? status->version : "");
        put_number(m, 1);
        span(m, "start_time_seconds", "When this process began, since 1970.", status->started_usec);
        span(m, "uptime_seconds", "Since this process began.", status->uptime_usec);
        span(m, "longest_pass_seconds",
             "Processor time of the longest pass of the event loop since this process began.",
             status->longest_pass_usec);
}

static void put_causes(struct metrics *m, const uint64_t *counts)
{
        for (int i = CAUSE_NONE + 1; i < LINK_CAUSES; i++) {
                put_series_of(m, "", "cause", link_cause_name((enum link_cause)i));
                put_number(m, counts ? counts[i] : 0);
        }
}

static void put_link(struct metrics *m, const struct status *status)
{
        const struct status_upstream *up = &status->upstream;

        family(m, "link_state", "gauge", "1 for the state that the link is in, 0 for the others.");
        for (int i = 0; i < LINK_STATES; i++) {
                put_series_of(m, "", "state", link_state_name((enum link_state)i));
                put_number(m, (int)state_of(up) == i);
        }
        span(m, "link_state_seconds", "Since the link came into this state.", up->state_usec);
        counter(m, "connects_total", "Connections made to the upstream.", up->connects);
        family(m, "disconnects_total", "counter", "Connections that ended, by cause.");
        put_causes(m, status->lost);
        family(m, "connect_failures_total", "counter",
               "Attempts that became no connection, by cause.");
        put_causes(m, status->failed);
        span(m, "silent_seconds", "Since the last byte from the upstream.", up->silent_usec);
        span(m, "rtt_seconds", "The kernel's smoothed round-trip time.", up->rtt_usec);
        gauge(m, "paused", "Whether reading is paused because a client's queue is full.",
              up->paused);
        gauge(m, "partial_bytes", "Received of a message that is not whole yet.",
              up->partial.present ? up->partial.received_bytes : 0);
}

static void put_traffic(struct metrics *m, const struct status_upstream *up)
{
        counter(m, "heartbeats_sent_total", "Heartbeats sent to the upstream.",
                up->heartbeats_sent);
        counter(m, "heartbeats_received_total", "Heartbeats received from the upstream.",
                up->heartbeats_received);
        counter(m, "received_messages_total", "Messages received from the upstream.",
                up->received.messages);
        counter(m, "received_bytes_total", "Bytes received from the upstream, as whole frames.",
                up->received.bytes);
        counter(m, "sent_messages_total",
                "Messages handed to the kernel for the upstream, repeats included.",
                up->sent.messages);
        counter(m, "sent_bytes_total", "Bytes of the messages sent.", up->sent.bytes);
        counter(m, "resent_messages_total",
                "Of the messages sent, those begun on an earlier connection.", up->resent.messages);
        counter(m, "resent_bytes_total", "Bytes of the messages resent.", up->resent.bytes);
        gauge(m, "unacked_messages", "Messages sent and not acknowledged by the peer's kernel.",
              up->unacked.messages);
        gauge(m, "unacked_bytes", "Bytes sent and not acknowledged by the peer's kernel.",
              up->unacked.bytes);
}

/* ---- the books ---- */

struct direction {
        const char *name;
        const struct books *books;
};

enum { DIRECTIONS = 2 };

static struct count dropped(const struct books *books)
{
        struct count sum = {0, 0};

        for (int i = 0; i < DROP_REASONS; i++)
                sum = count_add(sum, books->dropped[i]);
        return sum;
}

static uint64_t of_count(struct count count, bool bytes)
{
        return bytes ? count.bytes : count.messages;
}

static void put_books(struct metrics *m, const struct direction *directions, bool bytes)
{
        for (const struct direction *d = directions; d < directions + DIRECTIONS; d++) {
                const struct {
                        const char *name;
                        struct count count;
                } book[] = {{"accepted", d->books->accepted},
                            {"delivered", d->books->delivered},
                            {"dropped", dropped(d->books)}};

                for (size_t i = 0; i < sizeof(book) / sizeof(*book); i++) {
                        put_series_of(m, "", "direction", d->name);
                        put_more(m, "book", book[i].name);
                        put_number(m, of_count(book[i].count, bytes));
                }
        }
}

static void put_drops(struct metrics *m, const struct direction *directions, bool bytes)
{
        for (const struct direction *d = directions; d < directions + DIRECTIONS; d++)
                for (int i = 0; i < DROP_REASONS; i++) {
                        put_series_of(m, "", "direction", d->name);
                        put_more(m, "reason", drop_reason_name((enum drop_reason)i));
                        put_number(m, of_count(d->books->dropped[i], bytes));
                }
}

/* Writes a gauge with one value of each direction. */
static void both(struct metrics *m, const struct direction *directions, const char *name,
                 const char *help, uint64_t first, uint64_t second)
{
        family(m, name, "gauge", help);
        put_series_of(m, "", "direction", directions[0].name);
        put_number(m, first);
        put_series_of(m, "", "direction", directions[1].name);
        put_number(m, second);
}

static void put_oldest(struct metrics *m, const struct direction *directions)
{
        family(m, "oldest_seconds", "gauge", "Age of the oldest queued message; 0 without any.");
        for (const struct direction *d = directions; d < directions + DIRECTIONS; d++) {
                uint64_t usec = d->books->oldest_usec;

                put_series_of(m, "", "direction", d->name);
                put_seconds(m, usec == BOOKS_NONE ? 0 : usec);
        }
}

static void put_directions(struct metrics *m, const struct status *status)
{
        const struct books *up = &status->to_upstream, *down = &status->to_clients;
        const struct direction directions[DIRECTIONS] = {{"to_upstream", up}, {"to_clients", down}};

        family(m, "messages_total", "counter",
               "Messages by direction and book; accepted = delivered + dropped + queued.");
        put_books(m, directions, false);
        family(m, "bytes_total", "counter", "Bytes by direction and book, as whole frames.");
        put_books(m, directions, true);
        family(m, "drops_total", "counter", "Messages given up, by direction and reason.");
        put_drops(m, directions, false);
        family(m, "dropped_bytes_total", "counter", "Bytes given up, by direction and reason.");
        put_drops(m, directions, true);
        both(m, directions, "queue_messages", "Messages queued.", up->queued.messages,
             down->queued.messages);
        both(m, directions, "queue_bytes", "Bytes queued.", up->queued.bytes, down->queued.bytes);
        both(m, directions, "queue_fullest_bytes", "Bytes in the fullest single queue.",
             up->fullest_bytes, down->fullest_bytes);
        both(m, directions, "queue_limit_bytes", "The limit of that queue.", up->limit_bytes,
             down->limit_bytes);
        put_oldest(m, directions);
        counter(m, "refused_messages_total", "Messages of clients that were never accepted.",
                status->refused.messages);
        counter(m, "refused_bytes_total", "Bytes that arrived of messages refused.",
                status->refused.bytes);
}

static void put_clients(struct metrics *m, const struct status *status)
{
        gauge(m, "clients", "Clients connected.", status->clients);
        gauge(m, "clients_limit", "How many there may be.", status->clients_limit);
        counter(m, "clients_accepted_total", "Clients accepted.", status->clients_accepted);
        counter(m, "clients_refused_total", "Clients closed at once.", status->clients_refused);
        counter(m, "clients_crowded_total", "Clients closed to make room for another user's.",
                status->clients_crowded);
}

/* ---- latency ---- */

static void put_histogram(struct metrics *m, const char *kind,
                          const struct image_histogram *histogram)
{
        for (unsigned bit = LEAST_BIT; bit <= MOST_BIT; bit++) {
                /* A bucket includes its end. Counts are exact up to the last microsecond before a
                 * power of two. */
                uint64_t usec = (UINT64_C(1) << bit) - 1;

                put_series_of(m, "_bucket", "kind", kind);
                fprintf(m->to, ",le=\"%" PRIu64 ".%06" PRIu64 "\"", usec / USEC_PER_SEC,
                        usec % USEC_PER_SEC);
                put_number(m, histogram_up_to(histogram, usec));
        }
        put_series_of(m, "_bucket", "kind", kind);
        put_more(m, "le", "+Inf");
        put_number(m, histogram_count(histogram));
        put_series_of(m, "_sum", "kind", kind);
        put_seconds(m, histogram->sum);
        put_series_of(m, "_count", "kind", kind);
        put_number(m, histogram_count(histogram));
}

static void put_latency(struct metrics *m, const struct image_histogram *latency)
{
        static const char *const names[] = {
                [LATENCY_HEARTBEAT] = "heartbeat",
                [LATENCY_RTT] = "rtt",
                [LATENCY_TO_CLIENTS] = "to_clients",
                [LATENCY_TO_UPSTREAM] = "to_upstream",
        };

        if (!latency)
                return;
        family(m, "latency_seconds", "histogram",
               "Round trips of heartbeats and of the kernel, and how long messages waited.");
        for (int i = 0; i < LATENCY_KINDS; i++)
                put_histogram(m, names[i], &latency[i]);
}

char *metrics_text(const struct status *status, const struct health *health)
{
        struct metrics m = {.link = status->instance ? status->instance : "ftcpd"};
        char *text = NULL;
        size_t size = 0;
        bool good;

        m.to = open_memstream(&text, &size);
        if (!m.to)
                return NULL;
        put_daemon(&m, status, health);
        put_link(&m, status);
        put_traffic(&m, &status->upstream);
        put_directions(&m, status);
        put_clients(&m, status);
        put_latency(&m, status->latency);
        good = !ferror(m.to);
        if (fclose(m.to) == 0 && good)
                return text;
        free(text);
        return NULL;
}
