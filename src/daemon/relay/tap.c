/* SPDX-License-Identifier: MIT */
/* Shows the messages that pass to the taps. */
#include "daemon/relay/relay_internal.h"

#include <errno.h>

#include "util/clock.h"

static void show(struct relay *relay, const struct log *log, const struct tap_batch *batch)
{
        if (taps_want(&relay->taps, batch))
                taps_show(&relay->taps, log, batch, clock_usec(), clock_wall_usec());
}

/* The place where the messages that were just committed begin. */
static struct log_place before(const struct log *log, const struct log_taken *taken)
{
        return (struct log_place){log->image->end - taken->bytes,
                                  log->image->number - taken->messages, 0};
}

/* True if messages are dealt to single clients: on_dealt() shows each with the number of the
 * client. */
static bool is_dealt(const struct relay *relay)
{
        return relay->spread.balance && spread_has_readers(&relay->spread);
}

void relay_show_in(struct relay *relay, const struct log_taken *taken)
{
        if (!taps_any(&relay->taps) || is_dealt(relay))
                return;
        show(relay, &relay->in,
             &(struct tap_batch){TAP_IN, 0, before(&relay->in, taken), taken->messages});
}

static void on_dealt(void *context, struct reader *reader, struct log_place from,
                     struct log_place to)
{
        struct relay *relay = context;

        show(relay, &relay->in,
             &(struct tap_batch){TAP_IN, relay_client_of(reader)->id, from,
                                 to.number - from.number});
}

void relay_show_out(struct relay *relay, const struct client *client, const struct log_taken *taken)
{
        if (!taps_any(&relay->taps))
                return;
        show(relay, &relay->out,
             &(struct tap_batch){TAP_OUT, client->id, before(&relay->out, taken), taken->messages});
}

/* Has the spread call on_dealt() while there are taps. */
static void mind_taps(struct relay *relay)
{
        relay->spread.dealt = taps_any(&relay->taps) ? on_dealt : NULL;
        relay->spread.context = relay;
}

int relay_tap(struct relay *relay, struct tap *tap)
{
        struct client *client = tap->client_id ? relay_find(relay, tap->client_id) : NULL;

        if (tap->client_id && !client)
                return -ENOENT;
        tap->reader = client ? &client->reader : NULL;
        taps_add(&relay->taps, tap);
        mind_taps(relay);
        return 0;
}

void relay_untap(struct relay *relay, struct tap *tap)
{
        taps_remove(tap);
        mind_taps(relay);
}
