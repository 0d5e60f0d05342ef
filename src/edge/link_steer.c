/* SPDX-License-Identifier: MIT */
/* Orders to the link: start, recover, reconnect, hold, release, configure, stop. */
#include "edge/link_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "edge/timer.h"
#include "flow/fingerprint.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/socket.h"

static void enter_held(struct link *link)
{
        link_linger_reset(link);
        evtimer_del(link->timer);
        link->redial = false;
        if (link->session) {
                session_close(link->session, CAUSE_HELD, link->held_text,
                              clock_deadline(link->config->stop_timeout_usec), false);
                return;
        }
        dial_stop(link->dial);
        link_enter_held(link);
}

static void start_or_hold(struct link *link)
{
        if (link->held)
                enter_held(link);
        else
                link_start_round(link);
}

void link_start(struct link *link)
{
        link->started = true;
        start_or_hold(link);
}

/* True if an order to close or to dial has no effect now: the link has not started, or stops. */
static bool has_no_say(const struct link *link)
{
        return !link->started || link->stopping || link->draining;
}

static void redial(struct link *link, const char *text)
{
        if (has_no_say(link) || link->held)
                return;
        evtimer_del(link->timer);
        if (link->session) {
                link->redial = true;
                session_close(link->session, CAUSE_OPERATOR, text,
                              clock_deadline(link->config->stop_timeout_usec), false);
                return;
        }
        link_set_state(link, LINK_WAITING, CAUSE_OPERATOR, text);
        dial_rewind(link->dial);
        link_start_round(link);
}

void link_reconnect(struct link *link, const char *text)
{
        redial(link, text);
}

void link_hold(struct link *link, const char *text, uint64_t since)
{
        snprintf(link->held_text, sizeof(link->held_text), "%s", text);
        link->held_since = since;
        link->held = true;
        if (!has_no_say(link))
                enter_held(link);
}

void link_release(struct link *link, const char *text)
{
        if (!link->held)
                return;
        link->held = false;
        if (has_no_say(link))
                return;
        if (link->session) { /* still closing because of the hold */
                link->redial = true;
                return;
        }
        link_set_down(link, clock_usec()); /* the time of the hold is no outage */
        link_set_state(link, LINK_WAITING, CAUSE_NONE, text);
        dial_rewind(link->dial);
        link_start_round(link);
}

static const char changed_text[] = "the configuration of the link has changed";

/* Returns NULL, or why the connection can't be recovered; fd is the caller's then. */
static const char *recover_session(struct link *link, int fd)
{
        const struct image_session *image = link->ledger->image;
        struct sockaddr_storage peer = {0};
        socklen_t size = sizeof(peer);
        struct session_setup setup = link_session_setup(link, fd);
        char text[400];

        if (fd < 0)
                return "lost";
        if (!image->up_since)
                return "not greeted yet";
        snprintf(link->address, sizeof(link->address), "%s", fingerprint_address_of(image));
        /* A connection reset meanwhile has no peer address, but the bytes received before the reset
         * can still be read. */
        if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0) {
                socket_address_text((struct sockaddr *)&peer, size, link->peer, sizeof(link->peer));
                dial_recover(link->dial, (struct sockaddr *)&peer, size);
        } else
                snprintf(link->peer, sizeof(link->peer), "%.79s", link->address);
        link->session = session_recover(&setup);
        if (!link->session)
                return "given up (no memory for a session)";
        session_pause(link->session, link->paused);
        session_hurry(link->session, link->hurry);
        link_describe(link, text, sizeof(text));
        diag_notice("link: taken over: %s%s", text, image->unheard ? ", nothing heard yet" : "");
        if (image->unheard) {
                link_enter_connected(link, image->up_since);
                return NULL;
        }
        link->told_up = true;
        dial_remember(link->dial, link->config, link->address);
        link_set_state(link, LINK_UP, CAUSE_NONE, text);
        link->since = image->up_since;
        if (backoff_stable_usec(&link->backoff) != UINT64_MAX)
                timer_arm(link->timer, backoff_stable_usec(&link->backoff));
        return NULL;
}

void link_recover(struct link *link, int fd)
{
        uint64_t epoch = link->ledger->image->epoch;
        const char *wrong;

        link->started = true;
        wrong = recover_session(link, fd);
        if (!wrong)
                return;
        diag_warning("link: the connection of the last run is %s: it is made anew", wrong);
        session_abandon(link->in, link->ledger, fd, link->config->resend);
        link->ops->forget(link->context, epoch);
        start_or_hold(link);
}

/* Closing a session also writes, so the session is reconciled before: the written offset must be
 * true. */
void link_reconcile(struct link *link)
{
        bool closed = link->session && session_reconcile(link->session);

        if (!link->session)
                return;
        if (link->held)
                enter_held(link);
        else if (link->ledger->image->made_from != fingerprint_link(link->config))
                redial(link, changed_text);
        else if (closed)
                redial(link, "it was being closed when the last process ended");
}

int link_configure(struct link *link, const struct config *config)
{
        struct wire_messages *wire_messages = calloc(1, sizeof(*wire_messages)),
                             *old = link->wire_messages;
        int changed = link->config ? config_changes_link(link->config, config) : 0;

        if (changed < 0 || !wire_messages || wire_messages_init(wire_messages, config) < 0) {
                free(wire_messages);
                return -ENOMEM;
        }
        link->config = config;
        link->wire_messages = wire_messages;
        backoff_configure(&link->backoff, config->reconnect_delay_usec,
                          config->reconnect_delay_max_usec, config->stable_time_usec);
        if (link->session)
                session_configure(link->session, config, wire_messages);
        if (old) {
                wire_messages_done(old);
                free(old);
        }
        if (changed)
                redial(link, changed_text);
        dial_configure(link->dial, config);
        return 0;
}

void link_stop(struct link *link, uint64_t deadline)
{
        link->stopping = true;
        link->stop_by = deadline;
        evtimer_del(link->timer);
        dial_stop(link->dial);
        if (link->state != LINK_STOPPING)
                link_set_state(link, LINK_STOPPING, CAUSE_NONE, "sending what waits");
        if (link->session)
                session_close(link->session, CAUSE_OPERATOR, "stopping", deadline, !link->held);
        else
                timer_arm(link->reaper, 0);
}

void link_drain(struct link *link, uint64_t deadline)
{
        link->draining = true;
        link->drained_by = deadline;
        dial_stop(link->dial);
        timer_arm(link->timer, 0);
}
