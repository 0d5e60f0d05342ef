/* SPDX-License-Identifier: MIT */
#include "daemon/report/health.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/clock.h"
#include "util/text.h"
#include "util/units.h"

/* A peer with a partial message of this age uses another frame, or hangs. */
#define PARTIAL_MAX_USEC (10 * USEC_PER_SEC)

static const char *const severities[] = {
        [SEVERITY_OK] = "ok",
        [SEVERITY_WARNING] = "warning",
        [SEVERITY_CRITICAL] = "critical",
};
static_assert(sizeof(severities) / sizeof(*severities) == SEVERITY_CRITICAL + 1,
              "every severity has its word");

const char *severity_name(enum severity severity)
{
        return severities[severity];
}

static void __attribute__((format(printf, 3, 4)))
add_reason(struct health *health, enum severity severity, const char *format, ...)
{
        struct health_reason *reason;
        char text[4 * HEALTH_TEXT_MAX]; /* an error of a peer may be long */
        va_list args;

        if (health->n_reasons == HEALTH_REASONS_MAX)
                return;
        reason = &health->reasons[health->n_reasons++];
        reason->severity = severity;
        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        text_cut(reason->text, sizeof(reason->text), text);
        if (severity > health->severity)
                health->severity = severity;
}

static const enum severity held_severities[] = {
        [HELD_OK] = SEVERITY_OK,
        [HELD_WARNING] = SEVERITY_WARNING,
        [HELD_CRITICAL] = SEVERITY_CRITICAL,
};

/* True if an operator holds the link, also while the connection is still being closed. */
static bool is_held(const struct status_upstream *up)
{
        return up->state == LINK_HELD || up->held_by;
}

static bool is_filling(const struct books *books)
{
        uint64_t limit = books->limit_bytes;

        return limit > 0 && books->fullest_bytes > limit - limit / 5;
}

/* A link that is down is critical after CriticalAfter=. The first connection of an outage gets
 * Timeout= in which to be heard; no later connection does, or the verdict would change with each
 * attempt of a link that never comes up. */
static enum severity severity_down(const struct status_upstream *up, const struct config *config)
{
        bool is_first = up->state == LINK_CONNECTED && !up->unheard &&
                        up->state_usec < up->heartbeat_timeout_usec;

        return up->down_usec >= config->critical_after_usec && !is_first ? SEVERITY_CRITICAL
                                                                         : SEVERITY_WARNING;
}

/* While an operator holds the link, a link that is down is no fault: Held= gives the severity. */
static void judge_link(const struct status_upstream *up, const struct config *config,
                       struct health *health)
{
        char state[128];

        if (is_held(up)) {
                add_reason(health, held_severities[config->held], "the link is held%s%s%s%s",
                           up->held_by ? " by " : "", up->held_by ? up->held_by : "",
                           up->held_reason ? ": " : "", up->held_reason ? up->held_reason : "");
                return;
        }
        if (up->state == LINK_UP)
                return;
        if (up->state == LINK_CONNECTED)
                snprintf(state, sizeof(state), "connected for %s, nothing heard yet",
                         units_span_words(up->state_usec).text);
        else
                snprintf(state, sizeof(state), "%s", link_state_name(up->state));
        add_reason(health, severity_down(up, config),
                   "the link has not been up for %s, it is %s%s%s",
                   units_span_words(up->down_usec).text, state,
                   !up->last_error               ? ""
                   : up->state == LINK_CONNECTED ? "; before: "
                                                 : ": ",
                   up->last_error ? up->last_error : "");
}

/* The queue fills with messages that nobody may ever read. */
static void judge_provisional(const struct status *status, struct health *health)
{
        const struct status_upstream *up = &status->upstream;

        if (up->state == LINK_CONNECTED && up->provisional && is_filling(&status->to_upstream))
                add_reason(health, SEVERITY_WARNING,
                           "the upstream's kernel acknowledged %s, its program has not said a byte",
                           units_bytes_words(up->provisional).text);
}

static void judge_peer(const struct status_upstream *up, const struct config *config,
                       struct health *health)
{
        if (up->silent_reported && up->silent_usec != STATUS_NONE)
                add_reason(health, SEVERITY_WARNING, "the upstream has been silent for %s",
                           units_span_words(up->silent_usec).text);
        else if (up->silent_reported)
                add_reason(health, SEVERITY_WARNING, "the upstream is silent");
        /* While ftcpd does not read, the tail of a message may be waiting in the kernel. */
        if (up->partial.present && !up->paused && up->partial.age_usec >= PARTIAL_MAX_USEC) {
                char of[48] = "";

                if (up->partial.declared_bytes != STATUS_NONE)
                        snprintf(of, sizeof(of), " (%" PRIu64 " declared)",
                                 up->partial.declared_bytes);
                add_reason(health, SEVERITY_WARNING,
                           "waiting for the rest of a message for %s: %" PRIu64
                           " bytes of it arrived%s",
                           units_span_words(up->partial.age_usec).text, up->partial.received_bytes,
                           of);
        }
        if (config->flaps > 0 && up->recent_losses >= config->flaps)
                add_reason(health, SEVERITY_WARNING, "the link was lost %u times in 10 minutes",
                           up->recent_losses);
}

/* held: no warning about the age of messages, because an operator wants messages to wait. */
static void judge_books(const struct books *books, const char *whither, bool held,
                        const struct config *config, struct health *health)
{
        if (is_filling(books))
                add_reason(health, SEVERITY_WARNING,
                           "%s queue is over 80 %%: %" PRIu64 " of %" PRIu64 " bytes", whither,
                           books->fullest_bytes, books->limit_bytes);
        if (!held && config->max_age_usec > 0 && books->oldest_usec != BOOKS_NONE &&
            books->oldest_usec > config->max_age_usec)
                add_reason(health, SEVERITY_WARNING,
                           "the oldest message in %s queue has waited for %s", whither,
                           units_span_words(books->oldest_usec).text);
}

void health_judge(const struct status *status, const struct config *config, struct health *health)
{
        health->severity = SEVERITY_OK;
        health->n_reasons = 0;
        judge_link(&status->upstream, config, health);
        judge_peer(&status->upstream, config, health);
        judge_provisional(status, health);
        judge_books(&status->to_upstream, "the upstream's", is_held(&status->upstream), config,
                    health);
        judge_books(&status->to_clients,
                    status->to_clients.fullest_is_backlog ? "the held" : "a client's", false,
                    config, health);
        if (status->shut)
                add_reason(health, SEVERITY_WARNING,
                           "nobody can connect: a socket is missing (see the log)");
        for (size_t i = 0; i < status->n_gone; i++)
                add_reason(health, SEVERITY_WARNING, "%s", status->gone[i]);
        if (status->fault_at_data)
                add_reason(health, SEVERITY_WARNING, "clients can't be accepted %s",
                           status->fault_at_data);
        if (status->fault_at_control)
                add_reason(health, SEVERITY_WARNING, "control connections can't be accepted %s",
                           status->fault_at_control);
        if (status->outdated)
                add_reason(health, SEVERITY_WARNING,
                           "%s is broken: what was configured before the restart stays in force "
                           "(ftcpd --check-config)",
                           config->path);
        if (status->recent_loss)
                add_reason(health, SEVERITY_WARNING,
                           "messages were dropped within the last minute though nobody chose so");
}
