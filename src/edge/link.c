/* SPDX-License-Identifier: MIT */
#include "edge/link.h"
#include "edge/link_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/catalog.h"
#include "edge/tcp.h"
#include "edge/timer.h"
#include "flow/fingerprint.h"
#include "util/clock.h"
#include "util/diag.h"
#include "util/socket.h"

enum {
        DRAIN_USEC = 5000,
        ROOM_USEC = 1000000,
        ROOM_RETRY_USEC = 100000,
};

#define LOSSES_USEC     (600 * USEC_PER_SEC)
#define STAY_LEAST_USEC USEC_PER_SEC

void link_set_down(struct link *link, uint64_t since)
{
        link->down_since = since;
        store_set(&link->ledger->totals->down_since, since);
}

/* Ends the outage if the connection brought a byte or stayed up for StableTime= (at least
 * STAY_LEAST_USEC): a connection that ends at once without a byte does not end an outage. */
static void note_life(struct link *link)
{
        uint64_t stay = link->config->stable_time_usec;

        if (!link->session || link->state != LINK_UP)
                return;
        if (stay < STAY_LEAST_USEC)
                stay = STAY_LEAST_USEC;
        if (session_look(link->session).got_byte || clock_usec() - link->since >= stay)
                link_set_down(link, 0);
}

void link_set_state(struct link *link, enum link_state state, enum link_cause cause,
                    const char *text)
{
        uint64_t now = clock_usec();

        note_life(link);
        if (state != LINK_UP && !link->down_since)
                link_set_down(link, now);
        link->state = state;
        link->since = now;
        link->ops->state(link->context, state, cause, text);
}

/* True if the peer has just got room for a connection, see make_room(). */
static bool has_room(const struct link *link)
{
        return clock_usec() < link->room_until;
}

/* Begins the next round after the delay of the back-off; soon, while the peer has just got room. */
static void wait_for_round(struct link *link, enum link_cause cause, const char *text)
{
        uint64_t first = link->backoff.first_usec, delay;

        if (has_room(link))
                delay = first < ROOM_RETRY_USEC ? first : ROOM_RETRY_USEC;
        else
                delay = backoff_wait(&link->backoff, clock_jitter());
        link->next_attempt = clock_usec() + delay;
        link_set_state(link, LINK_WAITING, cause, text);
        timer_arm(link->timer, delay);
}

void link_start_round(struct link *link)
{
        link->next_attempt = 0;
        link->round.cause = CAUSE_NONE;
        dial_start(link->dial, link->config);
}

/* ---- dialling ---- */

static void on_progress(void *context, enum link_state state, const char *address, const char *text)
{
        struct link *link = context;

        snprintf(link->address, sizeof(link->address), "%s", address);
        if (link->state != state) /* not for each address of a round */
                link_set_state(link, state, CAUSE_NONE, text);
}

/*
 * The peer turned an attempt away while an earlier connection lingers, which may hold the only
 * place: resets that connection. As the peer was without room because of ftcpd, the next attempts
 * come soon and do not count for the back-off. Returns false if none lingers, or for another cause.
 */
static bool make_room(struct link *link, enum link_cause cause)
{
        if (!link_lingers(link) || (cause != CAUSE_REFUSED && cause != CAUSE_RESET &&
                                    cause != CAUSE_CLOSED && cause != CAUSE_GREETING))
                return false;
        diag_info("link: the connection that lingered is reset: it may hold the peer's only place");
        link_linger_reset(link);
        link->room_until = clock_usec() + ROOM_USEC;
        return true;
}

static void count_failure(struct link *link, enum link_cause cause)
{
        uint64_t *failed = &link->ledger->totals->failed[cause];

        store_set(failed, *failed + 1);
}

static void on_failed(void *context, enum link_cause cause, const char *text)
{
        struct link *link = context;

        count_failure(link, cause);
        link_note_failure(link, cause, text);
        if (!make_room(link, cause))
                return;
        dial_stop(link->dial);
        dial_rewind(link->dial);
        link_tell_round(link);
        wait_for_round(link, link->last_cause, link->last_error);
}

static void on_exhausted(void *context)
{
        struct link *link = context;

        link_tell_round(link);
        wait_for_round(link, link->last_cause, link->last_error);
}

