/* SPDX-License-Identifier: MIT */
/* What a daemon may do with an image that was accepted, at random. */
#include <string.h>

#include "sim.h"

static uint64_t touched;

static uint64_t touch(const struct iovec *iov, int n)
{
        uint64_t sum = 0;

        for (int i = 0; i < n; i++) {
                sum += iov[i].iov_len;
                touched += *(const unsigned char *)iov[i].iov_base;
                touched += ((const unsigned char *)iov[i].iov_base)[iov[i].iov_len - 1];
        }
        return sum;
}

static void use_writer(struct writer *writer)
{
        unsigned char bytes[100];

        writer_peek(writer, bytes, sizeof(bytes));
        turn_take(writer, 0, 1);
        for (int i = 0; i < 4; i++) {
                struct iovec iov[SIM_IOV];
                int n = turn_room(writer, 1 + dice(100000), iov, SIM_IOV);

                for (int k = 0; k < n; k++)
                        memset(iov[k].iov_base, 0, iov[k].iov_len);
                turn_take(writer, n ? dice(touch(iov, n) + 1) : 0, 1);
        }
}

static void use_cursor(struct cursor *cursor)
{
        for (int i = 0; i < 1000; i++) {
                struct iovec iov[SIM_IOV];
                int n = cursor_gather(cursor, 1 + dice(100000), iov, SIM_IOV);

                cursor_queued(cursor);
                cursor_delivered(cursor);
                cursor_oldest(cursor);
                cursor_waiting(cursor);
                if (n == 0)
                        break;
                cursor_advance(cursor, 1 + dice(touch(iov, n)));
                if (cursor->image->stop == IMAGE_OPEN && dice(20) == 0)
                        cursor_jump(cursor,
                                    log_place(cursor->log, cursor->image->pos + dice(100000)).pos);
        }
}

static void use_reader(struct reader *reader)
{
        struct cursor *cursor = &reader->cursor;

        for (int i = 0; i < 1000; i++) {
                struct iovec iov[SIM_IOV];
                int n = cursor_gather(cursor, 1 + dice(100000), iov, SIM_IOV);

                cursor_oldest(cursor);
                if (dice(8) == 0)
                        reader_shorten(reader, dice(100000));
                else if (n)
                        reader_advance(reader, 1 + dice(touch(iov, n)));
                else
                        break;
        }
}

static void use_spread(struct side *side)
{
        struct spread *spread = &side->spread;
        struct books books;

        for (int i = 0; i < 30; i++) {
                struct reader *reader = spread->n_all ? spread->all[dice(spread->n_all)] : NULL;

                spread_books(spread, 1000, 1, &books);
                switch (dice(6)) {
                case 0: spread_configure(spread, dice(2), dice(2) * dice(100000), 1000); break;
                case 1: spread_taken(spread); break;
                case 2:
                        if (reader)
                                reader_trust(reader, 0);
                        break;
                case 3:
                        if (reader && dice(4) == 0)
                                reader_leave(reader);
                        break;
                case 4:
                        if (reader && dice(4) == 0)
                                reader_done(reader, DROP_CLIENT_GONE);
                        break;
                default:
                        if (reader)
                                use_reader(reader);
                }
        }
        while (spread->n_all)
                reader_done(spread->all[0], DROP_CLIENT_GONE);
        spread_configure(spread, false, 0, 0);
}

static void use_received(struct side *side)
{
        struct image_session *session = &side->store.image->session;
        struct log_filter filter = side->plan->filter;
        void *context[] = {(void *)side->plan, &side->in, NULL};

        filter.context = context;
        log_take(&side->in, &session->rx_base, session->rx_read, &filter, 1, 0);
        if (side->plan->spread)
                spread_taken(&side->spread);
}

static void use_connection(struct side *side)
{
        struct ledger *ledger = &side->ledger;
        struct image_session *session = &side->store.image->session;

        ledger_inject(ledger, &(struct iovec){(void *)"abcd", 4}, 1);
        for (int i = 0; i < 1000; i++) {
                struct iovec iov[SIM_IOV];
                int n = ledger_gather(ledger, 1 + dice(100000), dice(4) == 0, iov, SIM_IOV);

                ledger_unacked(ledger, UINT64_MAX);
                ledger_sent_count(ledger);
                ledger_resent_count(ledger);
                if (n)
                        ledger_sent(ledger, 1 + dice(touch(iov, n)));
                ledger_acked(ledger, session->acked + dice(session->written - session->acked + 1));
                if (!ledger_pending(ledger, false))
                        break;
        }
        if (dice(2))
                ledger_heard(ledger);
        ledger_provisional(ledger);
        ledger_end(ledger, session->acked, session->written, RESEND_UNACKED);
}

void side_use(struct side *side)
{
        struct image *image = side->store.image;

        if (side->plan->spread) {
                spread_settle(&side->spread, dice(2) * dice(100000), 1000);
                spread_configure(&side->spread, dice(2), dice(2) * dice(100000), 1000);
        }
        if (image->session.live) {
                use_received(side);
                use_connection(side);
        }
        for (uint32_t slot = 0; slot < SIM_SLOTS && slot < image->totals.client_slots; slot++) {
                if (!image->client[slot].id)
                        continue;
                use_writer(&side->writer[slot]);
                if (image->client[slot].reading && !side->plan->spread)
                        use_cursor(&side->cursor[slot]);
        }
        if (side->plan->spread)
                use_spread(side);
        ledger_begin(&side->ledger, side->in.image->end, (enum ledger_unheard)dice(4));
        use_connection(side);
        for (uint32_t slot = 0; slot < SIM_SLOTS && slot < image->totals.client_slots; slot++) {
                if (!image->client[slot].id)
                        continue;
                writer_done(&side->writer[slot]);
                if (image->client[slot].reading)
                        cursor_done(&side->cursor[slot]);
        }
        log_trim(&side->in);
}
