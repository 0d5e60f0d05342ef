/* SPDX-License-Identifier: MIT */
#include "ctl/show/screen.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/show/event_text.h"
#include "ctl/show/rates.h"
#include "ctl/show/show.h"
#include "util/clock.h"

enum { LABEL = 11, TEXT = 1024, BAR = 30, DOWN = 96 };

static const char red[] = "\033[31m", yellow[] = "\033[33m", green[] = "\033[32m",
                  plain[] = "\033[0m";

#define ROW "%-11s %12s %13s %13s %10s %16s\n"

struct cell {
        char text[2 * SHOW_SIZE];
};

static const char *span(const json_t *object, const char *key, char text[SHOW_SIZE])
{
        return show_span((uint64_t)member_int(object, key, 0), text);
}

static bool present(const json_t *object, const char *key)
{
        return json_is_integer(json_object_get(object, key));
}

/* Prints text in the column behind the labels: behind a label already printed, or indented. Long
 * text is wrapped within the column. */
__attribute__((format(printf, 3, 4))) static void below(FILE *to, bool indented, const char *format,
                                                        ...)
{
        char text[TEXT];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        fprintf(to, "%*s", indented ? LABEL : 0, "");
        show_wrapped(to, text, LABEL, LABEL, SCREEN_WIDTH);
}

#define line(to, label, ...) (fprintf(to, "%-*s", LABEL, label), below(to, false, __VA_ARGS__))

/* "messages/bytes" of a member of type Count; a zero count is "0", so that other counts stand out.
 */
static struct cell count(const json_t *object, const char *key)
{
        const json_t *value = key ? json_object_get(object, key) : object;
        char messages[SHOW_SIZE], bytes[SHOW_SIZE];
        struct cell cell;

        show_number((uint64_t)member_int(value, "messages", 0), messages);
        show_bytes((uint64_t)member_int(value, "bytes", 0), bytes);
        snprintf(cell.text, sizeof(cell.text), "%s/%s", messages, bytes);
        if (strcmp(cell.text, "0/0") == 0)
                cell.text[1] = '\0';
        return cell;
}

static bool is_any(const json_t *object, const char *key)
{
        const json_t *value = json_object_get(object, key);

        return member_int(value, "messages", 0) || member_int(value, "bytes", 0);
}

static void screen_head(FILE *to, const json_t *status, bool colour)
{
        static const struct {
                const char *health, *word, *colour;
        } words[] = {
                {"ok", "OK", "\033[1;32m"},
                {"warning", "WARNING", "\033[1;33m"},
                {"critical", "CRITICAL", "\033[1;31m"},
        };
        const char *health = member_text(status, "health", ""), *word = "UNKNOWN", *on = "";
        const json_t *reasons = json_object_get(status, "reasons");
        const char *instance = member_text(status, "instance", NULL);
        char up[SHOW_SIZE];
        size_t n = json_array_size(reasons);

        for (size_t i = 0; i < 3; i++)
                if (strcmp(health, words[i].health) == 0) {
                        word = words[i].word;
                        on = words[i].colour;
                }
        fprintf(to, "%s%-*s%s", colour ? on : "", LABEL, word, colour ? plain : "");
        for (size_t i = 0; i < n; i++)
                below(to, i > 0, "%s", member_text(json_array_get(reasons, i), "text", "?"));
        below(to, n > 0, "ftcpd %s%s%s, pid %" PRId64 ", running for %s",
              member_text(status, "version", "?"), instance ? ", instance " : "",
              instance ? instance : "", member_int(status, "pid", 0),
              span(status, "uptimeUsec", up));
}

const char *screen_state(const char *state)
{
        static const char *const words[][2] = {
                {"resolving", "resolving the name"},
                {"connecting", "connecting"},
                {"handshaking", "shaking hands"},
                {"greeting", "greeting, the answer is awaited"},
                {"connected", "connected, nothing heard yet"},
                {"up", "up"},
                {"waiting", "down"},
                {"held", "held"},
                {"stopping", "stopping"},
        };

        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strcmp(state, words[i][0]) == 0)
                        return words[i][1];
        return state;
}

static void screen_partial(FILE *to, const json_t *partial)
{
        char got[SHOW_SIZE], of[SHOW_SIZE], age[SHOW_SIZE];
        int64_t declared = member_int(partial, "declaredBytes", -1);

        if (!json_is_object(partial))
                return;
        show_bytes((uint64_t)member_int(partial, "receivedBytes", 0), got);
        line(to, "", "in the middle of a message for %s: %s%s%s bytes have come",
             span(partial, "ageUsec", age), got, declared >= 0 ? " of " : "",
             declared >= 0 ? show_bytes((uint64_t)declared, of) : "");
}

static void screen_held(FILE *to, const json_t *upstream)
{
        const char *by = member_text(upstream, "heldBy", NULL);
        const char *reason = member_text(upstream, "heldReason", NULL);
        char rest[SHOW_SIZE], until[SHOW_SIZE];

        if (by || reason)
                line(to, "", "by %s%s%s", by ? by : "?", reason ? ": " : "", reason ? reason : "");
        if (present(upstream, "heldForUsec"))
                line(to, "", "until %s, for another %s",
                     show_until((uint64_t)member_int(upstream, "heldForUsec", 0), until),
                     span(upstream, "heldForUsec", rest));
        else if (by)
                line(to, "", "until `ftcpctl release`");
}