/* Stores the facts from which a successor recovers the connection, before the ledger begins. */
static void fingerprint_next(struct link *link, int fd, const char *address)
{
        struct image_session *image = link->ledger->image;

        link->ops->keep(link->context, image->epoch + 1, fd);
        store_set(&image->up_since, 0);
        store_set(&image->made_from, fingerprint_link(link->config));
        fingerprint_address(image, address);
}

void link_enter_connected(struct link *link, uint64_t since)
{
        uint64_t timeout = link->config->greeting_timeout_usec, now = clock_usec();
        char text[400], whole[440];

        link_describe(link, text, sizeof(text));
        snprintf(whole, sizeof(whole), "%s, nothing heard yet", text);
        link_set_state(link, LINK_CONNECTED, CAUSE_NONE, whole);
        link->since = since;
        if (link->ledger->image->unheard > LEDGER_UNHEARD && timeout != CONFIG_INFINITY)
                timer_arm(link->timer, since + timeout > now ? since + timeout - now : 0);
}

static void on_connected(void *context, int fd, const char *address, const char *peer,
                         const char *origin)
{
        struct link *link = context;
        struct session_setup setup = link_session_setup(link, fd);

        link_tell_round(link);
        fingerprint_next(link, fd, address);
        snprintf(link->address, sizeof(link->address), "%s", address);
        snprintf(link->peer, sizeof(link->peer), "%s", peer);
        link->origin = origin;
        link->session = session_new(&setup);
        if (!link->session) {
                tcp_reset(fd);
                link->ops->forget(link->context, link->ledger->image->epoch + 1);
                count_failure(link, CAUSE_LOCAL);
                link_tell_failure(link, CAUSE_LOCAL, "no memory for a session");
                wait_for_round(link, CAUSE_LOCAL, "no memory for a session");
                return;
        }
        session_pause(link->session, link->paused);
        session_hurry(link->session, link->hurry);
        if (link->config->greeting_expect.size) {
                link_set_state(link, LINK_GREETING, CAUSE_NONE,
                               "waiting for the answer to the greeting");
                if (link->config->greeting_timeout_usec != CONFIG_INFINITY)
                        timer_arm(link->timer, link->config->greeting_timeout_usec);
        } else if (link->ledger->image->unheard) {
                store_set(&link->ledger->image->up_since, clock_usec());
                link_enter_connected(link, clock_usec());
        }
}

static const struct dial_ops dial_ops = {on_progress, on_failed, on_exhausted, on_connected};

/* ---- the session ---- */

static void on_up(void *context)
{
        struct link *link = context;
        uint64_t stable = backoff_stable_usec(&link->backoff);
        char text[400];

        if (!link->draining)
                evtimer_del(link->timer);
        store_set(&link->ledger->image->up_since, clock_usec());
        link->silent_waits = 0;
        dial_remember(link->dial, link->config, link->address);
        if (link->ledger->totals->unheard)
                store_set(&link->ledger->totals->unheard, 0);
        if (link->stopping || link->held || link->redial)
                return; /* the greeting was answered late: the session is closing, and at a stop
                           still writes the queued messages */
        link_describe(link, text, sizeof(text));
        if (!link->quiet) {
                diag_event(LOG_NOTICE, diag_facts(.id = CATALOG_LINK_UP), "link: up: %s", text);
                link->told_up = true;
        }
        link_set_state(link, LINK_UP, CAUSE_NONE, text);
        if (stable != UINT64_MAX && !link->draining)
                timer_arm(link->timer, stable);
}

static void on_received(void *context, const struct log_taken *taken)
{
        struct link *link = context;

        link->ops->received(link->context, taken);
}

static void on_silent(void *context, bool silent, const char *text)
{
        (void)context;
        if (silent)
                diag_warning("link: silent, and kept (OnSilence=report): %s", text);
        else
                diag_notice("link: %s", text);
}

static void note_loss(struct link *link)
{
        link->losses[link->n_losses++ % LOSSES] = clock_usec();
}

/* True if the connection is up for long enough, and the peer has sent a byte or may be silent
 * (Heartbeat Timeout= is off). */
static bool has_proved(const struct link *link)
{
        return link->state == LINK_UP &&
               (session_look(link->session).got_byte || !link->config->heartbeat_timeout_usec) &&
               clock_usec() - link->since >= backoff_stable_usec(&link->backoff);
}

static void on_stable(struct link *link)
{
        if (!has_proved(link)) { /* no byte yet */
                timer_arm(link->timer, USEC_PER_SEC);
                return;
        }
        link_tell_stable(link);
}

