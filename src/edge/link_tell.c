/* SPDX-License-Identifier: MIT */
#include "edge/link_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/catalog.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/units.h"

void link_describe(const struct link *link, char *text, size_t size)
{
        if (strcmp(link->address, link->peer) == 0)
                snprintf(text, size, "connected to %s", link->peer);
        else if (link->origin)
                snprintf(text, size,
                         "connected to %s (%s, its address %s: the name can't be resolved)",
                         link->address, link->peer, link->origin);
        else
                snprintf(text, size, "connected to %s (%s)", link->address, link->peer);
}

static void keep_error(struct link *link, enum link_cause cause, const char *text)
{
        link->last_cause = cause;
        snprintf(link->last_error, sizeof(link->last_error), "%s", text);
        link->last_error_at = clock_usec();
}

static const char *class_of(const struct link *link)
{
        return link->state == LINK_UP ? CATALOG_LINK_LOST : CATALOG_LINK_FAILED;
}

bool link_tell_failure(struct link *link, enum link_cause cause, const char *text)
{
        const char *word = link_cause_name(cause);
        uint64_t untold = 0;
        bool news;

        keep_error(link, cause, text);
        news = failure_reports_add(&link->failure_reports, cause, link->last_error_at, &untold);
        if (!news && !link->told_up) {
                diag_debug("link: %s: %s", word, text);
                return false;
        }
        link->told_up = false;
        if (!news) {
                failure_reports_told(&link->failure_reports, cause);
                diag_event(LOG_WARNING, diag_facts(.id = class_of(link), .cause = word),
                           "link: %s: %s (again: more of it is counted, and told once an hour or "
                           "when the link is stable)",
                           word, text);
        } else if (untold)
                diag_event(LOG_WARNING, diag_facts(.id = class_of(link), .cause = word),
                           "link: %s: %s (%" PRIu64 " times more since that was last told)", word,
                           text, untold);
        else
                diag_event(LOG_WARNING, diag_facts(.id = class_of(link), .cause = word),
                           "link: %s: %s", word, text);
        return news && !untold;
}

/* Only one failure of a round is told. The others are for a search of faults. */
static void debug_failure(enum link_cause cause, const char *text)
{
        diag_debug("link: %s: %s", link_cause_name(cause), text);
}

void link_note_failure(struct link *link, enum link_cause cause, const char *text)
{
        if (link->round.cause != CAUSE_NONE && !link_cause_tells_more(cause, link->round.cause)) {
                debug_failure(cause, text);
                return;
        }
        if (link->round.cause != CAUSE_NONE)
                debug_failure(link->round.cause, link->round.text);
        link->round.cause = cause;
        snprintf(link->round.text, sizeof(link->round.text), "%s", text);
        /* A round may be long: people need not wait for its end, but the cause of the round before
         * stays until a cause of this one tells as much. */
        if (!link_cause_tells_more(link->last_cause, cause))
                keep_error(link, cause, text);
}

void link_tell_round(struct link *link)
{
        enum link_cause cause = link->round.cause;

        link->round.cause = CAUSE_NONE;
        if (cause != CAUSE_NONE)
                link_tell_failure(link, cause, link->round.text);
}

bool link_is_chosen(enum link_cause cause)
{
        return cause == CAUSE_OPERATOR || cause == CAUSE_HELD;
}

static const char *what_becomes(const struct link *link)
{
        if (link->stopping)
                return "the stop gives them up";
        return link->config->resend == RESEND_UNACKED ? "they go again"
               : link->config->resend == RESEND_UNSENT
                       ? "only what was not sent goes again (Resend=unsent)"
                       : "they are dropped (Resend=none)";
}

void link_tell_loss(struct link *link, enum link_cause cause, const char *text,
                    const struct ledger_end *fate)
{
        if (link_is_chosen(cause)) {
                diag_event(LOG_NOTICE,
                           diag_facts(.id = class_of(link), .cause = link_cause_name(cause)),
                           "link: closed: %s", text);
                keep_error(link, cause, text);
                link->quiet = link->told_up = false;
        } else {
                link->quiet = !link_tell_failure(link, cause, text);
        }
        /* A loss of messages is told as often as it comes. */
        if (fate->unacked.messages || fate->unsent.messages)
                diag_line(link->quiet && link->config->resend == RESEND_UNACKED ? LOG_DEBUG
                                                                                : LOG_NOTICE,
                          "link: %s (%" PRIu64 " bytes) %s sent and %s, %" PRIu64 " (%" PRIu64
                          " bytes) begun and not sent: %s",
                          units_messages(fate->unacked.messages).text, fate->unacked.bytes,
                          units_were(fate->unacked.messages),
                          fate->unheard ? "not a byte came back" : "not acknowledged",
                          fate->unsent.messages, fate->unsent.bytes, what_becomes(link));
}

void link_tell_linger(const struct link *link)
{
        diag_line(link->quiet ? LOG_DEBUG : LOG_NOTICE,
                  "link: the peer may still read what its kernel holds: the old connection is shut "
                  "down, and reset after %s unless the peer closes it",
                  units_span_words(SESSION_LINGER_USEC).text);
}

void link_tell_stable(struct link *link)
{
        uint64_t untold = failure_reports_over(&link->failure_reports);
        char text[400];

        link_describe(link, text, sizeof(text));
        if (untold)
                diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_LINK_UP),
                           "link: up and stable: %s; %" PRIu64
                           " failures before were not told one by one",
                           text, untold);
        else if (link->quiet)
                diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_LINK_UP), "link: up and stable: %s",
                           text);
        link->quiet = false;
        link->told_up = true;
}