static void screen_link(FILE *to, const json_t *upstream, const json_t *events)
{
        const char *state = member_state(upstream);
        const char *peer = member_text(upstream, "peer", NULL);
        char since[SHOW_SIZE], next[SHOW_SIZE] = "", down[DOWN];
        bool waits = strcmp(state, "waiting") == 0;

        if (present(upstream, "nextAttemptUsec"))
                span(upstream, "nextAttemptUsec", next);
        if (event_is_down(upstream) &&
            event_down_text(events, clock_wall_usec(), down, sizeof(down)))
                line(to, "link", "%s%sdown %s%s%s", waits ? "" : screen_state(state),
                     waits ? "" : "; ", down, *next ? "; the next attempt is in " : "", next);
        else if (strcmp(state, "closing") == 0)
                line(to, "link", "closing, to be held");
        else if (*next)
                line(to, "link", "%s, the next attempt is in %s", screen_state(state), next);
        else
                line(to, "link", "%s for %s", screen_state(state),
                     span(upstream, "stateUsec", since));
        line(to, "", "%s%s%s, frame %s", member_text(upstream, "address", "?"),
             peer ? ", peer " : "", peer ? peer : "", member_text(upstream, "frame", "?"));
        line(to, "", "connections: %" PRId64 ", of which ended: %" PRId64,
             member_int(upstream, "connects", 0), member_int(upstream, "disconnects", 0));
        screen_held(to, upstream);
        screen_partial(to, json_object_get(upstream, "partial"));
        if (member_true(upstream, "paused"))
                line(to, "", "reading is paused, because a client's queue is full");
}

static void screen_loss(FILE *to, const json_t *upstream)
{
        const char *cause = member_text(upstream, "lastCause", "none");
        const char *error = member_text(upstream, "lastError", NULL);
        bool dated = present(upstream, "lastErrorUsec");
        bool meant = strcmp(cause, "held") == 0 || strcmp(cause, "operator") == 0;
        const char *label = meant ? "closed" : "last loss"; /* an operator's close is no loss */
        char ago[SHOW_SIZE], text[TEXT];

        event_loss(cause, error, text, sizeof(text));
        if (strcmp(cause, "none") == 0 && !error)
                line(to, label, "none");
        else
                line(to, label, "%s%s%s", dated ? span(upstream, "lastErrorUsec", ago) : "",
                     dated ? " ago, " : "", text);
}

static void screen_heartbeat(FILE *to, const json_t *upstream)
{
        int64_t timeout = member_int(upstream, "heartbeatTimeoutUsec", 0);
        bool up = strcmp(member_text(upstream, "state", ""), "up") == 0;
        char silent[SHOW_SIZE], limit[SHOW_SIZE], rtt[SHOW_SIZE];

        /* Of a connection that is not up there may have been no byte yet. */
        if (present(upstream, "silentUsec"))
                line(to, "heartbeat", "%s %s%s, %s%s", up ? "last byte" : "no byte for",
                     span(upstream, "silentUsec", silent), up ? " ago" : "",
                     timeout ? "dead after " : "silence is not judged",
                     timeout ? show_span((uint64_t)timeout, limit) : "");
        line(to, present(upstream, "silentUsec") ? "" : "heartbeat",
             "%" PRId64 " sent, %" PRId64 " received%s%s",
             member_int(upstream, "heartbeatsSent", 0),
             member_int(upstream, "heartbeatsReceived", 0),
             present(upstream, "rttUsec") ? "; round trip " : "",
             present(upstream, "rttUsec") ? span(upstream, "rttUsec", rtt) : "");
        line(to, "messages", "%s received, %s sent%s%s%s, %s unacknowledged",
             count(upstream, "received").text, count(upstream, "sent").text,
             is_any(upstream, "resent") ? " (" : "",
             is_any(upstream, "resent") ? count(upstream, "resent").text : "",
             is_any(upstream, "resent") ? " again)" : "", count(upstream, "unacked").text);
}

static const char *reason_words(const char *reason)
{
        static const char *const words[][2] = {
                {"queue_full", ": their client was too slow (SlowClient=)"},
                {"hold_full", ": more came than HoldSize= holds"},
                {"expired", ": older than MessageTTL="},
                {"link_down", ": the link was down (WhenDown=discard)"},
                {"not_resent", ": the link was lost on them (Resend=)"},
                {"no_client", ": no client was there (HoldSize=)"},
                {"client_gone", ": their client left before"},
                {"stopped", ": left over at a stop"},
        };

        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (strcmp(reason, words[i][0]) == 0)
                        return words[i][1];
        return "";
}