static bool on_asks_to_linger(void *context)
{
        struct link *link = context;

        if (link->stopping || link->held)
                return false;
        link_linger_reset(link); /* one at most */
        return true;
}

static void on_lingers(void *context, int fd)
{
        link_linger(context, fd);
}

/* After a connection that proved itself, the back-off falls and the next round begins at the first
 * address; otherwise the address counts as failed and is skipped. */
static void judge_connection(struct link *link, enum link_cause cause, bool proved)
{
        if (make_room(link, cause) || has_room(link)) {
                dial_rewind(link->dial);
                return;
        }
        if (cause == CAUSE_GREETING)
                backoff_longest(&link->backoff);
        else if (proved)
                backoff_fall(&link->backoff);
        if (proved)
                dial_rewind(link->dial);
        else
                dial_skip(link->dial);
}

void link_enter_held(struct link *link)
{
        link_set_state(link, LINK_HELD, CAUSE_HELD, link->held_text);
        link->since = link->held_since; /* may be from the time of a predecessor */
}

static void on_lost(void *context, enum link_cause cause, const char *text,
                    const struct ledger_end *fate)
{
        struct link *link = context;
        const struct image_session *image = link->ledger->image;
        bool proved = has_proved(link), lingers = image->lingers == image->epoch;

        note_life(link);
        evtimer_del(link->timer);
        if (!lingers)
                link->ops->forget(link->context, image->epoch);
        if (proved)
                failure_reports_over(&link->failure_reports);
        link_tell_loss(link, cause, text, fate);
        if (lingers)
                link_tell_linger(link);
        if (!link_is_chosen(cause) && !fate->unheard)
                note_loss(link);
        judge_connection(link, cause, proved);
        link->gone = link->session;
        link->session = NULL;
        link->peer[0] = '\0';
        timer_arm(link->reaper, 0);
        if (link->draining)
                timer_arm(link->timer, 0);
        if (link->stopping || link->draining)
                return; /* the reaper, or drain() from the timer, calls stopped() */
        if (link->held) {
                link_enter_held(link);
        } else if (link->redial) {
                link->redial = false;
                link_set_state(link, LINK_WAITING, cause, link->last_error);
                dial_rewind(link->dial);
                link_start_round(link);
        } else {
                wait_for_round(link, cause, link->last_error);
        }
}

static const struct session_ops session_ops = {
        on_up, on_received, on_silent, on_asks_to_linger, on_lingers, on_lost};

struct session_setup link_session_setup(struct link *link, int fd)
{
        return (struct session_setup){
                .base = link->base,
                .config = link->config,
                .wire_messages = link->wire_messages,
                .in = link->in,
                .ledger = link->ledger,
                .ops = &session_ops,
                .context = link,
                .fd = fd,
        };
}

static void on_reaper(evutil_socket_t fd, short what, void *arg)
{
        struct link *link = arg;

        (void)fd;
        (void)what;
        session_free(link->gone);
        link->gone = NULL;
        if (link->stopping && !link_linger_delays_stop(link))
                link->ops->stopped(link->context);
}

/* Calls stopped() if everything is acknowledged, no acknowledgement can count yet, the deadline has
 * passed, or no session is left; looks again after DRAIN_USEC otherwise. */
static void drain(struct link *link)
{
        link_poll_acks(link);
        if (!link->session || link->ledger->image->unheard || clock_usec() >= link->drained_by ||
            link->ledger->acked.image->pos == link->ledger->log->image->end)
                link->ops->stopped(link->context);
        else
                timer_arm(link->timer, DRAIN_USEC);
}

/* True for a state that GreetingTimeout= ends. */
static bool is_timed(enum link_state state)
{
        return state == LINK_GREETING || state == LINK_CONNECTED;
}

/* GreetingTimeout= has passed, and what SendAfter= names has not come. */
static void end_wait(struct link *link)
{
        enum ledger_unheard unheard = (enum ledger_unheard)link->ledger->image->unheard;
        bool heard = session_look(link->session).got_byte;
        char text[240];

        if (unheard <= LEDGER_UNHEARD)
                return; /* a reload has ended the wait */
        link->silent_waits = heard ? 0 : link->silent_waits + 1;
        if (link->silent_waits == 2) /* the log tells the first failure of a cause, not the next */
                diag_line(LOG_NOTICE, "link: nothing was heard on two connections in a row: the "
                                      "peer may speak only when asked: SendAfter=connect");
        snprintf(text, sizeof(text), "no %s within GreetingTimeout= (SendAfter=%s)%s",
                 unheard == LEDGER_UNHEARD_BYTE ? "byte" : "message",
                 unheard == LEDGER_UNHEARD_BYTE ? "byte" : "answer",
                 link->silent_waits >= 2 ? ": it may speak only when asked: SendAfter=connect"
                                         : "");
        session_close(link->session, CAUSE_SILENT, text, 0, false);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct link *link = arg;

        (void)fd;
        (void)what;
        if (link->session && is_timed(link->state) && !link->draining) {
                if (!session_catch_up(link->session)) {
                        timer_arm(link->timer, 0);
                        return;
                }
                if (!is_timed(link->state))
                        return;
        }
        if (link->draining)
                drain(link);
        else if (link->session && link->state == LINK_GREETING)
                session_close(link->session, CAUSE_GREETING,
                              "no answer to the greeting within GreetingTimeout=", 0, false);
        else if (link->session && link->state == LINK_CONNECTED)
                end_wait(link);
        else if (link->session && link->state == LINK_UP)
                on_stable(link);
        else if (!link->session && !link->stopping)
                link_start_round(link);
}

/* ---- life ---- */

struct link *link_new(struct event_base *base, const struct config *config, struct log *in,
                      struct ledger *ledger, const struct link_ops *ops, void *context)
{
        struct link *link = calloc(1, sizeof(*link));

        if (!link)
                return NULL;
        *link = (struct link){.base = base,
                              .in = in,
                              .ledger = ledger,
                              .ops = ops,
                              .context = context,
                              .state = LINK_WAITING,
                              .since = clock_usec(),
                              .down_since = ledger->totals->down_since};
        if (!link->down_since)
                link_set_down(link, link->since);
        backoff_init(&link->backoff);
        link->dial = dial_new(base, &dial_ops, link);
        link->timer = evtimer_new(base, on_timer, link);
        link->reaper = evtimer_new(base, on_reaper, link);
        if (!link_linger_init(link) || !link->dial || !link->timer || !link->reaper ||
            link_configure(link, config) < 0) {
                link_free(link);
                return NULL;
        }
        snprintf(link->address, sizeof(link->address), "%s", config->addresses[0].text);
        return link;
}

void link_free(struct link *link)
{
        if (!link)
                return;
        session_free(link->session);
        session_free(link->gone);
        link_linger_done(link);
        dial_free(link->dial);
        if (link->timer)
                event_free(link->timer);
        if (link->reaper)
                event_free(link->reaper);
        if (link->wire_messages)
                wire_messages_done(link->wire_messages);
        free(link->wire_messages);
        free(link);
}

void link_write(struct link *link)
{
        if (link->session)
                session_write(link->session);
}

void link_write_early(struct link *link)
{
        if (link->session)
                session_write_early(link->session);
}

bool link_is_blocked(const struct link *link)
{
        return link->session && session_is_blocked(link->session);
}

void link_pause(struct link *link, bool pause)
{
        link->paused = pause;
        if (link->session)
                session_pause(link->session, pause);
}

void link_throttle(struct link *link, bool throttle)
{
        if (link->session)
                session_throttle(link->session, throttle);
}

void link_hurry(struct link *link, bool hurry)
{
        link->hurry = hurry;
        if (link->session)
                session_hurry(link->session, hurry);
}

void link_poll_acks(struct link *link)
{
        if (link->session)
                session_poll_acks(link->session);
}

static unsigned recent_losses(const struct link *link)
{
        uint64_t now = clock_usec();
        unsigned n = 0;

        for (uint64_t i = link->n_losses; i > 0 && i + LOSSES > link->n_losses; i--)
                if (now - link->losses[(i - 1) % LOSSES] < LOSSES_USEC)
                        n++;
        return n;
}

struct link_view link_look(const struct link *link)
{
        struct link_view view = {
                .state = link->state,
                .state_since = link->since,
                .down_since = link->state == LINK_UP ? 0 : link->down_since,
                .address = link->address,
                .peer = link->session ? link->peer : NULL,
                .last_cause = link->last_cause,
                .last_error = link->last_error_at ? link->last_error : NULL,
                .last_error_at = link->last_error_at,
                .next_attempt_at = link->state == LINK_WAITING ? link->next_attempt : 0,
                .recent_losses = recent_losses(link),
                .connected = link->session != NULL,
        };

        if (link->session)
                view.session = session_look(link->session);
        return view;
}