static void screen_drops(FILE *to, const json_t *books, bool colour)
{
        const json_t *dropped = json_object_get(books, "dropped");

        for (size_t i = 0; i < json_array_size(dropped); i++) {
                const json_t *drop = json_array_get(dropped, i);
                const char *reason = member_text(drop, "reason", "?");

                if (!member_int(drop, "messages", 0) && !member_int(drop, "bytes", 0))
                        continue;
                fputs(colour ? yellow : "", to);
                below(to, true, "dropped %s %s%s", count(drop, NULL).text, reason,
                      reason_words(reason));
                fputs(colour ? plain : "", to);
        }
}

/* Prints the client with the most queued bytes. */
static void screen_slowest(FILE *to, const json_t *clients)
{
        const json_t *slowest = NULL;
        char pid[SHOW_SIZE] = "";
        int64_t most = 0;

        for (size_t i = 0; i < json_array_size(clients); i++) {
                const json_t *client = json_array_get(clients, i);
                int64_t bytes = member_int(json_object_get(client, "queued"), "bytes", 0);

                if (bytes > most) {
                        slowest = client;
                        most = bytes;
                }
        }
        if (!slowest)
                return;
        if (present(slowest, "pid"))
                snprintf(pid, sizeof(pid), ", pid %" PRId64, member_int(slowest, "pid", 0));
        below(to, true, "most for client %" PRId64 " (%s%s): %s", member_int(slowest, "id", 0),
              member_text(slowest, "program", member_text(slowest, "peer", "?")), pid,
              count(slowest, "queued").text);
}

/* Prints how full the fullest queue is; red above 80 %, where health warns. */
static void screen_bar(FILE *to, const json_t *books, bool colour)
{
        uint64_t fullest = (uint64_t)member_int(books, "fullestBytes", 0);
        uint64_t limit = (uint64_t)member_int(books, "limitBytes", 0);
        int percent = show_percent(fullest, limit);
        char bar[SHOW_SIZE];

        fprintf(to, "%*s%s[%s]%s %d%% full\n", LABEL, "",
                !colour         ? ""
                : percent > 80  ? red
                : percent >= 50 ? yellow
                                : green,
                show_bar(fullest, limit, BAR, bar), colour ? plain : "", percent);
}

static void screen_books(FILE *to, const char *label, const json_t *books, const json_t *clients,
                         bool colour)
{
        char oldest[SHOW_SIZE] = "-", fullest[SHOW_SIZE], limit[SHOW_SIZE], full[3 * SHOW_SIZE];

        if (present(books, "oldestUsec"))
                span(books, "oldestUsec", oldest);
        show_bytes((uint64_t)member_int(books, "fullestBytes", 0), fullest);
        show_bytes((uint64_t)member_int(books, "limitBytes", 0), limit);
        snprintf(full, sizeof(full), "%s of %s", fullest, limit);
        fprintf(to, ROW, label, count(books, "accepted").text, count(books, "delivered").text,
                count(books, "queued").text, oldest, full);
        screen_bar(to, books, colour);
        screen_slowest(to, clients);
        screen_drops(to, books, colour);
}

static void screen_rates(FILE *to, const json_t *before, const json_t *after)
{
        struct rates rates = rates_between(before, after);
        char text[4][SHOW_SIZE];

        if (!rates.known)
                return;
        line(to, "rates now", "%s/s (%s/s) received, %s/s (%s/s) sent",
             show_number((uint64_t)(rates.in.messages + 0.5), text[0]),
             show_bytes((uint64_t)(rates.in.bytes + 0.5), text[1]),
             show_number((uint64_t)(rates.out.messages + 0.5), text[2]),
             show_bytes((uint64_t)(rates.out.bytes + 0.5), text[3]));
}

static void screen_clients(FILE *to, const json_t *status)
{
        line(to, "clients", "%" PRId64 " of %" PRId64 "; %" PRId64 " accepted, %" PRId64 " refused",
             member_int(status, "clients", 0), member_int(status, "clientsLimit", 0),
             member_int(status, "clientsAccepted", 0), member_int(status, "clientsRefused", 0));
        if (member_int(status, "clientsCrowded", 0))
                below(to, true, "%" PRId64 " made room for another user's: their user has too many",
                      member_int(status, "clientsCrowded", 0));
        if (is_any(status, "refused"))
                below(to, true, "%s of theirs refused: too large, cut off, or not of Senders=",
                      count(status, "refused").text);
}

void screen_status(FILE *to, const struct screen *screen)
{
        const json_t *status = screen->status, *upstream = json_object_get(status, "upstream");

        screen_head(to, status, screen->colour);
        fputc('\n', to);
        screen_link(to, upstream, screen->events);
        screen_loss(to, upstream);
        screen_heartbeat(to, upstream);
        screen_rates(to, screen->before, status);
        screen_clients(to, status);
        fputc('\n', to);
        fprintf(to, ROW, "msgs/bytes", "accepted", "delivered", "queued", "oldest", "fullest");
        screen_books(to, "to upstream", json_object_get(status, "toUpstream"), NULL,
                     screen->colour);
        screen_books(to, "to clients", json_object_get(status, "toClients"), screen->clients,
                     screen->colour);
        event_screen(to, screen->events, LABEL, SCREEN_WIDTH);
}
